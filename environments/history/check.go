package history

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Check is nil when every object is there and whole, and every label names a tag that
// is there. It reads everything: seconds, for years of history.
func (r *Repository) Check(ctx context.Context) error {
	err := r.alone(ctx, func() error {
		said := &limited{left: 4 << 10}
		if err := r.program().run(ctx, nil, said, "fsck", "--full", "--strict", "--no-dangling", "--no-progress"); err != nil {
			return fmt.Errorf("%w%s", err, said)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("the history is damaged: %w", err)
	}
	envs, err := r.Environments(ctx)
	if err != nil {
		return err
	}
	for _, env := range envs {
		set, err := r.Labels(ctx, env)
		if err != nil {
			return err
		}
		if err := r.read(ctx, env, func() error { return r.checkLabels(ctx, env, set) }); err != nil {
			return fmt.Errorf("the history is damaged: %s: %w", env, err)
		}
	}
	return nil
}

// Pack puts everything into few files; nothing is thrown away, also not what no branch
// names. Call it when nothing else is to be done, such as once a week.
func (r *Repository) Pack(ctx context.Context) error {
	err := r.hold(ctx, func(ctx context.Context, lock *os.File) error {
		r.endReader() // it has files open that are about to go
		return (&writer{r, lock}).join(ctx, "-a", "-k")
	})
	if err != nil {
		return fmt.Errorf("cannot pack the history: %w", err)
	}
	return nil
}

// manyPacks is how many packs there may be: every command looks into each of them.
const manyPacks = 64

// tidy joins the smaller packs when there are many. The change that it comes after is
// made, so what fails here is only noted, and tried again by the next one.
func (w *writer) tidy(ctx context.Context) {
	packs, err := filepath.Glob(filepath.Join(w.c.Dir, "objects/pack/*.pack"))
	if err == nil && len(packs) > w.packs {
		err = w.join(ctx, "--geometric=2")
	}
	if err != nil {
		w.c.Log.Warn("cannot pack the history", "error", err)
	}
}

// join puts references into one file, and objects into fewer packs.
func (w *writer) join(ctx context.Context, how ...string) error {
	for _, args := range [][]string{
		{"pack-refs", "--all"},
		append([]string{"repack", "-d", "-q", "--no-write-bitmap-index"}, how...),
	} {
		if err := w.step(args[0]); err != nil {
			return err
		}
		if err := w.program().run(ctx, nil, nil, args...); err != nil {
			return err
		}
	}
	for _, d := range []string{"objects/pack", "refs/heads", "refs/tags", ""} {
		if err := syncDir(filepath.Join(w.c.Dir, d)); err != nil {
			return err
		}
	}
	return nil
}
