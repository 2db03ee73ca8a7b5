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

// Pack puts everything into few files; nothing is thrown away. Call it when nothing
// else is to be done, such as once a week: each write leaves two files.
func (r *Repository) Pack(ctx context.Context) error {
	err := r.hold(ctx, func(ctx context.Context, lock *os.File) error {
		p := program{path: r.git, dir: r.c.Dir, lock: lock}
		r.endReader() // it has files open that are about to go
		for _, args := range [][]string{
			{"pack-refs", "--all"},
			{"repack", "-a", "-d", "-k", "-q", "--no-write-bitmap-index"},
		} {
			if err := r.step(args[0]); err != nil {
				return err
			}
			if err := p.run(ctx, nil, nil, args...); err != nil {
				return err
			}
		}
		for _, d := range []string{"objects/pack", "refs/heads", "refs/tags", ""} {
			if err := syncDir(filepath.Join(r.c.Dir, d)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot pack the history: %w", err)
	}
	return nil
}
