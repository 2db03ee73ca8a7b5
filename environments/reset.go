package environments

import (
	"context"
	"fmt"

	"github.com/conjuring/conjured/progress"
)

// Rebuild makes a new generation of m from what is stored, without network. It takes no
// file over from a generation, so that one that is damaged does not spoil the next.
//
// The one in use and the store share the files of a distribution, so a file that changed
// is the same in both: such distributions are forgotten, and fetched again. That is what
// Rebuild asks the network for, and nothing else.
func (b *Builder) Rebuild(ctx context.Context, s Spec, m Manifest, sink progress.Sink) (Made, error) {
	if err := b.check(s); err != nil {
		return Made{}, err
	}
	done, err := b.begun(ctx)
	if err != nil {
		return Made{}, err
	}
	defer done()
	spoiled, err := b.spoiled(ctx, s.Env)
	if err != nil {
		return Made{}, err
	}
	if len(spoiled) > 0 {
		if err := b.forget(ctx, s, spoiled); err != nil {
			return Made{}, err
		}
	}
	w, err := b.prepare(s, ResolveOptions{Offline: len(spoiled) == 0})
	if err != nil {
		return Made{}, err
	}
	defer w.drop(b.c.Log)
	w.prev, w.base, w.check = Generation{}, Generation{}, true
	return b.install(ctx, s, m, w, sink)
}

// spoiled are the distributions in use of which a file has another content than it was
// installed with. Those of conda are not among them: their archives are kept, and
// looked at by whoever unpacks them.
func (b *Builder) spoiled(ctx context.Context, env Name) ([]string, error) {
	g, err := b.c.Store.Current(env)
	if err != nil {
		return nil, nil // nothing of it can be asked; what is stored has to do
	}
	damage, err := b.c.Store.Damage(ctx, g)
	if err != nil {
		return nil, ctx.Err()
	}
	var out []string
	for _, d := range damage {
		if p, ok := g.Manifest.Find(normalise(d.Package)); ok && p.Kind == Pip && len(d.Changed) > 0 {
			out = append(out, p.Name)
		}
	}
	return out, nil
}

// forget has uv drop what it keeps of some distributions.
func (b *Builder) forget(ctx context.Context, s Spec, names []string) error {
	b.c.Log.Warn("stored packages are damaged", "env", s.Env, "packages", names)
	var out tail
	exit, err := b.c.Runner.Run(ctx, Command{
		Image:  s.Image,
		Args:   append([]string{b.c.UV, "cache", "clean", "--offline"}, names...),
		Env:    b.environment(),
		Mounts: b.mounts(),
		User:   b.c.Builder,
		Output: &out,
	})
	if err == nil && exit != 0 {
		err = fmt.Errorf("uv ended with %d: %s", exit, lastError(out.String(), exit))
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("cannot forget damaged packages: %w", err)
	}
	return ctx.Err()
}
