package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/conjuring/conjured/environments"
)

// Compared is the way from one state of an environment to another.
type Compared struct {
	From, To Side
	Changes  environments.Changes
	Sentence string // Changes for a teacher
	Touched  Touched
}

// Side is one of two states that are compared.
type Side struct {
	Asked      string // as it was asked for
	Generation int    // 0 when it is only in the history
	Tag        string // "" when the history does not have it
}

// Diff compares two states of env. A reference is a label, a tag or a number; "" is
// current for from, and for to what waits at next, else the newest there is.
func (r *Registry) Diff(ctx context.Context, env environments.Name, from, to string) (Compared, error) {
	var c Compared
	done, err := r.changing.take(ctx)
	if err != nil {
		return c, err
	}
	defer done()
	if from == "" {
		from = string(environments.Current)
	}
	if to == "" {
		to = string(environments.Next)
		if _, err := r.c.Store.Label(env, environments.Next); err != nil {
			to = latest
		}
	}
	c.From.Asked, c.To.Asked = from, to
	a, err := r.manifest(ctx, env, &c.From)
	if err != nil {
		return c, err
	}
	b, err := r.manifest(ctx, env, &c.To)
	if err != nil {
		return c, err
	}
	c.Changes = environments.Diff(a, b)
	c.Sentence = c.Changes.Sentence(r.name(env))
	if r.c.Touched != nil {
		if c.Touched, err = r.c.Touched(ctx, env); err != nil {
			return c, fmt.Errorf("cannot tell who is touched: %w", err)
		}
	}
	return c, nil
}

// manifest reads one side, from the disk or else from the history.
func (r *Registry) manifest(ctx context.Context, env environments.Name, s *Side) (environments.Manifest, error) {
	g, err := r.generation(ctx, env, s.Asked)
	if err == nil {
		s.Generation, s.Tag = g.Number, r.tagFor(ctx, g)
		return g.Manifest, nil
	}
	tag, ok := tagRef(env, s.Asked)
	if !ok || r.history == nil || !errors.Is(err, environments.ErrNoGeneration) {
		return environments.Manifest{}, err
	}
	files, readErr := r.history.Manifest(ctx, string(env), tag)
	if readErr != nil {
		return environments.Manifest{}, err
	}
	b, ok := find(files, manifestTxt)
	if !ok {
		return environments.Manifest{}, err
	}
	s.Tag = tag
	return environments.ParseManifest(b)
}

// name is an environment's name as people know it.
func (r *Registry) name(env environments.Name) string {
	for _, l := range []environments.Label{environments.Next, environments.Current} {
		if g, err := r.c.Store.Label(env, l); err == nil {
			return shown(g)
		}
	}
	return string(env)
}
