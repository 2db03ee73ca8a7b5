package environments

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

func (s *Store) pinDir(env Name) string { return filepath.Join(s.root, "store", "pin", string(env)) }

// Pin keeps a complete generation from GC until Unpin. One that is pinned already is
// left alone; ErrNoGeneration if there is none of that number.
func (s *Store) Pin(env Name, n int) error {
	if _, err := s.Generation(env, n); err != nil {
		return fmt.Errorf("cannot pin: %w", err)
	}
	path := filepath.Join(s.pinDir(env), strconv.Itoa(n))
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	if err := mkdir(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("cannot pin: %w", err)
	}
	if err := s.write(path, nil, 0o600); err != nil {
		return fmt.Errorf("cannot pin: %w", err)
	}
	return nil
}

// Unpin takes a pin away; one that is not there is no error.
func (s *Store) Unpin(env Name, n int) error {
	if err := env.Check(); err != nil {
		return err
	}
	path := filepath.Join(s.pinDir(env), strconv.Itoa(n))
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := s.step("unpin"); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("cannot unpin: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// Pins gives the numbers of env's pinned generations, in order.
func (s *Store) Pins(env Name) ([]int, error) {
	if err := env.Check(); err != nil {
		return nil, err
	}
	es, err := os.ReadDir(s.pinDir(env))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot list pins: %w", err)
	}
	var out []int
	for _, e := range es {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

// maxExported is how many manifests are kept for copies of the history elsewhere.
const maxExported = 256

// Export remembers that copies of the history with these manifests are elsewhere, so that
// GC keeps a generation of each. The newest 256 are remembered.
func (s *Store) Export(ids map[string]bool) error {
	known := s.exported()
	n := len(known)
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if !slices.Contains(known, id) {
			known = append(known, id)
		}
	}
	if len(known) == n {
		return nil
	}
	known = known[max(len(known)-maxExported, 0):]
	if err := s.write(filepath.Join(s.root, "store", "exported"), []byte(strings.Join(known, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("cannot remember what was exported: %w", err)
	}
	return nil
}

// Exported gives the manifests that Export remembers.
func (s *Store) Exported() map[string]bool {
	out := map[string]bool{}
	for _, id := range s.exported() {
		out[id] = true
	}
	return out
}

func (s *Store) exported() []string {
	b, err := readSmall(filepath.Join(s.root, "store", "exported"))
	if err != nil {
		return nil
	}
	return strings.Fields(string(b))
}
