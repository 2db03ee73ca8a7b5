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

// Roots are what GC keeps besides what the directory itself asks it to.
type Roots struct {
	Keep int             // the newest generations of each environment; less than 3 means 3
	IDs  map[string]bool // manifests that somebody outside relies on: the newest generation of each stays
}

// Collected is a generation that GC removed.
type Collected struct {
	Env    Name
	Number int
}

// GC removes generations that nobody needs, and forgets old resolutions. It gives what
// it removed, as "base 4". See Collect.
func (s *Store) GC(ctx context.Context, keep int) ([]string, error) {
	gone, err := s.Collect(ctx, Roots{Keep: keep})
	var out []string
	for _, g := range gone {
		out = append(out, fmt.Sprintf("%s %d", g.Env, g.Number))
	}
	return out, err
}

// Collect removes generations that nobody needs, and forgets old resolutions. Needed are
// those that a label points at, pinned ones, those whose lease somebody holds, those of
// the roots, and of an environment that is not retired the newest. Do not call it while
// a Builder works. What cannot be removed does not keep it from removing the rest.
func (s *Store) Collect(ctx context.Context, roots Roots) ([]Collected, error) {
	names, err := s.names()
	if err != nil {
		return nil, err
	}
	var out []Collected
	var errs []error
	for _, env := range names {
		gs, err := s.unneeded(env, roots)
		errs = append(errs, err)
		for _, g := range gs {
			if err := ctx.Err(); err != nil {
				return out, err
			}
			gone, err := s.discard(g)
			if err != nil {
				errs = append(errs, fmt.Errorf("cannot remove generation %d of %s: %w", g.Number, env, err))
			}
			if gone {
				out = append(out, Collected{env, g.Number})
			}
		}
	}
	return out, errors.Join(errors.Join(errs...), s.forget(ctx, "store/resolved", 64), s.sweepConda(ctx))
}

// unneeded gives the generations of env that neither roots nor pins keep.
func (s *Store) unneeded(env Name, roots Roots) ([]Generation, error) {
	gs, err := s.Generations(env)
	if err != nil {
		return nil, err
	}
	pins, err := s.Pins(env)
	if err != nil {
		return nil, err
	}
	keep := max(roots.Keep, 3)
	if s.Retired(env) {
		keep = 0
	}
	var out []Generation
	seen := map[string]bool{}
	for i, g := range slices.Backward(gs) {
		named := roots.IDs[g.ID] && !seen[g.ID]
		seen[g.ID] = true
		if i < len(gs)-keep && !named && !slices.Contains(pins, g.Number) {
			out = append(out, g)
		}
	}
	slices.Reverse(out)
	return out, nil
}

// discard removes g unless it is labelled or leased. The lease stays locked until g
// has gone from its place, so that a launcher either gets it first or looks again.
func (s *Store) discard(g Generation) (bool, error) {
	dir := filepath.Join(s.root, g.Path())
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
	if err := s.remove(dir); err != nil {
		return false, err
	}
	n := strconv.Itoa(g.Number)
	return true, errors.Join(os.RemoveAll(filepath.Join(s.specDir(g.Env), n)), os.RemoveAll(filepath.Join(s.tagDir(g.Env), n)))
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
