package environments

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxAsked bounds the files that a generation was asked for with: 8 MiB in all.
const maxAsked = 8 << 20

// specDir is where a generation's own copy of what was asked for lies: not in the
// generation, which students can read.
func (s *Store) specDir(env Name) string { return filepath.Join(s.root, "store", "spec", string(env)) }

// KeepSpec keeps the teacher's files that a generation was made for, by their names, so
// that the history can be made again from the generations alone. The same files again
// are not written.
func (s *Store) KeepSpec(g Generation, files map[string][]byte) error {
	if err := g.Env.Check(); err != nil {
		return err
	}
	size := 0
	for _, b := range files {
		size += len(b)
	}
	if size > maxAsked {
		return fmt.Errorf("cannot keep what %s was asked for: %d bytes are too many", g.Env, size)
	}
	if same(s.Spec(g.Env, g.Number), files) {
		return nil
	}
	b, err := json.Marshal(files)
	if err != nil {
		return err
	}
	if err := mkdir(s.specDir(g.Env), 0o700); err != nil {
		return fmt.Errorf("cannot keep what %s was asked for: %w", g.Env, err)
	}
	if err := s.write(filepath.Join(s.specDir(g.Env), strconv.Itoa(g.Number)), b, 0o600); err != nil {
		return fmt.Errorf("cannot keep what %s was asked for: %w", g.Env, err)
	}
	return nil
}

// Spec gives the files that KeepSpec kept; nil when there are none.
func (s *Store) Spec(env Name, n int) map[string][]byte {
	b, err := readSmall(filepath.Join(s.specDir(env), strconv.Itoa(n)))
	if env.Check() != nil || err != nil {
		return nil
	}
	var files map[string][]byte
	if json.Unmarshal(b, &files) != nil {
		return nil
	}
	return files
}

// KeepTag keeps the tag that the history has for a generation, so that a history that is
// made again gives it the same name. The same tag again is not written.
func (s *Store) KeepTag(g Generation, tag string) error {
	if err := g.Env.Check(); err != nil || s.KeptTag(g) == tag {
		return err
	}
	path := s.tagPath(g)
	if err := mkdir(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("cannot keep a tag: %w", err)
	}
	if err := s.write(path, []byte(tag+"\n"), 0o600); err != nil {
		return fmt.Errorf("cannot keep a tag: %w", err)
	}
	return nil
}

// KeptTag gives the tag that KeepTag kept; "" when there is none.
func (s *Store) KeptTag(g Generation) string {
	b, err := readSmall(s.tagPath(g))
	if err != nil || g.Env.Check() != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func (s *Store) tagPath(g Generation) string {
	return filepath.Join(s.tagDir(g.Env), strconv.Itoa(g.Number))
}

func (s *Store) tagDir(env Name) string { return filepath.Join(s.root, "store", "tag", string(env)) }

func same(a, b map[string][]byte) bool {
	return maps.EqualFunc(a, b, slices.Equal[[]byte])
}
