package registry

import (
	"context"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
)

// SystemName is the environment of the system's own packages, which is an image.
const SystemName = environments.System

// System has the verbs of a Registry for the images of the system. What it calls a
// generation is an image; references are labels, tags or digests.
type System interface {
	List(ctx context.Context) ([]environments.Listed, error)
	Label(ctx context.Context, label, ref string) (Outcome, error)
	Rollback(ctx context.Context, ref string) (Outcome, error)
}

func (r *Registry) systemLabel(ctx context.Context, label, ref string) (Outcome, error) {
	if r.c.System == nil {
		return Outcome{Env: string(SystemName)}.failed(noSystem())
	}
	if err := checkLabel(environments.Label(label)); err != nil {
		return Outcome{Env: string(SystemName)}.failed(err)
	}
	return r.c.System.Label(ctx, label, ref)
}

func (r *Registry) systemRollback(ctx context.Context, ref string) (Outcome, error) {
	if r.c.System == nil {
		return Outcome{Env: string(SystemName)}.failed(noSystem())
	}
	return r.c.System.Rollback(ctx, ref)
}

// RecordSystem writes the packages of an image of the system into the history, and tags
// them. Without a history it does nothing: the image's own list is beside it.
func (r *Registry) RecordSystem(ctx context.Context, files []history.File, why string) error {
	done, err := r.changing.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	if r.history == nil {
		return nil
	}
	if _, err := r.history.PutManifest(ctx, string(SystemName), files, why); err != nil {
		return err
	}
	_, err = r.history.Tag(ctx, string(SystemName))
	return err
}

func noSystem() error {
	return refused("environment-no-system", "the system's own packages cannot be rolled back or labelled here yet",
		"the class keeps the system it has", "change apt.txt or base.Dockerfile back and apply the folder again", nil)
}
