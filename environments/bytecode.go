package environments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/conjuring/conjured/progress"
	"golang.org/x/sys/unix"
)

const maxBytecode = 64 << 20 // bytes of one module's

// source is a module without bytecode, as finish.py writes it.
type source struct{ path, shown, bytecode string }

// UnmarshalJSON reads the list [path, shown, bytecode].
func (s *source) UnmarshalJSON(data []byte) error {
	var all [3]string
	err := json.Unmarshal(data, &all)
	s.path, s.shown, s.bytecode = all[0], all[1], all[2]
	return err
}

// compile has the generation's own Python write the bytecode, where it is not the
// image's: the first program of its packages that runs. Whoever made it may mean harm, and
// the files of a generation are also those of others: so it runs as somebody who owns
// none of them, sees its own generation, and may write to a directory of its own only.
func (b *Builder) compile(ctx context.Context, s Spec, w work, g Generation, sink progress.Sink) error {
	data, err := os.ReadFile(filepath.Join(w.host, "compile.json"))
	if err != nil {
		return ignore(err)
	}
	var jobs []source
	if err := json.Unmarshal(data, &jobs); err != nil {
		return fmt.Errorf("cannot compile packages: %w", err)
	}
	script, err := scripts.ReadFile("build/bytecode.py")
	if err != nil {
		return err
	}
	host := filepath.Join(w.host, "bytecode")
	if err := b.lend(host, "jobs.json", data); err != nil {
		return fmt.Errorf("cannot compile packages: %w", err)
	}
	gen, inside := filepath.Join(b.c.Store.mount, g.Path()), filepath.Join(b.c.Store.mount, w.rel, "bytecode")
	read := newReader(sink, "")
	exit, err := b.c.Runner.Run(ctx, Command{
		Image:  s.Image,
		Args:   []string{filepath.Join(gen, "bin/python"), "-I", "-S", "-c", string(script), inside},
		Env:    []string{"HOME=/tmp", "LC_ALL=C.UTF-8"},
		Mounts: []Mount{{Host: filepath.Join(b.c.Store.root, g.Path()), Container: gen, ReadOnly: true}, {Host: host, Container: inside}},
		User:   b.c.Verifier,
		Output: read,
	})
	read.flush()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("cannot compile packages: %w", err)
	case exit != 0:
		return errors.Join(errors.New("cannot compile packages"), explain(s, exit, read.text(), b.c.Index))
	}
	return b.takeBytecode(host, filepath.Join(b.c.Store.root, g.Path()), jobs)
}

// lend makes a directory with one file, for who runs packages' code to write to.
func (b *Builder) lend(dir, name string, data []byte) error {
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, name), data, 0o644)); err != nil {
		return err
	}
	uid, gid, err := ids(b.c.Verifier)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	return os.Chown(dir, uid, gid)
}

// ids takes "uid:gid" apart.
func ids(user string) (uid, gid int, err error) {
	u, g, _ := strings.Cut(user, ":")
	uid, err1 := strconv.Atoi(u)
	gid, err2 := strconv.Atoi(g)
	return uid, gid, errors.Join(err1, err2)
}

// takeBytecode copies what was written from dir into gen. Nothing but files is taken, and
// nothing goes elsewhere, whatever is in either.
func (b *Builder) takeBytecode(dir, gen string, jobs []source) error {
	from, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("cannot take bytecode: %w", err)
	}
	defer from.Close()
	to, err := os.OpenRoot(gen)
	if err != nil {
		return fmt.Errorf("cannot take bytecode: %w", err)
	}
	defer to.Close()
	for n, j := range jobs {
		if err := takeFile(from, strconv.Itoa(n), to, j.bytecode); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot take bytecode: %w", err)
		}
	}
	return nil
}

// takeFile makes a new file of what is a file.
func takeFile(from *os.Root, name string, to *os.Root, path string) error {
	in, err := from.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	if fi, err := in.Stat(); err != nil || !fi.Mode().IsRegular() || fi.Size() > maxBytecode {
		return errors.Join(err, fmt.Errorf("%s is no bytecode", name))
	}
	if err := to.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	out, err := to.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o444)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.LimitReader(in, maxBytecode))
	return errors.Join(err, out.Chmod(0o444), out.Close())
}
