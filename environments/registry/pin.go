package registry

import (
	"context"
	"slices"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/notice"
)

// Pin keeps what ref names, "" is current, from being removed; see Unpin.
func (r *Registry) Pin(ctx context.Context, env environments.Name, ref string) (Outcome, error) {
	return r.pin(ctx, env, ref, true)
}

// Unpin takes a pin away.
func (r *Registry) Unpin(ctx context.Context, env environments.Name, ref string) (Outcome, error) {
	return r.pin(ctx, env, ref, false)
}

func (r *Registry) pin(ctx context.Context, env environments.Name, ref string, keep bool) (Outcome, error) {
	o := Outcome{Env: string(env)}
	if ref == "" {
		ref = string(environments.Current)
	}
	done, err := r.changing.take(ctx)
	if err != nil {
		return o.failed(err)
	}
	defer done()
	g, err := r.generation(ctx, env, ref)
	if err != nil {
		return o.failed(err)
	}
	pins, err := r.c.Store.Pins(env)
	if err != nil {
		return o.failed(err)
	}
	o.Generation, o.Tag, o.Did = g.Number, r.tagFor(ctx, g), Unchanged
	switch is := slices.Contains(pins, g.Number); {
	case keep && !is:
		o.Did, err = Pinned, r.c.Store.Pin(env, g.Number)
	case !keep && is:
		o.Did, err = Unpinned, r.c.Store.Unpin(env, g.Number)
	}
	if err != nil {
		return o.failed(err)
	}
	return o, nil
}

// GC removes the generations that nobody needs, one outcome each; see
// environments.Store.Collect. In class hours it removes nothing and says so.
func (r *Registry) GC(ctx context.Context) ([]Outcome, error) {
	if r.c.Busy != nil && r.c.Busy() {
		n := warning("environment-gc-later", "old packages are not removed while a lesson runs",
			"nothing was changed", "do the same again after the lesson, or leave it to the box, which does it by itself")
		return []Outcome{{Did: Waiting, Notices: notice.List{n}}}, nil
	}
	building, err := r.building.take(ctx)
	if err != nil {
		return nil, err
	}
	defer building()
	done, err := r.changing.take(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	gone, err := r.c.Store.Collect(ctx, environments.Roots{IDs: r.c.Store.Exported()})
	var out []Outcome
	for _, g := range gone {
		out = append(out, Outcome{Env: string(g.Env), Did: Removed, Generation: g.Number})
	}
	return out, err
}
