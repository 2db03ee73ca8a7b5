package history

import (
	"context"
	"fmt"
	"os"
	"time"
)

// Restored is one generation that is on the disk: what to write into a new history.
type Restored struct {
	Env      string
	Spec     []File
	Manifest []File
	Tag      string    // its name from before; "" for a new one
	Labels   []string  // those that point at this generation
	Built    time.Time // when; the zero time is now
}

// Restore moves the repository aside (to Dir.broken-N) and makes a new one from
// generations, oldest first. Tags keep their names, so that what people wrote down
// stays true. One that cannot be written is left out and counted in skipped, with why.
func (r *Repository) Restore(ctx context.Context, all []Restored) (skipped []error, err error) {
	err = r.hold(ctx, func(ctx context.Context, lock *os.File) error {
		r.endReader()
		clear(r.known)
		if err := r.moveAside(); err != nil {
			return err
		}
		return r.create(ctx, lock)
	})
	if err != nil {
		return nil, fmt.Errorf("cannot make the history anew: %w", err)
	}
	labels := map[string]map[string]string{}
	for _, g := range all {
		if err := r.restore(ctx, g, labels); err != nil {
			if ctx.Err() != nil {
				return skipped, ctx.Err()
			}
			skipped = append(skipped, err)
		}
	}
	for env, set := range labels {
		if _, err := r.SetLabels(ctx, env, set, "Restored the labels from the disk."); err != nil {
			skipped = append(skipped, err)
		}
	}
	return skipped, ctx.Err()
}

func (r *Repository) restore(ctx context.Context, g Restored, labels map[string]map[string]string) error {
	why := reason{"Restored from the disk.", g.Built}
	if _, err := r.putSpec(ctx, g.Env, g.Spec, why); err != nil {
		return err
	}
	if _, err := r.putManifest(ctx, g.Env, g.Manifest, why); err != nil {
		return err
	}
	t, err := r.retag(ctx, g)
	if err != nil {
		return err
	}
	for _, l := range g.Labels {
		if labels[g.Env] == nil {
			labels[g.Env] = map[string]string{}
		}
		labels[g.Env][l] = t.Name
	}
	return nil
}

// retag gives the newest manifest the name that it had, if that is free.
func (r *Repository) retag(ctx context.Context, g Restored) (Tag, error) {
	t, err := ParseTag(g.Tag)
	if err != nil || t.Env != g.Env {
		return r.Tag(ctx, g.Env)
	}
	taken := false
	err = r.change(ctx, g.Env, func(w *writer) error {
		tags, err := r.tags(ctx, g.Env)
		if err != nil {
			return err
		}
		id, c, ok, err := r.head(ctx, manifestBranch(g.Env))
		if err != nil || !ok {
			return err
		}
		for _, o := range tags {
			taken = taken || o.Name == t.Name || o.Commit == string(id)
		}
		if taken {
			return nil
		}
		t.Commit = string(id)
		return w.tag(ctx, t, c.committer.when, "Restored from the disk.")
	})
	if err != nil || taken {
		return r.Tag(ctx, g.Env)
	}
	return t, nil
}
