package environments

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Marks in an environment's label directory. They begin with a dot, so no label can
// have their name.
const (
	retired = ".retired" // nobody asks for the environment any more
	held    = ".held"    // the manifest that somebody rolled back from
	foreign = ".foreign" // it came with a history of another box
	removed = ".removed" // it was foreign, and somebody removed it
)

// Retire takes current, previous and next from an environment that nobody asks for any
// more. Its other labels and pins stay; the rest goes at the next GC. The mark comes
// first, so that Repair can finish; the next Flip takes it away again.
func (s *Store) Retire(env Name) error {
	if err := env.Check(); err != nil {
		return err
	}
	if _, err := os.Lstat(s.labelDir(env)); errors.Is(err, fs.ErrNotExist) {
		return nil // it never was in use
	}
	if !s.Retired(env) {
		if err := s.write(filepath.Join(s.labelDir(env), retired), nil, 0o644); err != nil {
			return fmt.Errorf("cannot retire %s: %w", env, err)
		}
	}
	for _, l := range []Label{Next, Previous, Current} {
		if err := s.unlink(env, string(l)); err != nil {
			return fmt.Errorf("cannot retire %s: %w", env, err)
		}
	}
	return s.unmark(env, held)
}

// Retired tells whether nobody asks for env any more.
func (s *Store) Retired(env Name) bool {
	_, err := os.Lstat(filepath.Join(s.labelDir(env), retired))
	return err == nil
}

// Hold remembers the manifest that somebody rolled back from, so that the same wish of
// the folder, still there, does not undo it. "" forgets.
func (s *Store) Hold(env Name, id string) error {
	if id == "" {
		return s.unmark(env, held)
	}
	if b, err := hex.DecodeString(id); err != nil || len(b) != 32 {
		return fmt.Errorf("cannot hold %.80q back: not a manifest", id)
	}
	if s.Held(env) == id {
		return nil
	}
	if err := mkdir(s.labelDir(env), 0o755); err != nil {
		return fmt.Errorf("cannot hold a manifest of %s back: %w", env, err)
	}
	if err := s.write(filepath.Join(s.labelDir(env), held), []byte(id+"\n"), 0o644); err != nil {
		return fmt.Errorf("cannot hold a manifest of %s back: %w", env, err)
	}
	return nil
}

// Held is the manifest that somebody rolled back from; "" when there is none.
func (s *Store) Held(env Name) string {
	b, err := readSmall(filepath.Join(s.labelDir(env), held))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// Adopt remembers that env came with a history from elsewhere, where it was called display:
// nobody's folder asks for it, and yet it stays. Disown forgets that.
func (s *Store) Adopt(env Name, display string) error {
	if err := env.Check(); err != nil || s.Imported(env) && s.Foreign(env) == display {
		return err
	}
	if err := mkdir(s.labelDir(env), 0o755); err != nil {
		return fmt.Errorf("cannot adopt %s: %w", env, err)
	}
	if s.Removed(env) {
		if err := errors.Join(s.unmark(env, removed), s.unmark(env, retired)); err != nil {
			return fmt.Errorf("cannot adopt %s: %w", env, err)
		}
	}
	return s.write(filepath.Join(s.labelDir(env), foreign), []byte(display+"\n"), 0o644)
}

// Remove retires an environment that came from elsewhere, and remembers that it did: when
// one of its managed labels is set again, it is as before. The mark is renamed first, so
// that Repair can finish. One that did not come from elsewhere is left alone.
func (s *Store) Remove(env Name) error {
	if err := env.Check(); err != nil {
		return err
	}
	if s.Imported(env) {
		if err := s.remark(env, foreign, removed); err != nil {
			return fmt.Errorf("cannot remove %s: %w", env, err)
		}
	}
	if !s.Removed(env) {
		return nil
	}
	return s.Retire(env)
}

// Removed tells whether somebody removed env.
func (s *Store) Removed(env Name) bool {
	_, err := os.Lstat(filepath.Join(s.labelDir(env), removed))
	return err == nil
}

// remark renames a mark.
func (s *Store) remark(env Name, from, to string) error {
	if err := s.step("rename " + from); err != nil {
		return err
	}
	dir := s.labelDir(env)
	if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
		return err
	}
	return s.settle(dir)
}

// Foreign is what env was called where it came from; "" when that is not known.
func (s *Store) Foreign(env Name) string {
	b, err := readSmall(filepath.Join(s.labelDir(env), foreign))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// Disown forgets that env came from elsewhere.
func (s *Store) Disown(env Name) error {
	return errors.Join(s.unmark(env, foreign), s.unmark(env, removed))
}

// Imported tells whether env came with a history from elsewhere.
func (s *Store) Imported(env Name) bool {
	_, err := os.Lstat(filepath.Join(s.labelDir(env), foreign))
	return err == nil
}

// unmark removes a mark, if it is there.
func (s *Store) unmark(env Name, mark string) error { return s.unlink(env, mark) }
