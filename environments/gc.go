package environments

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// GC removes generations that nobody needs, and forgets old resolutions. Needed are
// those that a label points at, the newest keep of each environment (at least 3), and
// those whose lease somebody holds. It gives what it removed, as "base 4". Do not call
// it while a Builder works.
func (s *Store) GC(ctx context.Context, keep int) ([]string, error) {
	names, err := s.names()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, env := range names {
		gs, err := s.Generations(env)
		if err != nil {
			return out, err
		}
		for _, g := range gs[:max(len(gs)-max(keep, 3), 0)] {
			if err := ctx.Err(); err != nil {
				return out, err
			}
			gone, err := s.discard(g)
			if err != nil {
				return out, fmt.Errorf("cannot remove generation %d of %s: %w", g.Number, env, err)
			}
			if gone {
				out = append(out, fmt.Sprintf("%s %d", env, g.Number))
			}
		}
	}
	return out, s.forget(ctx, "store/resolved", 64)
}

// discard removes g unless it is labelled or leased. The lease stays locked until g
// has gone from its place, so that a launcher either gets it first or looks again.
func (s *Store) discard(g Generation) (bool, error) {
	dir := filepath.Join(s.root, "gen", string(g.Env), strconv.Itoa(g.Number))
	f, err := os.OpenFile(filepath.Join(dir, "lease"), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	labels, err := s.Labels(g.Env) // read under the lock: a launcher got here through a label
	if err != nil {
		return false, err
	}
	for _, n := range labels {
		if n == g.Number {
			return false, nil
		}
	}
	return true, s.remove(dir)
}

// forget removes the oldest entries of a cache directory beyond keep.
func (s *Store) forget(ctx context.Context, dir string, keep int) error {
	dir = filepath.Join(s.root, dir)
	es, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	age := func(e os.DirEntry) time.Time {
		if fi, err := e.Info(); err == nil {
			return fi.ModTime()
		}
		return time.Time{}
	}
	slices.SortFunc(es, func(a, b os.DirEntry) int { return age(a).Compare(age(b)) })
	for _, e := range es[:max(len(es)-keep, 0)] {
		if err := errors.Join(ctx.Err(), os.RemoveAll(filepath.Join(dir, e.Name()))); err != nil {
			return err
		}
	}
	return nil
}
