package environments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sweepConda removes the packages of conda that no generation and no remembered
// resolution names. It removes nothing while a generation is damaged or away: what it
// was made of is needed to make it again, maybe without network.
func (s *Store) sweepConda(ctx context.Context) error {
	used, ok, err := s.usesConda()
	if err != nil || !ok {
		return err
	}
	dir := filepath.Join(s.root, "store/conda/pkgs")
	es, err := os.ReadDir(dir)
	if err != nil {
		return ignore(err)
	}
	for _, e := range slices.Backward(es) { // the mark STEM.lock before STEM: a package without one is none
		stem := strings.TrimSuffix(e.Name(), ".lock")
		if stem == ".cache" || used[stem] { // .cache.lock is rattler's own
			continue
		}
		if err := errors.Join(ctx.Err(), os.RemoveAll(filepath.Join(dir, e.Name()))); err != nil {
			return fmt.Errorf("cannot remove a package: %w", err)
		}
	}
	return nil
}

// usesConda is the packages of conda that something needs, by their names in the store.
// Without ok nobody can tell.
func (s *Store) usesConda() (used map[string]bool, ok bool, err error) {
	used = map[string]bool{}
	add := func(m Manifest) {
		for _, p := range m.of(Conda) {
			used[p.Name+"-"+p.Version+"-"+p.Build] = true
		}
	}
	names, err := s.names()
	if err != nil {
		return nil, false, err
	}
	for _, env := range names {
		gs, err1 := s.Generations(env)
		numbers, err2 := s.numbers(env)
		labels, err3 := s.Labels(env)
		if err := errors.Join(err1, err2, err3); err != nil || len(gs) != len(numbers) {
			return nil, false, err
		}
		for _, n := range labels {
			if !slices.Contains(numbers, n) {
				return nil, false, nil
			}
		}
		for _, g := range gs {
			add(g.Manifest)
		}
	}
	resolved, err := filepath.Glob(filepath.Join(s.root, "store/resolved/*.json"))
	for _, path := range resolved {
		var r resolution
		if text, err := readSmall(path); err != nil || json.Unmarshal(text, &r) != nil {
			continue // nothing can be made of it either
		}
		if m, err := ParseManifest([]byte(r.Text)); err == nil {
			add(m)
		}
	}
	return used, err == nil, err
}
