package hub

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/notice"
)

// runtimeDir is where a server and its kernels find each other.
const runtimeDir = "/run/jupyter"

// EnvPath is where the environments are mounted, in every container.
const EnvPath = "/opt/conjured/env"

// serverSpec is one student's container: what the teacher's override adds, with
// everything that keeps students apart laid over it.
func (h *Hub) serverSpec(id string, ask startRequest, a Account, class Class, home string) engine.Spec {
	l := h.cfg.limits(a)
	s := merge(class.Server, engine.Spec{
		Name: h.containerName(id), Image: class.Image, Network: h.cfg.Network,
		User: fmt.Sprintf("%d:%d", a.UID, a.GID), WorkDir: "/home/" + a.Name, Hostname: hostname(a.Name),
		Entrypoint: []string{"/opt/conjured/bin/launch", "base@current", "python", startPath + "/conjured_server"},
		Cmd: []string{
			"--ServerApp.sock=" + h.paths.sock(id), "--ServerApp.sock_mode=0666",
			"--ServerApp.ip=", "--KernelManager.transport=ipc",
			// Whose kernels there are is said by JUPYTER_PATH alone.
			"--KernelSpecManager.ensure_native_kernel=False",
			// In the wastebasket files would still fill the home, and a full one has no room for them there.
			"--FileContentsManager.delete_to_trash=False",
		},
		Env:    serverEnv(ask, a, h.paths, kernelsOf(a.Name, class)),
		Labels: map[string]string{engine.LabelRole: roleServer, labelUser: a.Name, labelServer: ask.Server},
		Tmpfs: map[string]string{
			"/tmp":     fmt.Sprintf("size=%d,mode=1777,exec,nosuid,nodev", or(l.Tmp, 256*mib)),
			"/var/tmp": "size=67108864,mode=1777,nosuid,nodev",
			// What Jupyter needs to start a kernel is apart: with /tmp full there would be none.
			runtimeDir: fmt.Sprintf("size=16777216,mode=0700,uid=%d,gid=%d,noexec,nosuid,nodev", a.UID, a.GID),
		},
		Mounts: []engine.Mount{
			{Source: home, Target: "/home/" + a.Name, NoCreate: true},
			{Source: h.paths.place(id), Target: h.paths.place(id), NoCreate: true},
			{Source: h.paths.upstream, Target: h.paths.upstream, ReadOnly: true, NoCreate: true},
			{Source: h.paths.own(id) + "/passwd", Target: "/etc/passwd", ReadOnly: true, NoCreate: true},
			{Source: h.paths.own(id) + "/group", Target: "/etc/group", ReadOnly: true, NoCreate: true},
		},
		Memory: l.Memory, MemorySwap: l.Memory, Pids: l.Pids, CPUs: l.CPUs, ShmSize: l.Shm,
		CPUShares: serverShares, Ulimits: ulimits(l),
		OOMScoreAdj: 500, Restart: "no", StopTimeout: stopGrace,
	})
	if class.EnvDir != "" {
		s.Mounts = append(s.Mounts, engine.Mount{Source: class.EnvDir, Target: EnvPath, ReadOnly: true, NoCreate: true})
	}
	if class.Shared != "" {
		s.Mounts = append(s.Mounts, engine.Mount{Source: class.Shared, Target: "/shared", ReadOnly: true, NoCreate: true})
	}
	return confine(s)
}

// fenced gives s the students' network when it is shut off from the machine and its
// neighbours, and else none: a class without downloads goes on, a class that can
// reach the box's own services must not.
func (h *Hub) fenced(ctx context.Context, s engine.Spec) engine.Spec {
	if h.cfg.Fence == nil {
		return s
	}
	if err := h.cfg.Fence(ctx); err != nil && ctx.Err() == nil {
		h.cfg.Log.Error("the students' network is not shut off; starting without one", "error", err)
		h.cfg.Notify(notice.Notice{
			Code: "network-open", Severity: notice.SeverityWarning,
			What:  "the students' network could not be shut off from this machine and its neighbours",
			Means: "servers that start now have no network at all: notebooks work, downloads in them do not",
			Do:    "run conjured doctor; without the program iptables, install the package of that name",
		})
		s.Network = "none"
	}
	return s
}

// confine takes from a container all it does not need. Privileges an override asks
// for were refused or allowed by policy before they came here; what is left of them
// (CapAdd, Devices) stays.
func confine(s engine.Spec) engine.Spec {
	s.ReadOnly, s.Init = true, true
	s.CapDrop = []string{"ALL"}
	if !slices.Contains(s.SecurityOpt, "no-new-privileges") {
		s.SecurityOpt = append(slices.Clone(s.SecurityOpt), "no-new-privileges")
	}
	return s
}

// serverShares is a server's weight when cores are short, the same for every student
// and for what is built beside the class; hubShares is the hub's, which all wait for.
const (
	serverShares = 1024
	hubShares    = 4096
)

// ulimits bounds what no control group counts. A core dump would only fill the home.
func ulimits(l Limits) []engine.Ulimit {
	u := []engine.Ulimit{{Name: "core"}}
	if l.Files > 0 {
		u = append(u, engine.Ulimit{Name: "nofile", Soft: l.Files, Hard: l.Files})
	}
	return u
}

// merge lays ours over the fields of a teacher's override that make sense for many
// small containers. Lists are joined, ours last; a size the teacher states wins over
// our default; whatever says who the container is, what it runs and how it is named
// is ours alone.
func merge(teacher, ours engine.Spec) engine.Spec {
	s := ours
	s.Env = append(withoutNames(teacher.Env, ours.Env), ours.Env...)
	s.Mounts = append(withoutTargets(teacher.Mounts, ours), ours.Mounts...)
	s.Tmpfs = maps.Clone(teacher.Tmpfs)
	if s.Tmpfs == nil {
		s.Tmpfs = map[string]string{}
	}
	maps.Copy(s.Tmpfs, ours.Tmpfs)
	s.Labels = maps.Clone(ours.Labels)
	s.Sysctls = teacher.Sysctls
	s.Runtime, s.CapAdd, s.SecurityOpt, s.GroupAdd = teacher.Runtime, teacher.CapAdd, teacher.SecurityOpt, teacher.GroupAdd
	s.ExtraHosts, s.DNS, s.DNSSearch = teacher.ExtraHosts, teacher.DNS, teacher.DNSSearch
	s.Ulimits = append(slices.Clone(teacher.Ulimits), slices.DeleteFunc(slices.Clone(ours.Ulimits), func(u engine.Ulimit) bool {
		return slices.ContainsFunc(teacher.Ulimits, func(t engine.Ulimit) bool { return t.Name == u.Name })
	})...)
	s.Devices, s.DeviceRequests = teacher.Devices, teacher.DeviceRequests
	s.IPCMode, s.Privileged = teacher.IPCMode, teacher.Privileged
	if teacher.Memory > 0 {
		s.Memory, s.MemorySwap = teacher.Memory, max(teacher.MemorySwap, teacher.Memory)
	}
	s.ShmSize, s.Pids = or(teacher.ShmSize, ours.ShmSize), or(teacher.Pids, ours.Pids)
	if teacher.CPUs > 0 {
		s.CPUs = teacher.CPUs
	}
	return s
}

// withoutNames drops the variables that ours sets. Left in, the first of two would
// count, whatever the order says.
func withoutNames(env, ours []string) []string {
	set := map[string]bool{}
	for _, e := range ours {
		name, _, _ := strings.Cut(e, "=")
		set[name] = true
	}
	var l []string
	for _, e := range env {
		if name, _, _ := strings.Cut(e, "="); !set[name] {
			l = append(l, e)
		}
	}
	return l
}

// withoutTargets drops the mounts that would hide one of ours.
func withoutTargets(ms []engine.Mount, ours engine.Spec) []engine.Mount {
	taken := []string{EnvPath, startPath, labPath, runtimeDir, "/shared", "/home", "/etc/passwd", "/etc/group"}
	for _, m := range ours.Mounts {
		taken = append(taken, m.Target)
	}
	var l []engine.Mount
	for _, m := range ms {
		if !slices.Contains(taken, strings.TrimSuffix(m.Target, "/")) {
			l = append(l, m)
		}
	}
	return l
}

// serverEnv is the server's environment, sorted. What the hub asked for comes first
// and cannot change ours. kernels is the directory of the user's kernels.
func serverEnv(ask startRequest, a Account, p paths, kernels string) []string {
	e := maps.Clone(ask.Env)
	if e == nil {
		e = map[string]string{}
	}
	api := p.url(p.upstreamSock()) + "/hub/api"
	maps.Copy(e, map[string]string{
		"HOME": "/home/" + a.Name, "USER": a.Name, "LOGNAME": a.Name, "SHELL": "/bin/bash",
		"JUPYTER_PATH":                  kernels,
		"JUPYTER_RUNTIME_DIR":           runtimeDir,
		"JUPYTER_ALLOW_INSECURE_WRITES": "true",
		"XDG_RUNTIME_DIR":               runtimeDir,
		"JUPYTERHUB_API_URL":            api,
		"JUPYTERHUB_ACTIVITY_URL":       api + "/users/" + a.Name + "/activity",
	})
	if e["LANG"] == "" {
		e["LANG"] = "C.UTF-8"
	}
	var l []string
	for _, k := range slices.Sorted(maps.Keys(e)) {
		l = append(l, k+"="+e[k])
	}
	return l
}

// kernelsOf is where a user's server finds its kernels: in the list that the daemon
// keeps for them, or all that there are when the image has its own environments.
func kernelsOf(user string, class Class) string {
	if class.EnvDir == "" {
		return EnvPath
	}
	return EnvPath + "/users/" + user
}

// hostname is what a terminal's prompt shows: the student's name as a DNS label.
func hostname(user string) string {
	b := []byte(strings.ToLower(user))
	for i, c := range b {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			b[i] = '-'
		}
	}
	s := strings.Trim(string(b[:min(len(b), 40)]), "-")
	if s == "" {
		return "class"
	}
	return s
}

func or[T comparable](a, b T) T {
	var zero T
	if a != zero {
		return a
	}
	return b
}
