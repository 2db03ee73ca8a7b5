package registry

import (
	"context"
	"fmt"
	"strings"

	"github.com/conjuring/conjured/environments"
)

// Promote puts next into use: previous is dropped, current becomes previous, next becomes
// current and vanishes. Unchanged when there is no next.
func (r *Registry) Promote(ctx context.Context, env environments.Name) (Outcome, error) {
	defer r.tell()
	o := Outcome{Env: string(env), Did: Unchanged}
	done, err := r.changing.take(ctx)
	if err != nil {
		return o.failed(err)
	}
	defer done()
	now, errNow := r.c.Store.Current(env)
	next, err := r.c.Store.Label(env, environments.Next)
	if err != nil {
		if errNow != nil {
			return o.failed(unknown(string(env), err))
		}
		o.Generation, o.Tag = now.Number, r.tagFor(ctx, now)
		return o, nil
	}
	o.compare(now, next, shown(next))
	return r.promote(ctx, env, o)
}

// promote moves the labels on disk and then in the history, in one commit.
func (r *Registry) promote(ctx context.Context, env environments.Name, o Outcome) (Outcome, error) {
	was, _ := r.c.Store.Current(env)
	g, err := r.c.Store.Promote(env)
	if err != nil {
		return o.failed(err)
	}
	r.move(was, g)
	o.Did, o.Generation = Promoted, g.Number
	r.sync(ctx, env, why("generation %d is in use", g), &o)
	o.Tag = r.tagFor(ctx, g)
	return o, nil
}

// Rollback swaps current and previous, or makes current what ref names. It builds
// nothing and needs no network. What was current does not come back by itself.
func (r *Registry) Rollback(ctx context.Context, env environments.Name, ref string) (Outcome, error) {
	if env == SystemName {
		return r.systemRollback(ctx, ref)
	}
	defer r.tell()
	o := Outcome{Env: string(env), Did: RolledBack}
	done, err := r.changing.take(ctx)
	if err != nil {
		return o.failed(err)
	}
	defer done()
	if ref == "" {
		ref = string(environments.Previous)
	}
	was, _ := r.c.Store.Current(env)
	to, err := r.generation(ctx, env, ref)
	if err != nil {
		return o.failed(err)
	}
	if to.Number == was.Number {
		o.Did, o.Generation, o.Tag = Unchanged, to.Number, r.tagFor(ctx, to)
		return o, nil
	}
	o.compare(was, to, shown(to))
	if err := r.c.Store.RollbackTo(to); err != nil {
		return o.failed(err)
	}
	r.move(was, to)
	o.Generation = to.Number
	r.sync(ctx, env, why("back to generation %d", to), &o)
	o.Tag = r.tagFor(ctx, to)
	return o, nil
}

// Label points a label of the teacher's, or next, at what ref names. An empty ref takes
// the label away.
func (r *Registry) Label(ctx context.Context, env environments.Name, label, ref string) (Outcome, error) {
	if env == SystemName {
		return r.systemLabel(ctx, label, ref)
	}
	o := Outcome{Env: string(env), Did: Labelled}
	l := environments.Label(label)
	if err := checkLabel(l); err != nil {
		return o.failed(err)
	}
	done, err := r.changing.take(ctx)
	if err != nil {
		return o.failed(err)
	}
	defer done()
	labels, err := r.c.Store.Labels(env)
	if err != nil {
		return o.failed(err)
	}
	if ref == "" {
		return r.unlabel(ctx, env, l, labels, o)
	}
	g, err := r.generation(ctx, env, ref)
	if err != nil {
		return o.failed(err)
	}
	o.Generation = g.Number
	if labels[l] == g.Number && !r.behind[o.Env] {
		o.Did, o.Tag = Unchanged, r.tagFor(ctx, g)
		return o, nil
	}
	if err := r.c.Store.Flip(l, g); err != nil {
		return o.failed(err)
	}
	r.sync(ctx, env, why("label "+label+" points at generation %d", g), &o)
	o.Tag = r.tagFor(ctx, g)
	return o, nil
}

func (r *Registry) unlabel(ctx context.Context, env environments.Name, l environments.Label, labels map[environments.Label]int, o Outcome) (Outcome, error) {
	if _, ok := labels[l]; !ok {
		o.Did = Unchanged
		return o, nil
	}
	if err := r.c.Store.Unlabel(env, l); err != nil {
		return o.failed(err)
	}
	r.sync(ctx, env, "label "+string(l)+" is gone", &o)
	return o, nil
}

// checkLabel refuses what a person may not choose as a label.
func checkLabel(l environments.Label) error {
	bad := func(what, do string) error {
		return refused("environment-label", what, "no label was changed", do, nil)
	}
	switch {
	case l == environments.Current, l == environments.Previous:
		return bad(fmt.Sprintf("the label %s moves by itself", l), "use: conjured env promote, or conjured env rollback --to")
	case string(l) == latest:
		return bad("the label latest always means the newest packages that are ready", "choose another name for the label")
	case l.Check() != nil:
		return bad(fmt.Sprintf("%.40q cannot be a label", string(l)), "use small letters, digits, dots and underscores, at most 32 of them")
	case strings.Trim(string(l), "0123456789") == "":
		return bad(fmt.Sprintf("the label %s looks like a number of a generation", l), "put a letter into the name of the label")
	}
	return nil
}

// latest is the label that is computed: the newest complete generation.
const latest = "latest"
