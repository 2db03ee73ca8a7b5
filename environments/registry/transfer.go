package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
	"github.com/conjuring/conjured/progress"
)

// withImported adds the environments that were imported and that ws does not have.
func (r *Registry) withImported(ctx context.Context, ws []Wanted) ([]Wanted, error) {
	names, err := r.c.Store.Environments()
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(n environments.Name) bool {
		return !r.c.Store.Imported(n) || slices.ContainsFunc(ws, func(w Wanted) bool { return w.Env == n })
	})
	if len(names) == 0 {
		return ws, nil
	}
	done, err := r.changing.take(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	out := slices.Clone(ws)
	for _, n := range names {
		s, err := r.readSpec(ctx, n)
		if err != nil {
			r.c.Log.Warn("cannot read what an imported environment asks for", "env", n, "error", err)
			continue
		}
		files, err := r.history.Spec(ctx, string(n))
		if err == nil {
			out = append(out, Wanted{Spec: s, History: files, imported: true})
		}
	}
	return out, nil
}

// Import takes over a repository of conda-gitenv, builds what its labels name and puts
// the labels on the disk. A label whose tag cannot be built stays in the history alone
// until Deploy has built it. One environment that fails does not keep another one from
// coming in; each has an outcome.
func (r *Registry) Import(ctx context.Context, from string, sink progress.Sink) ([]Outcome, error) {
	defer r.tell()
	taken, err := r.takeOver(ctx, from)
	if err != nil {
		return nil, err
	}
	var out []Outcome
	if len(taken.Environments) == 0 {
		return []Outcome{{Did: Failed, Notices: taken.Notices}}, nil
	}
	if len(taken.Notices) > 0 {
		out = append(out, Outcome{Did: Imported, Notices: taken.Notices})
	}
	for _, e := range taken.Environments {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		o := Outcome{Env: e.Env, Did: Unchanged}
		if e.Changed {
			o.Did = Imported
		}
		o, err := r.settleImported(ctx, e, o, sink)
		if err != nil {
			r.c.Log.Warn("cannot build an imported environment", "env", e.Env, "error", err)
		}
		out = append(out, o)
	}
	return out, ctx.Err()
}

// takeOver reads the repository into ours, and marks what nobody's folder asks for.
func (r *Registry) takeOver(ctx context.Context, from string) (history.Imported, error) {
	ws, err := r.c.Wanted(ctx)
	if err != nil {
		return history.Imported{}, err
	}
	done, err := r.changing.take(ctx)
	if err != nil {
		return history.Imported{}, err
	}
	defer done()
	if r.history == nil {
		return history.Imported{}, noHistory("", errNoHistory)
	}
	taken, err := r.history.Import(ctx, from)
	if err != nil {
		return taken, moved(ctx, "environment-import", fmt.Sprintf("%.100s could not be taken over", from), err)
	}
	clear(r.tags)
	for _, e := range taken.Environments {
		env := environments.Name(e.Env)
		if slices.ContainsFunc(ws, func(w Wanted) bool { return w.Env == env }) {
			continue
		}
		if err := r.c.Store.Adopt(env, e.Display); err != nil {
			return taken, err
		}
	}
	return taken, nil
}

// settleImported builds what the labels of one environment name; one without a label
// current gets its newest tag at next, and the policy decides.
func (r *Registry) settleImported(ctx context.Context, e history.ImportedEnvironment, o Outcome, sink progress.Sink) (Outcome, error) {
	env := environments.Name(e.Env)
	if err := checkName(e.Env); err != nil {
		return o.failed(err)
	}
	spec, err := r.specFor(ctx, env)
	if err != nil {
		return o.failed(err)
	}
	did := o.Did
	for _, tag := range slices.Compact(slices.Sorted(maps.Values(e.Labels))) {
		if o, err = r.deployTag(ctx, spec, tag, o, sink); err != nil {
			return o, err
		}
	}
	_, currentErr := r.c.Store.Current(env)
	_, nextErr := r.c.Store.Label(env, environments.Next)
	if currentErr == nil || len(e.Tags) == 0 {
		if did == Imported {
			o.Did = did
		}
		return o, nil
	}
	if nextErr != nil {
		tag := e.Tags[len(e.Tags)-1].Name
		if o, err = r.deployTag(ctx, spec, tag, o, sink); err != nil {
			return o, err
		}
		if _, err := r.Label(ctx, env, string(environments.Next), strconv.Itoa(o.Generation)); err != nil {
			return o.failed(err)
		}
	}
	settled, err := r.Settle(ctx, env)
	settled.Notices = append(o.Notices, settled.Notices...)
	return settled, err
}

func (r *Registry) deployTag(ctx context.Context, spec environments.Spec, tag string, o Outcome, sink progress.Sink) (Outcome, error) {
	building, err := r.building.take(ctx)
	if err != nil {
		return o.failed(err)
	}
	defer building()
	return r.deploy(ctx, spec, tag, o, sink)
}

// bear puts those labels of the history on the disk that name tag and that nothing on
// the disk could bear until now, when g is its copy.
func (r *Registry) bear(ctx context.Context, tag string, g environments.Generation, o *Outcome) error {
	done, err := r.changing.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	recorded, err := r.history.Labels(ctx, o.Env)
	if err != nil {
		return worded(g.Env, err)
	}
	labels, err := r.c.Store.Labels(g.Env)
	if err != nil {
		return err
	}
	borne := false
	for l, t := range recorded {
		label := environments.Label(l)
		if _, there := labels[label]; there || t != tag || label.Managed() && r.c.Store.Retired(g.Env) {
			continue
		}
		if err := r.c.Store.Flip(label, g); err != nil {
			return err
		}
		borne = true
		if label == environments.Current {
			r.move(environments.Generation{}, g)
		}
	}
	if borne {
		r.sync(ctx, g.Env, why("generation %d is built from its tag", g), o)
	}
	return nil
}

// Export writes a repository that conda-gitenv reads. What its labels name is kept on
// this box from then on, because others rely on it.
func (r *Registry) Export(ctx context.Context, to string) error {
	done, err := r.changing.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	if r.history == nil {
		return noHistory("", errNoHistory)
	}
	ids := map[string]bool{}
	envs, err := r.history.Environments(ctx)
	if err != nil {
		return worded("", err)
	}
	for _, env := range envs {
		labels, err := r.history.Labels(ctx, env)
		if err != nil {
			return worded(environments.Name(env), err)
		}
		for _, tag := range labels {
			if id, err := r.identityOf(ctx, r.history, env, tag); err == nil && !strings.Contains(id, " ") {
				ids[id] = true
			}
		}
	}
	if err := r.c.Store.Export(ids); err != nil { // before anybody has the copy
		return err
	}
	if err := r.history.Export(ctx, to); errors.Is(err, history.ErrThere) {
		return refused("environment-export-there", fmt.Sprintf("there is something at %s already", to),
			"nothing was written", "name a place that does not exist yet", err)
	} else if err != nil {
		return moved(ctx, "environment-export", fmt.Sprintf("the history could not be written to %.100s", to), err)
	}
	return nil
}
