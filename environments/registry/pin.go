package registry

import (
	"context"
	"slices"

	"github.com/conjuring/conjured/environments"
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
