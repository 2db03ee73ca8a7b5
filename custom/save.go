package custom

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/users"
	"golang.org/x/sys/unix"
)

// savedName is the file that makes a saved copy complete; it is written last.
const savedName = ".conjured-setup.json"

// SavingPrefix begins the name of an unfinished copy beside dst. One that a power
// cut left behind may be removed at the next start.
const SavingPrefix = ".saving-"

// savedFormat is the version of saved; a copy of another one is refused.
const savedFormat = 1

// saved is what savedName holds: what the copy is, and the hash of every byte in it.
type saved struct {
	Format       int               `json:"format"`
	Name         string            `json:"name"`
	Fingerprints Fingerprints      `json:"fingerprints"`
	Roster       users.Roster      `json:"roster"`
	Files        map[string]string `json:"files"` // hex sha256 by path
	Dirs         []string          `json:"dirs,omitempty"`
	Links        map[string]string `json:"links,omitempty"`
}

// Save writes the folder's bytes to dst, which must not exist: whole or not at
// all, and on the disk when it returns. users.csv stays out, because passwords in
// plain text are kept nowhere but on the teacher's stick; who is in the roster is
// saved. What changed since [Read] is a *notice.Error of code folder-changed.
// When ctx ends, nothing is left behind.
func (f *Folder) Save(ctx context.Context, dst string) error {
	dst = filepath.Clean(dst)
	if _, err := os.Lstat(dst); err == nil {
		return fmt.Errorf("cannot save the folder: %s: %w", dst, fs.ErrExist)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dst), SavingPrefix)
	if err != nil {
		return fmt.Errorf("cannot save the folder: %w", err)
	}
	defer os.RemoveAll(tmp) // gone already when all went well
	if err := f.write(ctx, tmp); err != nil {
		return err
	}
	if err := syncAll(tmp); err != nil {
		return fmt.Errorf("cannot save the folder: %w", err)
	}
	if err := os.Rename(tmp, dst); err != nil {
		return fmt.Errorf("cannot save the folder: %w", err)
	}
	return syncDir(filepath.Dir(dst))
}

func (f *Folder) write(ctx context.Context, tmp string) error {
	t, err := openTree(f.source.dir)
	if err != nil {
		return changedError("the folder itself", err)
	}
	defer t.Close()
	out, err := os.OpenRoot(tmp)
	if err != nil {
		return fmt.Errorf("cannot save the folder: %w", err)
	}
	defer out.Close()
	s := copying{ctx: ctx, from: t, to: out, saved: f.manifest()}
	for rel, data := range f.source.kept {
		if rel == UsersCSV {
			continue
		}
		if err := s.small(rel, data); err != nil {
			return err
		}
	}
	for _, e := range slices.Concat(f.homeDefault, f.shared) {
		if err := s.entry(e, unix.RESOLVE_NO_SYMLINKS); err != nil {
			return err
		}
	}
	for _, e := range f.wheels() {
		if err := s.entry(e, 0); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(s.saved, "", "\t")
	if err != nil {
		return fmt.Errorf("cannot save the folder: %w", err)
	}
	return s.put(savedName, append(data, '\n'))
}

// manifest is all that identifies the copy; Files has everything but users.csv.
func (f *Folder) manifest() saved {
	s := saved{
		Format: savedFormat, Name: f.name, Fingerprints: f.fingerprints, Roster: f.roster,
		Files: map[string]string{}, Links: map[string]string{},
	}
	for rel, data := range f.source.kept {
		if rel != UsersCSV {
			sum := sha256.Sum256(data)
			s.Files[rel] = hex.EncodeToString(sum[:])
		}
	}
	for _, e := range slices.Concat(f.homeDefault, f.shared, f.wheels()) {
		switch {
		case e.Mode.IsDir():
			s.Dirs = append(s.Dirs, e.Path)
		case e.Link != "":
			s.Links[e.Path] = e.Link
		default:
			s.Files[e.Path] = e.SHA256
		}
	}
	slices.Sort(s.Dirs)
	return s
}

// copying is one Save on its way.
type copying struct {
	ctx   context.Context
	from  *tree
	to    *os.Root
	saved saved
}

func (c *copying) put(rel string, data []byte) error {
	if err := c.to.WriteFile(rel, data, 0o644); err != nil {
		return fmt.Errorf("cannot save %s: %w", rel, err)
	}
	return nil
}

func (c *copying) small(rel string, data []byte) error {
	if dir := filepath.Dir(rel); dir != "." {
		if err := c.to.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("cannot save %s: %w", rel, err)
		}
	}
	return c.put(rel, data)
}

func (c *copying) entry(e Entry, resolve uint64) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	dir := filepath.Dir(e.Path)
	if e.Mode.IsDir() {
		dir = e.Path
	}
	if err := c.to.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot save %s: %w", e.Path, err)
	}
	switch {
	case e.Mode.IsDir():
		return nil
	case e.Link != "":
		if err := c.to.Symlink(e.Link, e.Path); err != nil {
			return fmt.Errorf("cannot save %s: %w", e.Path, err)
		}
		return nil
	}
	return c.file(e, resolve)
}

// file copies one file and compares what it copied with what was read before.
func (c *copying) file(e Entry, resolve uint64) error {
	in, _, err := c.from.openFile(e.Path, resolve)
	if err != nil {
		return changedError(e.Path, err)
	}
	defer in.Close()
	out, err := c.to.OpenFile(e.Path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, e.Mode.Perm())
	if err != nil {
		return fmt.Errorf("cannot save %s: %w", e.Path, err)
	}
	defer out.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, h), io.LimitReader(&cancelled{c.ctx, in}, e.Size+1))
	switch {
	case c.ctx.Err() != nil:
		return c.ctx.Err()
	case err != nil && vanished(err):
		return changedError(e.Path, err)
	case err != nil:
		return fmt.Errorf("cannot save %s: %w", e.Path, err)
	case n != e.Size || hex.EncodeToString(h.Sum(nil)) != e.SHA256:
		return changedError(e.Path, nil)
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("cannot save %s: %w", e.Path, err)
	}
	return nil
}

func changedError(rel string, err error) error {
	return &notice.Error{
		Notice: notice.Notice{
			Code: "folder-changed", Severity: notice.SeverityError, File: printable(rel),
			What:  "the folder changed while it was read: " + printable(rel),
			Means: "nothing was taken from it; a class that is running goes on unchanged",
			Do:    "wait until copying has ended, leave the stick in, and try again",
		},
		Err: err,
	}
}

// syncAll brings everything beneath dir to the disk. One call for the file system
// is faster than one for each of 50,000 files.
func syncAll(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Load reads what [Folder.Save] wrote. A copy whose bytes are not those that were
// saved is a *notice.Error of code setup-damaged. The folder has the fingerprints
// and roster of the time it was saved and no users.csv. Policy is that of today:
// the folder's notices say what it refuses, and other things that a newer conjured
// reads more strictly.
func Load(ctx context.Context, dir string, policy Policy) (*Folder, error) {
	s, err := readSaved(dir)
	if err != nil {
		return nil, damaged(dir, err)
	}
	f, l := Read(ctx, dir, Options{Policy: policy, saved: true, roster: s.Roster})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if f == nil {
		return nil, damaged(dir, l)
	}
	now := f.manifest()
	if !maps.Equal(s.Files, now.Files) || !maps.Equal(s.Links, now.Links) || !slices.Equal(s.Dirs, now.Dirs) {
		return nil, damaged(dir, nil)
	}
	f.name, f.fingerprints = s.Name, s.Fingerprints
	return f, nil
}

func readSaved(dir string) (saved, error) {
	t, err := openTree(dir)
	if err != nil {
		return saved{}, err
	}
	defer t.Close()
	in, _, err := t.openFile(savedName, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return saved{}, err
	}
	defer in.Close()
	s := saved{Files: map[string]string{}, Links: map[string]string{}}
	if err := json.NewDecoder(io.LimitReader(in, 64<<20)).Decode(&s); err != nil {
		return saved{}, err
	}
	if s.Format != savedFormat {
		return saved{}, errors.New("saved by another version of conjured")
	}
	return s, nil
}

func damaged(dir string, err error) error {
	return &notice.Error{
		Notice: notice.Notice{
			Code: "setup-damaged", Severity: notice.SeverityError,
			What:  fmt.Sprintf("the saved setup %s is not what was saved", short(filepath.Base(dir))),
			Means: "this setup cannot be used again; students' files are somewhere else and are not touched",
			Do:    "apply the teacher's folder again",
		},
		Err: err,
	}
}
