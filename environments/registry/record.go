package registry

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
	"github.com/conjuring/conjured/notice"
)

var errNoHistory = errors.New("there is no history")

// recording does something with the history. What fails there costs a notice and is made
// up for by the next verb on env; it never keeps packages from people.
func (r *Registry) recording(ctx context.Context, env environments.Name, o *Outcome, f func(History) error) bool {
	err := errNoHistory
	if r.history != nil {
		err = f(r.history)
	}
	if err == nil {
		return true
	}
	r.behind[string(env)] = true
	if ctx.Err() != nil {
		return false // given up, not broken
	}
	r.c.Log.Warn("cannot write the history of packages", "env", env, "error", err)
	o.add(historyNotices(env, err)...)
	return false
}

// historyNotices words an error of the history: its own words when it has some, such as
// about a password in a file.
func historyNotices(env environments.Name, err error) notice.List {
	l := notice.For(err)
	if len(l) != 1 || l[0].Code != "unexpected" {
		return l
	}
	return notice.List{warning("environment-history",
		fmt.Sprintf("what was changed in the packages of %s could not be written into their history", cmp.Or(string(env), "the class")),
		"kernels are not affected: they start from what is on the disk, and that was changed",
		"look at conjured doctor: a full disk is the usual reason; the history is completed by itself later")}
}

func warning(code, what, means, do string) notice.Notice {
	return notice.Notice{Code: code, Severity: notice.SeverityWarning, What: what, Means: means, Do: do}
}

// add appends the notices that o does not have yet.
func (o *Outcome) add(l ...notice.Notice) {
	for _, n := range l {
		if !slices.Contains(o.Notices, n) {
			o.Notices = append(o.Notices, n)
		}
	}
}

// putSpec records what an environment was asked for with.
func (r *Registry) putSpec(ctx context.Context, env environments.Name, files []history.File, o *Outcome) {
	if len(files) == 0 {
		return
	}
	r.recording(ctx, env, o, func(h History) error {
		_, err := h.PutSpec(ctx, string(env), files, "what "+string(env)+" is asked for")
		return err
	})
}

// put records g's manifest and tags it; nothing is written when it is the newest one.
func (r *Registry) put(ctx context.Context, h History, g environments.Generation) (string, error) {
	files, err := manifestFiles(g, r.c.Store.Spec(g.Env, g.Number)[envSpec])
	if err != nil {
		return "", err
	}
	if _, err := h.PutManifest(ctx, string(g.Env), files, fmt.Sprintf("what %s gets", g.Env)); err != nil {
		return "", err
	}
	t, err := h.Tag(ctx, string(g.Env))
	if err != nil {
		return "", err
	}
	r.learn(string(g.Env), t.Name, g.ID)
	if err := r.c.Store.KeepTag(g, t.Name); err != nil {
		return "", err
	}
	return t.Name, nil
}

// manifestFiles are what the history keeps of a generation: no number and no time, so
// that the same packages, built again, are the same commit.
func manifestFiles(g environments.Generation, spec []byte) ([]history.File, error) {
	about, err := json.MarshalIndent(map[string]any{ // a map, for its sorted keys
		"env": g.Env, "id": g.ID, "image": g.Image, "platform": g.Manifest.Platform,
		"python": g.Manifest.Python,
	}, "", "\t")
	if err != nil {
		return nil, err
	}
	files := []history.File{{Name: "generation.json", Data: append(about, '\n')}}
	if spec != nil {
		files = append(files, history.File{Name: envSpec, Data: spec})
	}
	return append(files, lockFiles(g.Manifest)...), nil
}

// lockFiles are m for this tool, for conda, for the old tool and for pip.
func lockFiles(m environments.Manifest) []history.File {
	return []history.File{
		{Name: manifestTxt, Data: m.Canonical()},
		{Name: "conda.lock", Data: m.Explicit()},
		{Name: envManifest, Data: m.Legacy()},
		{Name: "requirements.lock", Data: m.RequirementsLock()},
	}
}

const (
	manifestTxt = "manifest.txt"
	envManifest = "env.manifest"
	envSpec     = "env.spec"
)

// identity says which generations are copies of a recorded manifest: the manifest's ID,
// or for one that only the old tool's list tells, a digest of that. "" is none.
func identity(files []history.File) string {
	if b, ok := find(files, manifestTxt); ok {
		if m, err := environments.ParseManifest(b); err == nil {
			return m.ID()
		}
	}
	if b, ok := find(files, envManifest); ok {
		return legacyIdentity(b)
	}
	return ""
}

func digest(lines []string) string {
	h := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(h[:])
}

func find(files []history.File, name string) ([]byte, bool) {
	i := slices.IndexFunc(files, func(f history.File) bool { return f.Name == name })
	if i < 0 {
		return nil, false
	}
	return files[i].Data, true
}
