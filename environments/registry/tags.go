package registry

import (
	"context"
	"fmt"
	"slices"

	"github.com/conjuring/conjured/environments"
)

// tagList is what is known of an environment's tags. A tag stands for one manifest for
// good, so what was read once is not read again.
type tagList struct {
	names []string          // oldest first
	ids   map[string]string // tag to identity, of those that were looked at
}

// taglist reads env's tags once.
func (r *Registry) taglist(ctx context.Context, h History, env string) (*tagList, error) {
	if l, ok := r.tags[env]; ok {
		return l, nil
	}
	tags, err := h.Tags(ctx, env)
	if err != nil {
		return nil, err
	}
	l := &tagList{ids: map[string]string{}}
	for _, t := range tags {
		l.names = append(l.names, t.Name)
	}
	r.tags[env] = l
	return l, nil
}

// learn notes that the newest tag of env is name, and stands for id.
func (r *Registry) learn(env, name, id string) {
	l, ok := r.tags[env]
	if !ok {
		return // nobody asked yet: all are read then
	}
	if !slices.Contains(l.names, name) {
		l.names = append(l.names, name)
	}
	l.ids[name] = id
}

// identityOf gives what a tag stands for.
func (r *Registry) identityOf(ctx context.Context, h History, env, tag string) (string, error) {
	l, err := r.taglist(ctx, h, env)
	if err != nil {
		return "", err
	}
	if id, ok := l.ids[tag]; ok {
		return id, nil
	}
	files, err := h.Manifest(ctx, env, tag)
	if err != nil {
		return "", fmt.Errorf("cannot read tag %s: %w", tag, err)
	}
	l.ids[tag] = identity(files)
	return l.ids[tag], nil
}

// tagOf gives the newest tag of which g is a copy; "" when there is none.
func (r *Registry) tagOf(ctx context.Context, h History, g environments.Generation) (string, error) {
	l, err := r.taglist(ctx, h, string(g.Env))
	if err != nil {
		return "", err
	}
	for _, tag := range slices.Backward(l.names) {
		id, err := r.identityOf(ctx, h, string(g.Env), tag)
		if err != nil {
			return "", err
		}
		if isCopy(g, id) {
			return tag, nil
		}
	}
	return "", nil
}

// isCopy tells whether g is a copy of the manifest with that identity.
func isCopy(g environments.Generation, id string) bool {
	return id != "" && (id == g.ID || id == legacyIdentity(g.Manifest.Legacy()))
}

// copyOf gives the newest complete generation that a tag stands for.
func (r *Registry) copyOf(ctx context.Context, h History, env environments.Name, tag string) (environments.Generation, bool, error) {
	id, err := r.identityOf(ctx, h, string(env), tag)
	if err != nil {
		return environments.Generation{}, false, err
	}
	gs, err := r.c.Store.Generations(env)
	if err != nil {
		return environments.Generation{}, false, err
	}
	for _, g := range slices.Backward(gs) {
		if isCopy(g, id) {
			return g, true, nil
		}
	}
	return environments.Generation{}, false, nil
}
