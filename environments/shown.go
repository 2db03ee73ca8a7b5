package environments

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ShownPath is where a user's kernels are listed, relative to Root and to Mount: the
// directory for JUPYTER_PATH. The user has the form of an account's name.
func ShownPath(user string) string { return filepath.Join("users", user) }

// ShowKernels makes a user's list of kernels exactly these directories of kernels/. What
// is added is there before what is removed goes, each at once, so that a server that
// reads the list meanwhile starts what it started before.
func (s *Store) ShowKernels(user string, dirs []string) error {
	if !userForm(user) {
		return fmt.Errorf("cannot show kernels: %q is not a name of an account", user)
	}
	for _, d := range dirs {
		if !kernelForm.MatchString(d) {
			return fmt.Errorf("cannot show kernels to %s: %q is not a name of a kernel", user, d)
		}
	}
	// A neighbour may pass, and not look who is there.
	if err := mkdir(filepath.Join(s.root, "users"), 0o711); err != nil {
		return fmt.Errorf("cannot show kernels: %w", err)
	}
	list := filepath.Join(s.root, ShownPath(user), "kernels")
	if err := errors.Join(mkdir(filepath.Dir(list), 0o755), mkdir(list, 0o755)); err != nil {
		return fmt.Errorf("cannot show kernels to %s: %w", user, err)
	}
	if err := s.linkKernels(list, dirs); err != nil {
		return fmt.Errorf("cannot show kernels to %s: %w", user, err)
	}
	return nil
}

func (s *Store) linkKernels(list string, dirs []string) error {
	changed := false
	for _, d := range dirs {
		to := "../../../kernels/" + d
		if now, err := os.Readlink(filepath.Join(list, d)); err == nil && now == to {
			continue
		}
		changed = true
		tmp := filepath.Join(list, ".tmp")
		if err := os.RemoveAll(tmp); err != nil {
			return err
		}
		if err := os.Symlink(to, tmp); err != nil {
			return err
		}
		if err := s.step("show " + d); err != nil {
			return err
		}
		if err := os.Rename(tmp, filepath.Join(list, d)); err != nil {
			return err
		}
	}
	es, err := os.ReadDir(list)
	if err != nil {
		return err
	}
	for _, e := range es {
		if slices.Contains(dirs, e.Name()) {
			continue
		}
		changed = true
		if err := os.RemoveAll(filepath.Join(list, e.Name())); err != nil {
			return err
		}
	}
	if !changed {
		return nil
	}
	return s.settle(list)
}

// ShowOnly forgets the lists of everybody but these users.
func (s *Store) ShowOnly(users []string) error {
	dir := filepath.Join(s.root, "users")
	es, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot list who is shown kernels: %w", err)
	}
	for _, e := range es {
		if slices.Contains(users, e.Name()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("cannot forget whom kernels were shown to: %w", err)
		}
	}
	return nil
}

// userForm tells whether a name can be a directory of its own: letters, digits and
// ".-@_", as accounts have them. Jupyter parts the directories of its path at ":".
func userForm(user string) bool {
	if user == "" || len(user) > 128 || !utf8.ValidString(user) || strings.HasPrefix(user, ".") || strings.HasPrefix(user, "-") {
		return false
	}
	return !strings.ContainsFunc(user, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.Is(unicode.M, r) && !strings.ContainsRune("._-@", r)
	})
}
