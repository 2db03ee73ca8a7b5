package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
)

// sync makes the history's labels what the disk says, in one commit, and o's too. What
// the history lacks is recorded first: see recording.
func (r *Registry) sync(ctx context.Context, env environments.Name, why string, o *Outcome) {
	labels, err := r.c.Store.Labels(env)
	if err != nil {
		r.recording(ctx, env, o, func(History) error { return err })
		return
	}
	o.Labels = map[string]int{}
	for l, n := range labels {
		o.Labels[string(l)] = n
	}
	if r.behind[string(env)] {
		delete(r.behind, string(env))
		r.putSpec(ctx, env, r.asked(env, labels), o)
	}
	r.recording(ctx, env, o, func(h History) error {
		set, err := r.labelsFor(ctx, h, env, labels)
		if err != nil {
			return err
		}
		_, err = h.SetLabels(ctx, string(env), set, why)
		return err
	})
}

// asked gives the files that the newest of next and current was asked for with.
func (r *Registry) asked(env environments.Name, labels map[environments.Label]int) []history.File {
	n, ok := labels[environments.Next]
	if !ok {
		n = labels[environments.Current]
	}
	return filesOf(r.c.Store.Spec(env, n))
}

// labelsFor gives the tag for each label of env. A label of the history that the disk
// does not have stays only as long as nothing on the disk could bear it: it was imported,
// or the disk was lost.
func (r *Registry) labelsFor(ctx context.Context, h History, env environments.Name, labels map[environments.Label]int) (map[string]string, error) {
	set := map[string]string{}
	for l, n := range labels {
		g, err := r.c.Store.Generation(env, n)
		if errors.Is(err, environments.ErrNoGeneration) {
			continue // damaged: Repair sees to it
		}
		if err != nil {
			return nil, err
		}
		tag, err := r.tagOf(ctx, h, g)
		if tag == "" && err == nil {
			tag, err = r.put(ctx, h, g)
		}
		if err != nil {
			return nil, err
		}
		set[string(l)] = tag
	}
	recorded, err := h.Labels(ctx, string(env))
	if err != nil {
		return nil, err
	}
	for l, tag := range recorded {
		if _, ok := labels[environments.Label(l)]; ok {
			continue
		}
		if environments.Label(l).Managed() && r.c.Store.Retired(env) {
			continue
		}
		if _, there, err := r.copyOf(ctx, h, env, tag); err == nil && !there {
			set[l] = tag
		}
	}
	return set, nil
}

// tagFor gives the tag of g for an outcome; "" when the history cannot say.
func (r *Registry) tagFor(ctx context.Context, g environments.Generation) string {
	if r.history == nil || g.Number == 0 {
		return ""
	}
	tag, err := r.tagOf(ctx, r.history, g)
	if err != nil {
		return ""
	}
	return tag
}

// why words a commit that moves labels, which is a line of the log: format has a place
// for the number.
func why(format string, g environments.Generation) string { return fmt.Sprintf(format, g.Number) }
