package registry

import (
	"context"
	"errors"
	"time"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
	"github.com/conjuring/conjured/notice"
)

// Cleared is what GC came to.
type Cleared struct {
	Outcomes []Outcome // of each generation that went, or would go; one that waits while a lesson runs
	Freed    []environments.Freed
}

// OldHistories are histories that were damaged and are kept for somebody who knows git.
const OldHistories environments.Leftover = "old-histories"

// keptHistories is how many of them: the newest ones.
const keptHistories = 2

// keptTags is how many of the newest tags of each environment can be deployed without
// network.
const keptTags = 10

// lessonInterval is how long a lesson that began may go unnoticed by GC.
const lessonInterval = time.Second

// GC removes what nobody needs, see environments.Store.Collect; with dry it only says what
// that would be. In class hours it removes nothing and says so, and a lesson that begins
// meanwhile ends it.
//
// What can be deployed without network stays so: the manifests that a label or a
// generation has, the newest ten tags of each environment, and what was resolved last.
func (r *Registry) GC(ctx context.Context, dry bool) (Cleared, error) {
	if !dry && r.lesson() {
		return Cleared{Outcomes: []Outcome{later()}}, nil
	}
	building, err := r.building.take(ctx)
	if err != nil {
		return Cleared{}, err
	}
	defer building()
	roots, err := r.roots(ctx, dry)
	if err != nil {
		return Cleared{}, err
	}
	out, err := r.collect(ctx, roots)
	if err == nil {
		err = r.dropHistories(ctx, dry, &out)
	}
	if errors.Is(err, environments.ErrStopped) {
		out.Outcomes, err = append(out.Outcomes, later()), nil
	}
	return out, err
}

// roots gathers what has to stay.
func (r *Registry) roots(ctx context.Context, dry bool) (environments.Roots, error) {
	roots := environments.Roots{IDs: r.c.Store.Exported(), Dry: dry}
	done, err := r.changing.take(ctx)
	if err != nil {
		return roots, err
	}
	defer done()
	if !dry {
		roots.Stop = r.lessonBegan()
	}
	roots.Manifests, roots.Known = r.deployable(ctx)
	return roots, nil
}

// collect removes what roots do not keep. No label moves to a generation that goes; who
// only looks keeps nobody from a rollback.
func (r *Registry) collect(ctx context.Context, roots environments.Roots) (Cleared, error) {
	did := Removable
	if !roots.Dry {
		did = Removed
		done, err := r.changing.take(ctx)
		if err != nil {
			return Cleared{}, err
		}
		defer done()
	}
	swept, err := r.c.Store.Collect(ctx, roots)
	out := Cleared{Freed: swept.Freed}
	for _, g := range swept.Generations {
		out.Outcomes = append(out.Outcomes, Outcome{Env: string(g.Env), Did: did, Generation: g.Number})
	}
	return out, err
}

// dropHistories removes old damaged histories.
func (r *Registry) dropHistories(ctx context.Context, dry bool, out *Cleared) error {
	done, err := r.changing.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	if r.history == nil {
		return nil
	}
	n, bytes, err := r.history.DropAside(ctx, keptHistories, dry)
	if n > 0 {
		out.Freed = append(out.Freed, environments.Freed{Kind: OldHistories, Count: n, Bytes: bytes})
	}
	return err
}

func (r *Registry) lesson() bool { return r.c.Busy != nil && r.c.Busy() }

// lessonBegan asks whether a lesson runs, not more often than is needed.
func (r *Registry) lessonBegan() func() bool {
	var asked time.Time
	return func() bool {
		if time.Since(asked) < lessonInterval {
			return false
		}
		asked = time.Now()
		return r.lesson()
	}
}

func later() Outcome {
	return Outcome{Did: Waiting, Notices: notice.List{warning("environment-gc-later",
		"old packages are not removed while a lesson runs", "what is not removed yet stays as it was",
		"do the same again after the lesson, or leave it to the box, which does it by itself")}}
}

// deployable gives the manifests that people may want back: what a label of the history
// names, the newest tags of each environment, and what was resolved and not built yet.
// known is false when the history cannot be read: then any could be wanted. Call it in
// the turn for changing.
func (r *Registry) deployable(ctx context.Context) (ms []environments.Manifest, known bool) {
	if r.history == nil {
		return nil, false
	}
	envs, err := r.history.Environments(ctx)
	for i := 0; i < len(envs) && err == nil; i++ {
		var more []environments.Manifest
		more, err = r.deployableOf(ctx, envs[i])
		ms = append(ms, more...)
	}
	if err != nil {
		r.c.Log.Warn("cannot tell what the history needs of the stored packages", "error", err)
	}
	return ms, err == nil
}

func (r *Registry) deployableOf(ctx context.Context, env string) ([]environments.Manifest, error) {
	l, err := r.taglist(ctx, r.history, env)
	if err != nil {
		return nil, err
	}
	labels, err := r.history.Labels(ctx, env)
	if err != nil && !errors.Is(err, history.ErrNothing) {
		return nil, err
	}
	revs := map[string]bool{"": true} // the newest, also before it has a tag
	for _, tag := range l.names[max(len(l.names)-keptTags, 0):] {
		revs[tag] = true
	}
	for _, tag := range labels {
		revs[tag] = true
	}
	var out []environments.Manifest
	for rev := range revs {
		files, err := r.history.Manifest(ctx, env, rev)
		if errors.Is(err, history.ErrNothing) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if m, ok := manifestIn(files); ok {
			out = append(out, m)
		}
	}
	return out, nil
}

// manifestIn reads a recorded manifest. One of the old tool has no hashes: its packages
// of conda have their names, versions and builds.
func manifestIn(files []history.File) (environments.Manifest, bool) {
	if b, ok := find(files, manifestTxt); ok {
		m, err := environments.ParseManifest(b)
		return m, err == nil
	}
	list, _ := find(files, envManifest)
	pkgs, err := environments.ParseLegacy(list)
	var m environments.Manifest
	for _, p := range pkgs {
		m.Packages = append(m.Packages, environments.Package{Kind: environments.Conda, Name: p.Name, Version: p.Version, Build: p.Build})
	}
	return m, err == nil && len(pkgs) > 0
}
