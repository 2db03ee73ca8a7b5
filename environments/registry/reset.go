package registry

import (
	"context"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/progress"
)

// Reset builds the manifest that is current once more, from the store, and puts the copy
// into use: the same packages and the same tag, also when the one in use is damaged.
func (r *Registry) Reset(ctx context.Context, env environments.Name, sink progress.Sink) (Outcome, error) {
	defer r.tell()
	o := Outcome{Env: string(env), Did: WasReset}
	spec, building, err := r.begin(ctx, env)
	if err != nil {
		return o.failed(err)
	}
	defer building()
	was, m, err := r.inUse(ctx, env)
	if err != nil {
		return o.failed(err)
	}
	made, err := r.c.Builder.Rebuild(ctx, narrowed(spec, m), m, sink)
	if err != nil {
		return o.failed(r.missing(ctx, o.Env, "", m, err))
	}
	o.Generation, o.Notices = made.Generation.Number, made.Notices
	done, err := r.changing.take(ctx)
	if err != nil {
		return o.failed(err)
	}
	defer done()
	if asked := r.c.Store.Spec(env, was.Number); asked != nil {
		if err := r.c.Store.KeepSpec(made.Generation, asked); err != nil {
			return o.failed(err)
		}
	}
	if err := r.c.Store.Flip(environments.Current, made.Generation); err != nil {
		return o.failed(err)
	}
	r.move(was, made.Generation)
	r.sync(ctx, env, why("generation %d is in use: the same packages, built anew", made.Generation), &o)
	o.Tag = r.tagFor(ctx, made.Generation)
	return o, nil
}

// inUse gives the manifest of what is current: of the disk, or when that is damaged of
// the history.
func (r *Registry) inUse(ctx context.Context, env environments.Name) (environments.Generation, environments.Manifest, error) {
	g, err := r.c.Store.Current(env)
	if err == nil {
		return g, g.Manifest, nil
	}
	done, turnErr := r.changing.take(ctx)
	if turnErr != nil {
		return g, environments.Manifest{}, turnErr
	}
	defer done()
	if r.history == nil {
		return g, environments.Manifest{}, unknown(string(env), err)
	}
	labels, labelErr := r.history.Labels(ctx, string(env))
	if labelErr != nil || labels[string(environments.Current)] == "" {
		return g, environments.Manifest{}, unknown(string(env), err)
	}
	files, err := r.history.Manifest(ctx, string(env), labels[string(environments.Current)])
	if err != nil {
		return g, environments.Manifest{}, worded(env, err)
	}
	b, ok := find(files, manifestTxt)
	if !ok {
		return g, environments.Manifest{}, noEnvironment(string(env), environments.ErrNoGeneration)
	}
	m, err := environments.ParseManifest(b)
	return environments.Generation{Env: env}, m, err
}

// Verify looks whether the generation that ref names, "" is current, is still what was
// built. Notices say what is not.
func (r *Registry) Verify(ctx context.Context, env environments.Name, ref string, sink progress.Sink) (Outcome, error) {
	o := Outcome{Env: string(env), Did: Verified}
	if ref == "" {
		ref = string(environments.Current)
	}
	building, err := r.building.take(ctx) // nothing is removed meanwhile
	if err != nil {
		return o.failed(err)
	}
	defer building()
	g, tag, err := r.at(ctx, env, ref)
	if err != nil {
		return o.failed(err)
	}
	o.Generation, o.Tag = g.Number, tag
	l, err := r.c.Builder.Verify(ctx, g, sink)
	if err != nil {
		return o.failed(err)
	}
	if err := l.Err(); err != nil {
		return o.failed(err)
	}
	o.Notices = l
	return o, nil
}

// at is generation, with its tag, for whoever does not have the turn.
func (r *Registry) at(ctx context.Context, env environments.Name, ref string) (environments.Generation, string, error) {
	done, err := r.changing.take(ctx)
	if err != nil {
		return environments.Generation{}, "", err
	}
	defer done()
	g, err := r.generation(ctx, env, ref)
	if err != nil {
		return g, "", err
	}
	return g, r.tagFor(ctx, g), nil
}
