package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/conjuring/conjured/engine"
)

// Labels of a hub's container, beside the engine's: all it was made from, and
// whether it is only a candidate.
const (
	labelHubKey    = "org.conjured.hub"
	labelCandidate = "org.conjured.candidate"
)

// key is the identity of a hub made from s by this daemon. Where the teacher's files
// lie is no part of it: the fingerprint says what they are.
func (s Spec) key() (string, error) {
	py, err := pythonHash(pythonFiles)
	if err != nil {
		return "", err
	}
	s.SrvDir = ""
	b, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("cannot name the hub: %w", err)
	}
	h := sha256.Sum256(append(b, py...))
	return hex.EncodeToString(h[:16]), nil
}

// home is where one hub container keeps its things.
type home struct {
	name      string // the container's
	dir       string // sockets, tokens and report, on the host and inside
	data      string // database and cookie secret, on the host
	candidate bool
}

func (h *Hub) servingHome() home {
	return home{name: fmt.Sprintf("conjured-%s-hub", h.cfg.Instance), dir: h.paths.hubDir, data: h.paths.data}
}

var hubEnvName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// hubOwnedEnv is what a teacher's .env may not change in the hub.
var hubOwnedEnv = regexp.MustCompile(`^(PATH|HOME|LD_.*|PYTHON.*|CONFIGPROXY_.*|CONJURED_.*|JPY_.*|JUPYTERHUB_(API_TOKEN|CRYPT_KEY|BASE_URL).*)$`)

// hubSpec is the hub's container: no network, no engine's socket, nothing to write
// to but its sockets, its database and 64 MiB of /tmp.
func (h *Hub) hubSpec(s Spec, at home, python, key string) engine.Spec {
	env := map[string]string{}
	for k, v := range s.Env {
		if hubEnvName.MatchString(k) && !hubOwnedEnv.MatchString(k) {
			env[k] = v
		}
	}
	maps.Copy(env, map[string]string{
		"HOME": "/tmp", "LANG": "C.UTF-8",
		"PATH":           "/opt/conjured/hub/bin:/usr/local/bin:/usr/bin:/bin",
		"PYTHONPATH":     pythonPath,
		"PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1",
		"CONJURED_DIR": at.dir, "CONJURED_DATA": dataPath, "CONJURED_CLASS": s.ClassName,
	})
	var list []string
	for _, k := range slices.Sorted(maps.Keys(env)) {
		list = append(list, k+"="+env[k])
	}
	labels := map[string]string{
		engine.LabelRole: roleHub, engine.LabelKey: s.Fingerprint, labelHubKey: key,
	}
	if at.candidate {
		labels[labelCandidate] = "true"
	}
	spec := engine.Spec{
		Name: at.name, Image: s.CoreImage, Network: "none", Hostname: "hub",
		User: fmt.Sprintf("%d:%d", HubUID, HubUID), WorkDir: "/srv/jupyterhub",
		Entrypoint: []string{"/opt/conjured/hub/bin/python", "-m", "conjured_hub"},
		Cmd:        []string{"-f", pythonPath + "/conjured_hub/jupyterhub_config.py"},
		Env:        list, Labels: labels, Restart: "no",
		Tmpfs: map[string]string{"/tmp": "size=67108864,mode=1777,nosuid,nodev"},
		Mounts: []engine.Mount{
			{Source: at.dir, Target: at.dir, NoCreate: true},
			{Source: at.data, Target: dataPath, NoCreate: true},
			{Source: h.paths.servers, Target: h.paths.servers, ReadOnly: true, NoCreate: true},
			{Source: python, Target: pythonPath, ReadOnly: true, NoCreate: true},
		},
		Memory: gib, MemorySwap: gib, Pids: 512, CPUShares: hubShares, StopTimeout: hubGrace,
	}
	if s.SrvDir == "" {
		spec.Tmpfs["/srv/jupyterhub"] = "size=1048576,mode=1777"
	} else {
		spec.Mounts = append(spec.Mounts, engine.Mount{Source: s.SrvDir, Target: "/srv/jupyterhub", ReadOnly: true, NoCreate: true})
	}
	return confine(spec)
}

// dataPath is where the hub finds its database.
const dataPath = "/var/lib/conjured-hub"

// hubs gives the hub's container and the candidates that a daemon left behind.
func (h *Hub) hubs(ctx context.Context) (serving *engine.Container, left []engine.Container, err error) {
	cs, err := h.cfg.Engine.List(ctx, h.label(roleHub))
	if err != nil {
		return nil, nil, fmt.Errorf("cannot look for the hub: %w", err)
	}
	for _, c := range cs {
		if c.Labels[labelCandidate] == "" {
			serving = &c
		} else {
			left = append(left, c)
		}
	}
	return serving, left, nil
}
