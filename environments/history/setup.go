package history

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// configFile is the repository's own configuration, whole.
const configFile = "[core]\n\trepositoryformatversion = 0\n\tfilemode = false\n\tbare = true\n"

// sound tells whether the directory has the shape of a repository of ours, without
// starting git. Its configuration is always the one above.
func (r *Repository) sound() (bool, error) {
	dir := r.c.Dir
	for _, name := range []string{"", "objects", "refs"} {
		fi, err := os.Lstat(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		if err != nil || !fi.IsDir() {
			return false, nil
		}
	}
	head, err := os.ReadFile(filepath.Join(dir, "HEAD"))
	if err != nil || !strings.HasPrefix(string(head), "ref: refs/heads/") {
		return false, nil //nolint:nilerr // unreadable is unsound
	}
	path := filepath.Join(dir, "config")
	if was, err := os.ReadFile(path); err == nil && string(was) == configFile {
		return true, nil
	}
	return true, renameio.WriteFile(path, []byte(configFile), 0o600)
}

// create makes an empty repository beside its place and renames it.
func (r *Repository) create(ctx context.Context, lock *os.File) error {
	tmp := r.c.Dir + ".new"
	p := program{path: r.git, dir: tmp, lock: lock}
	if err := makeBare(ctx, p, "base"); err != nil {
		return err
	}
	if err := os.Rename(tmp, r.c.Dir); err != nil {
		return err
	}
	return syncDir(filepath.Dir(r.c.Dir))
}

// makeBare makes an empty bare repository in p.dir, which is synced.
func makeBare(ctx context.Context, p program, first string) error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	if err := p.run(ctx, nil, nil, "init", "--quiet", "--bare", "--template=", "--object-format=sha1", "--initial-branch="+first); err != nil {
		return err
	}
	if err := renameio.WriteFile(filepath.Join(p.dir, "config"), []byte(configFile), 0o600); err != nil {
		return err
	}
	for _, d := range []string{"refs/heads/manifest", "refs/tags", "objects/pack"} {
		if err := os.MkdirAll(filepath.Join(p.dir, d), 0o700); err != nil {
			return err
		}
	}
	return syncTree(p.dir)
}

// syncTree syncs every file and directory below dir.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() && !d.Type().IsRegular() {
			return err
		}
		return syncDir(path)
	})
}

// syncDir syncs a directory, or a file.
func syncDir(dir string) error {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// moveAside renames what is in the repository's place, if anything.
func (r *Repository) moveAside() error {
	if _, err := os.Lstat(r.c.Dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	before, err := r.aside()
	if err != nil {
		return err
	}
	to := r.asidePath(1)
	if len(before) > 0 { // what was moved later has the higher number, also when older ones are gone
		to = r.asidePath(before[len(before)-1] + 1)
	}
	r.c.Log.Warn("the history is damaged and was moved aside", "to", to)
	if err := os.Rename(r.c.Dir, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(r.c.Dir))
}

// tidyBeside removes a repository that was being made.
func (r *Repository) tidyBeside() error {
	if err := os.MkdirAll(filepath.Dir(r.c.Dir), 0o700); err != nil {
		return err
	}
	for _, end := range []string{".new", ".import"} {
		if err := os.RemoveAll(r.c.Dir + end); err != nil {
			return err
		}
	}
	return nil
}

// sweep removes the locks and temporary files of commands that were killed. Who holds
// the writer's lock knows that no other command uses them.
func (r *Repository) sweep() error {
	return filepath.WalkDir(r.c.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := d.Name()
		in := filepath.Base(filepath.Dir(path))
		left := strings.HasPrefix(name, "tmp_") || strings.HasSuffix(name, ".lock") || name == "packed-refs.new" ||
			in == "pack" && strings.HasPrefix(name, ".tmp-")
		if !left {
			return nil
		}
		r.c.Log.Info("removed what an interrupted git left", "file", name)
		return os.Remove(path)
	})
}
