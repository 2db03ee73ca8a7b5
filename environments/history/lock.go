package history

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// lockPause is how long to wait before asking for a taken lock again. A flock cannot be
// waited for and given up.
const lockPause = 20 * time.Millisecond

// hold does f as the only one in this process and the only writer of the machine. The
// lock is given to f for the commands that it starts: when we are killed and one of
// them lives on, the next daemon waits for it.
func (r *Repository) hold(ctx context.Context, f func(context.Context, *os.File) error) error {
	return r.alone(ctx, func() error {
		if err := os.MkdirAll(filepath.Dir(r.c.Dir), 0o700); err != nil {
			return err
		}
		lock, err := os.OpenFile(r.c.Dir+".lock", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return err
		}
		defer lock.Close() // the lock goes with its last holder
		if err := flock(ctx, lock); err != nil {
			return err
		}
		return f(ctx, lock)
	})
}

func flock(ctx context.Context, f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("cannot lock: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("somebody else is writing: %w", ctx.Err())
		case <-time.After(lockPause):
		}
	}
}
