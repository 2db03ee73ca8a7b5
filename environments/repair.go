package environments

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Repaired says what Repair found.
type Repaired struct {
	Generations []string // "base 4": incomplete, removed
	Flips       []string // "base": a half flip, finished or dropped
	Labels      []string // "base@x": pointed at nothing complete, removed or moved to the newest complete one
	Scratch     int      // scratch directories and temporary links removed
}

// Repair brings the directory into order after a power cut: call it before anything
// else, with no build running. It is quick, because it reads no package.
func (s *Store) Repair(ctx context.Context) (Repaired, error) {
	var r Repaired
	names, err := s.names()
	if err != nil {
		return r, err
	}
	for _, env := range names {
		for _, f := range []func(Name, *Repaired) error{s.finishFlip, s.finishRetire, s.repairLabels, s.finishPromote, s.dropIncomplete, s.dropOrphans} {
			if err := errors.Join(ctx.Err(), f(env, &r)); err != nil {
				return r, fmt.Errorf("cannot repair environment %s: %w", env, err)
			}
		}
	}
	work := filepath.Join(s.root, "store", "work")
	es, err := os.ReadDir(work)
	if err != nil {
		return r, fmt.Errorf("cannot repair environments: %w", err)
	}
	for _, e := range es {
		r.Scratch++
		if err := os.RemoveAll(filepath.Join(work, e.Name())); err != nil {
			return r, fmt.Errorf("cannot repair environments: %w", err)
		}
	}
	return r, nil
}

// finishFlip finishes a flip that got as far as previous, and drops one that did not.
func (s *Store) finishFlip(env Name, r *Repaired) error {
	dir := s.labelDir(env)
	es, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range es {
		if strings.HasPrefix(e.Name(), ".tmp-") {
			r.Scratch++
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	next, err := s.target(env, pending)
	if err != nil {
		return nil // no intent
	}
	r.Flips = append(r.Flips, string(env))
	_, broken := s.Generation(env, next)
	current, errC := s.target(env, string(Current))
	previous, errP := s.target(env, string(Previous))
	begun := errC == nil && errP == nil && current == previous
	if broken == nil && (begun || errC != nil) {
		return s.promote(env)
	}
	if err := s.step("drop intent"); err != nil {
		return err
	}
	return os.Remove(filepath.Join(dir, pending))
}

// repairLabels looks after labels whose generation is damaged. Current moves to
// previous, else to the newest complete generation; others go.
func (s *Store) repairLabels(env Name, r *Repaired) error {
	labels, err := s.Labels(env)
	if err != nil {
		return err
	}
	for l, n := range labels {
		if _, err := s.Generation(env, n); err == nil {
			continue
		}
		r.Labels = append(r.Labels, fmt.Sprintf("%s@%s", env, l))
		to := 0
		if l == Current {
			if _, err := s.Generation(env, labels[Previous]); err == nil {
				to = labels[Previous]
			} else if gs, err := s.Generations(env); err == nil && len(gs) > 0 {
				to = gs[len(gs)-1].Number
			}
		}
		if to > 0 {
			err = s.relink(env, string(l), to)
		} else {
			err = os.Remove(filepath.Join(s.labelDir(env), string(l)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// dropIncomplete removes generations that were interrupted, and the rests of removals.
func (s *Store) dropIncomplete(env Name, r *Repaired) error {
	dir := filepath.Join(s.root, "gen", string(env))
	numbers, err := s.numbers(env)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if _, err := s.Generation(env, n); !errors.Is(err, ErrNoGeneration) {
			continue
		}
		r.Generations = append(r.Generations, fmt.Sprintf("%s %d", env, n))
		if err := s.remove(filepath.Join(dir, strconv.Itoa(n))); err != nil {
			return err
		}
	}
	es, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range es {
		if strings.HasPrefix(e.Name(), ".gone-") {
			r.Scratch++
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return s.dropHot(env)
}

// finishRetire takes the labels that a cut left on a retired environment.
func (s *Store) finishRetire(env Name, _ *Repaired) error {
	if !s.Retired(env) && !s.Removed(env) {
		return nil
	}
	return s.Retire(env)
}

// finishPromote drops a next that became current: the cut came before its last step.
func (s *Store) finishPromote(env Name, r *Repaired) error {
	next, err := s.target(env, string(Next))
	if err != nil {
		return nil // none
	}
	if now, err := s.target(env, string(Current)); err != nil || now != next {
		return nil
	}
	r.Labels = append(r.Labels, fmt.Sprintf("%s@%s", env, Next))
	return s.unlink(env, string(Next))
}

// dropOrphans removes what lies beside generations that are gone.
func (s *Store) dropOrphans(env Name, r *Repaired) error {
	numbers, err := s.numbers(env)
	if err != nil {
		return err
	}
	for _, dir := range s.beside(env) {
		es, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range es {
			n, err := strconv.Atoi(e.Name())
			if err != nil || slices.Contains(numbers, n) {
				continue
			}
			r.Scratch++
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
