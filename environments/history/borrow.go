package history

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// Limits of a repository that somebody else made.
const (
	maxBorrowedFiles = 100_000
	maxBorrowedBytes = 1 << 30
	maxBorrowedRefs  = 20_000
	maxCommits       = 20_000
	maxBorrowedPacks = 1000
	maxImported      = 128 << 20
)

// errStrange says, for people, what is wrong with such a repository.
type errStrange string

func (e errStrange) Error() string { return string(e) }

// borrowed is a copy of a stranger's objects in a repository that we made, so that
// nothing of his is obeyed: no configuration, hook, alternate, replacement or filter.
type borrowed struct {
	program
	refs  map[string]oid // refs/heads/..., refs/tags/..., also those that only a clone's origin has
	root  *os.Root
	files int
	bytes int64
	packs int
}

// borrow copies the repository at from, bare or with a work tree, into p.dir.
func borrow(ctx context.Context, p program, from string) (*borrowed, error) {
	root, err := openRepository(from)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	b := &borrowed{program: p, refs: map[string]oid{}, root: root}
	if err := makeBare(ctx, p, "base"); err != nil {
		return nil, err
	}
	if err := b.readRefs(ctx); err != nil {
		return nil, err
	}
	return b, b.copyObjects(ctx)
}

// openRepository finds the git directory.
func openRepository(from string) (*os.Root, error) {
	root, err := os.OpenRoot(from)
	if err != nil {
		return nil, err
	}
	fi, err := root.Lstat(".git")
	if err == nil && fi.IsDir() {
		defer root.Close()
		return root.OpenRoot(".git")
	}
	if err == nil {
		_ = root.Close()
		return nil, errStrange("its .git is not a directory: it is a part of another repository")
	}
	for _, name := range []string{"objects", "refs"} {
		if fi, err := root.Lstat(name); err != nil || !fi.IsDir() {
			_ = root.Close()
			return nil, errStrange("it is not a git repository")
		}
	}
	return root, nil
}

// open opens a regular file, and counts it.
func (b *borrowed) open(name string, limit int64) (*os.File, error) {
	f, err := b.root.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = errStrange(name + " is not a file")
	}
	if err == nil {
		b.files++
		b.bytes += fi.Size()
		if fi.Size() > limit || b.files > maxBorrowedFiles || b.bytes > maxBorrowedBytes {
			err = errStrange("it is larger than a history of environments can be")
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

var refForm = regexp.MustCompile(`^refs/(heads|tags|remotes/origin)/[A-Za-z0-9_][A-Za-z0-9_./-]{0,200}$`)

// readRefs reads packed and loose references; of a clone's origin those that have no
// branch of their own.
func (b *borrowed) readRefs(ctx context.Context) error {
	found := map[string]oid{}
	if f, err := b.open("packed-refs", 8<<20); err == nil {
		data, err := io.ReadAll(f)
		_ = f.Close()
		if err != nil {
			return err
		}
		for l := range strings.Lines(string(data)) {
			if id, name, ok := strings.Cut(strings.TrimSpace(l), " "); ok && oid(id).ok() {
				found[name] = oid(id)
			}
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := fs.WalkDir(b.root.FS(), "refs", func(name string, d fs.DirEntry, err error) error {
		if err = errors.Join(err, ctx.Err()); err != nil || !d.Type().IsRegular() || !refForm.MatchString(name) {
			return err
		}
		f, err := b.open(name, 4<<10)
		if err != nil {
			return err
		}
		data, err := io.ReadAll(f)
		if id := oid(strings.TrimSpace(string(data))); id.ok() {
			found[name] = id
		}
		return errors.Join(err, f.Close())
	})
	if len(found) > maxBorrowedRefs {
		return errStrange("it has too many branches and tags")
	}
	for name, id := range found {
		if !refForm.MatchString(name) {
			continue
		}
		short, remote := strings.CutPrefix(name, "refs/remotes/origin/")
		if _, own := found["refs/heads/"+short]; remote && own || short == "HEAD" {
			continue
		}
		if remote {
			name = "refs/heads/" + short
		}
		b.refs[name] = id
	}
	return err
}

var (
	looseDir  = regexp.MustCompile(`^[0-9a-f]{2}$`)
	looseFile = regexp.MustCompile(`^[0-9a-f]{38}$`)
)

// copyObjects copies loose objects, and has git index packs anew while it checks them.
func (b *borrowed) copyObjects(ctx context.Context) error {
	return fs.WalkDir(b.root.FS(), "objects", func(name string, d fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		dir := path.Base(path.Dir(name))
		switch {
		case d.IsDir() && strings.Count(name, "/") > 1:
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		case dir == "pack" && strings.HasSuffix(name, ".pack"):
			return b.takePack(ctx, name)
		case looseDir.MatchString(dir) && looseFile.MatchString(d.Name()):
			return b.takeLoose(name, filepath.Join(b.dir, "objects", dir, d.Name()))
		}
		return nil
	})
}

func (b *borrowed) takePack(ctx context.Context, name string) error {
	f, err := b.open(name, maxBorrowedBytes)
	if err != nil {
		return err
	}
	defer f.Close()
	if b.packs++; b.packs > maxBorrowedPacks {
		return errStrange("it is in too many pieces")
	}
	p := b.program
	p.poor = true
	err = p.run(ctx, f, nil, "index-pack", "--stdin", fmt.Sprintf("--max-input-size=%d", maxBorrowedBytes))
	if err != nil && ctx.Err() == nil {
		return errStrange("a part of it is damaged: " + path.Base(name))
	}
	return err
}

func (b *borrowed) takeLoose(name, to string) error {
	f, err := b.open(name, maxObject)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.LimitReader(f, maxObject))
	return errors.Join(err, out.Close())
}
