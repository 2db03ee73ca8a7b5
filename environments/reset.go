package environments

import (
	"context"

	"github.com/conjuring/conjured/progress"
)

// Rebuild makes a new generation of m from what is stored, without network. It takes no
// file over from a generation, so that one that is damaged does not spoil the next.
func (b *Builder) Rebuild(ctx context.Context, s Spec, m Manifest, sink progress.Sink) (Made, error) {
	if err := b.check(s); err != nil {
		return Made{}, err
	}
	done, err := b.begun(ctx)
	if err != nil {
		return Made{}, err
	}
	defer done()
	w, err := b.prepare(s, ResolveOptions{Offline: true})
	if err != nil {
		return Made{}, err
	}
	defer w.drop(b.c.Log)
	w.prev, w.base, w.check = Generation{}, Generation{}, true
	return b.install(ctx, s, m, w, sink)
}
