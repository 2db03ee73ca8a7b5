package environments

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// resolution is a manifest and what a teacher should know about it.
type resolution struct {
	Manifest Manifest    `json:"-"`
	Text     string      `json:"manifest"`
	Notices  notice.List `json:"notices"`
	trial    trial
	supposed bool // the manifest counts only when the trial's rest says so
}

// roots are what every class needs of the core set, whatever else has to give way.
// The students' servers speak to the hub through jupyterhub, so its version is the hub's.
var roots = []string{"ipykernel", "jupyterhub", "jupyterlab", "notebook"}

// resolve asks uv for a manifest. With install, the same container also builds the
// generation when the manifest is a new one; else the generation's Number is 0.
func (b *Builder) resolve(ctx context.Context, s Spec, o ResolveOptions, install bool, sink progress.Sink) (resolution, Generation, error) {
	w, err := b.prepare(s, o)
	if err != nil {
		return resolution{}, Generation{}, err
	}
	drop := func() { w.drop(b.c.Log) }
	defer func() { drop() }()
	mode, g := "resolve", Generation{Env: s.Env}
	if install && !s.hashed() { // else the files are compared before any is installed
		mode = "both"
		if g, err = b.begin(s, Manifest{}); err != nil {
			return resolution{}, Generation{}, err
		}
	}
	var moved bool
	out, err := b.attempt(ctx, s, w, mode, &g, sink)
	for range maxSources {
		built, bErr := b.fromSource(ctx, s, w, err, sink)
		if bErr != nil {
			err = bErr
		}
		if !built || bErr != nil {
			break
		}
		out, err = b.attempt(ctx, s, w, mode, &g, sink)
	}
	relaxed := w
	if clash(err) && relaxed.relax(s) == nil {
		// The Lab set cannot stay exactly as it is: keep its roots, let the rest move.
		if again, err2 := b.attempt(ctx, s, relaxed, mode, &g, sink); err2 == nil {
			out, err, moved = again, nil, true
		}
	}
	if err == nil {
		out.manifest, err = w.keepTo(s, out.manifest, b.lab(s))
	}
	if err != nil && out.supposed {
		_, _ = out.rest() // it ends before the generation goes
	}
	if (err != nil || out.unchanged) && g.Number != 0 {
		b.abandon(g)
		g.Number = 0
	}
	if err != nil {
		return resolution{}, Generation{}, err
	}
	r := resolution{Manifest: s.with(out.manifest), Notices: out.notices, trial: s.trial(g, w.prev, out.built)}
	r.trial.rest, r.supposed = out.rest, out.supposed
	if out.supposed { // build.py still reads there
		all := drop
		drop = func() {}
		r.trial.rest = func() (notice.List, error) {
			defer all()
			return out.rest()
		}
	}
	if moved {
		r.Notices = append(r.Notices, movedNotices(s, out.manifest)...)
	}
	g.Manifest = r.Manifest
	if g.Number != 0 {
		out.on(&g, w.prev)
	}
	if o.Upgrade || len(o.Packages) > 0 {
		b.upgraded[b.digest(s)] = r.Manifest.ID()
		return r, g, nil
	}
	if r.supposed {
		return r, g, nil // it is remembered when it is known
	}
	return r, g, b.remember(s, r)
}

// movedNotices says which packages of the core set are not as locked, and who asked.
func movedNotices(s Spec, m Manifest) notice.List {
	core, err := parseLock(s.Core)
	if err != nil {
		return nil
	}
	var moved []string
	for _, p := range core {
		if q, ok := m.Find(p.Name); ok && q.String() != p.String() {
			moved = append(moved, fmt.Sprintf("%s %s instead of %s", p.Name, q.Version, p.Version))
		}
	}
	if len(moved) == 0 {
		return nil
	}
	more := ""
	if len(moved) > 6 {
		more = fmt.Sprintf(" and %d more", len(moved)-6)
		moved = moved[:6]
	}
	file, line := "requirements.txt", 0
	for _, r := range s.Requirements {
		if slices.ContainsFunc(core, func(p Package) bool { return p.Name == r.Name }) {
			file, line = r.File, r.Line
			break
		}
	}
	return notice.List{{
		Code: "environment-lab-moved", Severity: notice.SeverityWarning, File: file, Line: line,
		What:  "the packages asked for need another version of what JupyterLab is made of: " + strings.Join(moved, ", ") + more,
		Means: "the class gets the versions that were asked for; JupyterLab started with them in a test, but was not made for them",
		Do:    "leave out the version number of these packages unless the lesson needs it",
	}}
}

// recall gives the manifest that the same spec had before.
func (b *Builder) recall(s Spec) (resolution, bool) {
	text, err := readSmall(b.resolvedPath(s))
	if err != nil {
		return resolution{}, false
	}
	var r resolution
	if json.Unmarshal(text, &r) != nil {
		return resolution{}, false
	}
	r.Manifest, err = ParseManifest([]byte(r.Text))
	r.Manifest = s.with(r.Manifest)
	return r, err == nil
}

func (b *Builder) remember(s Spec, r resolution) error {
	r.Text = string(r.Manifest.Canonical())
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := b.c.Store.write(b.resolvedPath(s), text, 0o600); err != nil {
		return fmt.Errorf("cannot keep a manifest: %w", err)
	}
	return nil
}

func (b *Builder) resolvedPath(s Spec) string {
	return filepath.Join(b.c.Store.root, "store", "resolved", b.digest(s)+".json")
}

// digest is what a manifest of s depends on, apart from the state of the index.
func (b *Builder) digest(s Spec) string {
	index := b.c.Index
	if len(s.Conda) > 0 || s.Python != "" {
		index += b.c.CondaMirror
	}
	return s.digest(index)
}

// takeWheel copies a local wheel into the store, by its hash, and gives its path
// relative to the store's root.
func (s *Store) takeWheel(spec Spec, w Wheel) (string, error) {
	rel := filepath.Join("store", "wheel", w.SHA256, filepath.Base(w.Path))
	path := filepath.Join(s.root, rel)
	if _, err := os.Lstat(path); err == nil {
		return rel, nil
	}
	data, err := readWheel(spec.Files, w)
	if err != nil {
		return "", err
	}
	if err := mkdir(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("cannot keep a wheel: %w", err)
	}
	if err := s.write(path, data, 0o444); err != nil {
		return "", fmt.Errorf("cannot keep a wheel: %w", err)
	}
	return rel, nil
}
