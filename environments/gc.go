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

// Roots are what Collect keeps besides what the directory itself asks it to.
type Roots struct {
	Keep int             // the newest generations of each environment; less than 3 means 3
	IDs  map[string]bool // manifests that somebody outside relies on: the newest generation of each stays

	// Manifests are what may be built again without network, besides what the directory
	// knows of. Without Known nobody can tell, and no archive is removed.
	Manifests []Manifest
	Known     bool

	Dry  bool        // say what would go, and remove nothing
	Stop func() bool // asked before each removal; true leaves the rest for another time; nil: never
}

// ErrStopped says that Roots.Stop ended a Collect.
var ErrStopped = errors.New("stopped before all was removed")

// Collected is a generation that Collect removed.
type Collected struct {
	Env    Name
	Number int
}

// Leftover is a kind of thing that Collect removes.
type Leftover string

// The kinds.
const (
	OldGenerations Leftover = "generations"
	OldAnswers     Leftover = "resolutions"    // what was asked for once, and what it came to
	OldConda       Leftover = "conda-packages" // unpacked ones and archives
	OldWheels      Leftover = "wheels"         // of teachers, and those that were built from source
	OldIndex       Leftover = "index-packages" // unpacked by uv
	OldScratch     Leftover = "scratch"        // what crashes and power cuts left
)

// Freed is what was removed of one kind.
type Freed struct {
	Kind  Leftover
	Count int
	Bytes int64 // that the disk got back; files that others share count with the last of them
}

// Swept is what Collect came to.
type Swept struct {
	Generations []Collected
	Freed       []Freed // one of each kind of which there was something
}

// Collect removes what nobody needs: generations, remembered resolutions beyond the
// newest, what crashes left, and packages in the caches that nothing names any more.
//
// Needed are generations that a label points at, pinned ones, those whose lease somebody
// holds, those of the roots, and of an environment that is not retired the newest. Of the
// caches, what any manifest needs that a generation, a resolution or the roots have: they
// can be built again without network afterwards as before.
//
// Do not call it while a Builder works. What cannot be removed does not keep it from
// removing the rest.
func (s *Store) Collect(ctx context.Context, roots Roots) (Swept, error) {
	w := &sweep{s: s, roots: roots, freed: map[Leftover]*Freed{}, going: map[string]bool{}}
	var errs []error
	for _, step := range []func(context.Context) error{w.generations, w.resolutions, w.scratch, w.caches} {
		if err := ctx.Err(); err != nil {
			return w.swept(), errors.Join(append(errs, err)...)
		}
		errs = append(errs, step(ctx))
	}
	return w.swept(), errors.Join(errs...)
}

// sweep is one run of Collect.
type sweep struct {
	s       *Store
	roots   Roots
	weights weights
	freed   map[Leftover]*Freed
	gone    []Collected
	going   map[string]bool // paths that went or would go
	stopped bool
}

func (w *sweep) swept() Swept {
	out := Swept{Generations: w.gone}
	for _, k := range []Leftover{OldGenerations, OldAnswers, OldConda, OldWheels, OldIndex, OldScratch} {
		if f := w.freed[k]; f != nil {
			out.Freed = append(out.Freed, *f)
		}
	}
	return out
}

// drop removes one thing, which lies at these paths, and counts it.
func (w *sweep) drop(ctx context.Context, kind Leftover, paths ...string) error {
	return w.dropBy(ctx, kind, func() error {
		var errs []error
		for _, p := range paths {
			errs = append(errs, os.RemoveAll(p))
		}
		return errors.Join(errs...)
	}, paths...)
}

// dropBy is drop with another way to remove.
func (w *sweep) dropBy(ctx context.Context, kind Leftover, remove func() error, paths ...string) error {
	w.stopped = w.stopped || w.roots.Stop != nil && w.roots.Stop()
	if w.stopped {
		return ErrStopped
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var bytes int64
	for _, p := range paths {
		if w.going[p] {
			continue
		}
		n, err := w.weights.tree(p)
		if err != nil {
			return fmt.Errorf("cannot look at what is not needed: %w", err)
		}
		bytes += n
	}
	if !w.roots.Dry {
		if err := remove(); err != nil {
			return fmt.Errorf("cannot remove what is not needed: %w", err)
		}
	}
	if w.freed[kind] == nil {
		w.freed[kind] = &Freed{Kind: kind}
	}
	w.freed[kind].Count++
	w.freed[kind].Bytes += bytes
	for _, p := range paths {
		w.going[p] = true
	}
	return nil
}

// generations removes those that nobody needs.
func (w *sweep) generations(ctx context.Context) error {
	names, err := w.s.names()
	if err != nil {
		return err
	}
	var errs []error
	for _, env := range names {
		gs, err := w.s.unneeded(env, w.roots)
		errs = append(errs, err)
		for _, g := range gs {
			if err := ctx.Err(); err != nil {
				return errors.Join(append(errs, err)...)
			}
			gone, err := w.discard(ctx, g)
			if err != nil {
				errs = append(errs, fmt.Errorf("cannot remove generation %d of %s: %w", g.Number, env, err))
			}
			if gone {
				w.gone = append(w.gone, Collected{env, g.Number})
			}
		}
	}
	return errors.Join(errs...)
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
func (w *sweep) discard(ctx context.Context, g Generation) (bool, error) {
	s, dir := w.s, filepath.Join(w.s.root, g.Path())
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
	n := strconv.Itoa(g.Number)
	err = w.dropBy(ctx, OldGenerations, func() error {
		if err := s.remove(dir); err != nil {
			return err
		}
		var errs []error
		for _, beside := range s.beside(g.Env) {
			errs = append(errs, os.RemoveAll(filepath.Join(beside, n)))
		}
		return errors.Join(errs...)
	}, dir, filepath.Join(s.root, hotPath(g.Env, g.Number)))
	return err == nil, err
}

// beside is the directories with a file for each generation of env.
func (s *Store) beside(env Name) []string {
	return []string{s.specDir(env), s.tagDir(env), s.pinDir(env), s.inventoryDir(env), s.sizeDir(env)}
}

// keptAnswers is how many resolutions are remembered.
const keptAnswers = 64

// resolutions removes the oldest of what is remembered.
func (w *sweep) resolutions(ctx context.Context) error {
	dir := filepath.Join(w.s.root, "store/resolved")
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
	for _, e := range es[:max(len(es)-keptAnswers, 0)] {
		if err := w.drop(ctx, OldAnswers, filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
