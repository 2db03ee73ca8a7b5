package registry

import (
	"context"
	"fmt"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
)

// Listed is one environment, with what the history knows of it.
type Listed struct {
	environments.Listed
	Tags    map[int]string // by number of the generation; without those that have none
	Waiting *Outcome       // what is at next and needs somebody's word; nil: nothing
}

// List gives every environment that has a generation, and the system's images. A history that cannot be read
// leaves the tags out.
func (r *Registry) List(ctx context.Context) ([]Listed, error) {
	done, err := r.changing.take(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	all, err := r.c.Store.List()
	if err != nil {
		return nil, err
	}
	out := make([]Listed, 0, len(all))
	for _, e := range all {
		l := Listed{Listed: e, Tags: map[int]string{}}
		for _, g := range e.Generations {
			if full, err := r.c.Store.Generation(e.Env, g.Number); err == nil {
				if tag := r.tagFor(ctx, full); tag != "" {
					l.Tags[g.Number] = tag
				}
			}
		}
		l.Waiting = r.waiting(e.Env)
		out = append(out, l)
	}
	if r.c.System == nil {
		return out, nil
	}
	images, err := r.c.System.List(ctx)
	if err != nil {
		return out, fmt.Errorf("cannot list the system's images: %w", err)
	}
	for _, e := range images {
		out = append(out, Listed{Listed: e})
	}
	return out, nil
}

// Recorded tells whether the history has a manifest of env, on the disk or not.
func (r *Registry) Recorded(ctx context.Context, env environments.Name) bool {
	done, err := r.changing.take(ctx)
	if err != nil {
		return false
	}
	defer done()
	if checkName(string(env)) != nil || r.history == nil {
		return false
	}
	_, err = r.history.Manifest(ctx, string(env), "")
	return err == nil
}

// waiting says what waits at next of env, if it does.
func (r *Registry) waiting(env environments.Name) *Outcome {
	next, err := r.c.Store.Label(env, environments.Next)
	if err != nil {
		return nil
	}
	now, _ := r.c.Store.Current(env)
	o := Outcome{Env: string(env), Did: Waiting, Generation: next.Number}
	o.compare(now, next, shown(next))
	n, waits := r.waits(now, next, o)
	switch {
	case waits:
		o.add(n)
	case !r.c.Store.Imported(env): // the folder's wish is about to come into use by itself
		return nil
	}
	return &o
}

// Log gives the newest n entries of env's history, the newest first.
func (r *Registry) Log(ctx context.Context, env environments.Name, n int) ([]history.Entry, error) {
	if err := checkName(string(env)); err != nil {
		return nil, err
	}
	done, err := r.changing.take(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if r.history == nil {
		return nil, noHistory(env, errNoHistory)
	}
	return r.history.Log(ctx, string(env), n)
}
