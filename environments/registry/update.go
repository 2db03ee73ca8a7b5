package registry

import (
	"context"
	"fmt"
	"slices"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// Options say how far an update may go. The zero Options change as little as possible.
type Options = environments.ResolveOptions

// Update resolves, builds, tags and, if the policy lets it, promotes the environments of
// these names, or all that are wanted when there are none. Each has an outcome of its own,
// and one that fails does not keep another one waiting. The error is nil unless nothing
// could be tried, or ctx ended; the outcomes so far are given with it.
func (r *Registry) Update(ctx context.Context, names []string, opt Options, sink progress.Sink) ([]Outcome, error) {
	return r.each(ctx, names, sink, func(w Wanted) (Outcome, error) { return r.update(ctx, w, opt, sink) })
}

// Resolve finds out what the environments of these names, or all, come to now, and
// records it. Nothing is built: Deploy does that.
func (r *Registry) Resolve(ctx context.Context, names []string, opt Options, sink progress.Sink) ([]Outcome, error) {
	return r.each(ctx, names, sink, func(w Wanted) (Outcome, error) { return r.resolve(ctx, w, opt, sink) })
}

// each does something for the wanted environments of these names.
func (r *Registry) each(ctx context.Context, names []string, sink progress.Sink, do func(Wanted) (Outcome, error)) ([]Outcome, error) {
	all, err := r.Wanted(ctx)
	if err != nil {
		return nil, err
	}
	var out []Outcome
	all = slices.DeleteFunc(slices.Clone(all), func(w Wanted) bool { return len(names) > 0 && !slices.Contains(names, string(w.Env)) })
	for _, n := range names {
		if !slices.ContainsFunc(all, func(w Wanted) bool { return string(w.Env) == n }) {
			o, _ := Outcome{Env: n}.failed(notWanted(n))
			out = append(out, o)
		}
	}
	seen := map[environments.Name]bool{}
	for i, w := range all {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		if seen[w.Env] {
			o, _ := Outcome{Env: string(w.Env)}.failed(twice(w))
			out = append(out, o)
			continue
		}
		seen[w.Env] = true
		sink.Progress(progress.Event{Job: "environment", Step: "looking at " + display(w.Spec), Done: int64(i), Total: int64(len(all)), Unit: "environments"})
		o, err := do(w)
		if err != nil {
			r.c.Log.Warn("cannot update an environment", "env", w.Env, "error", err)
		}
		out = append(out, o)
	}
	return out, ctx.Err()
}

func notWanted(name string) error {
	return refused("environment-not-wanted", fmt.Sprintf("nobody asks for an environment %.60q", name),
		"the others were not affected", "look at the names with: conjured env list", nil)
}

func twice(w Wanted) error {
	return refused("environment-twice", fmt.Sprintf("two parts of the folder ask for an environment that is called %s", w.Env),
		"the first of them is made, the second one is not", "rename one of the two: "+display(w.Spec), nil)
}

func (r *Registry) update(ctx context.Context, w Wanted, opt Options, sink progress.Sink) (Outcome, error) {
	o, err := r.make(ctx, w, opt, sink)
	if err != nil {
		return o, err
	}
	settled, err := r.Settle(ctx, w.Env)
	settled.Notices = append(o.Notices, settled.Notices...)
	if settled.Did == Unchanged {
		return o, err
	}
	if settled.Tag == "" {
		settled.Tag = o.Tag
	}
	if settled.Labels == nil {
		settled.Labels = o.Labels
	}
	return settled, err
}

// make is Prepare with options.
func (r *Registry) make(ctx context.Context, w Wanted, opt Options, sink progress.Sink) (Outcome, error) {
	if !opt.Upgrade && len(opt.Packages) == 0 && !opt.Offline {
		return r.Prepare(ctx, w, sink)
	}
	o := Outcome{Env: string(w.Env)}
	done, err := r.building.take(ctx)
	if err != nil {
		return o.failed(err)
	}
	defer done()
	m, told, err := r.c.Builder.Resolve(ctx, w.Spec, opt, sink)
	o.Notices = told
	if err != nil {
		return o.failed(err)
	}
	made, err := r.c.Builder.Build(ctx, w.Spec, m, sink)
	if err != nil {
		return o.failed(r.missing(ctx, string(w.Env), "", m, err))
	}
	made.Notices = append(slices.Clone(told), made.Notices...)
	return r.arrive(ctx, w, made)
}

func (r *Registry) resolve(ctx context.Context, w Wanted, opt Options, sink progress.Sink) (Outcome, error) {
	o := Outcome{Env: string(w.Env), Did: Resolved}
	building, err := r.building.take(ctx)
	if err != nil {
		return o.failed(err)
	}
	defer building()
	m, told, err := r.c.Builder.Resolve(ctx, w.Spec, opt, sink)
	o.Notices = told
	if err != nil {
		return o.failed(err)
	}
	done, err := r.changing.take(ctx)
	if err != nil {
		return o.failed(err)
	}
	defer done()
	g := environments.Generation{Env: w.Env, ID: m.ID(), Image: w.Image, Manifest: m}
	now, _ := r.c.Store.Current(w.Env)
	o.compare(now, g, display(w.Spec))
	if now.ID == g.ID && !r.behind[o.Env] {
		o.Did, o.Generation = Unchanged, now.Number
		return o, nil
	}
	return r.recordResolved(ctx, w, g, o)
}

// recordResolved writes a manifest that has no generation yet. It is the whole point of
// the verb, so that here the history's failure is the verb's.
func (r *Registry) recordResolved(ctx context.Context, w Wanted, g environments.Generation, o Outcome) (Outcome, error) {
	if r.history == nil {
		return o.failed(noHistory(w.Env, errNoHistory))
	}
	files := w.files()
	spec, _ := find(files, envSpec)
	ms, err := manifestFiles(g, spec)
	if err != nil {
		return o.failed(err)
	}
	if _, err := r.history.PutSpec(ctx, o.Env, files, "what "+o.Env+" is asked for"); err != nil {
		return o.failed(worded(w.Env, err))
	}
	changed, err := r.history.PutManifest(ctx, o.Env, ms, "what "+o.Env+" gets")
	if err != nil {
		return o.failed(worded(w.Env, err))
	}
	if !changed {
		o.Did = Unchanged
	}
	return o, nil
}

// worded gives an error of the history to a person who asked for it.
func worded(env environments.Name, err error) error {
	l := historyNotices(env, err)
	return &notice.Error{Notice: l[0], Err: err}
}
