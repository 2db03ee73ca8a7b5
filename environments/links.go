package environments

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// errUnlike means that a tree is not what it should be. Making it the plain way helps.
var errUnlike = errors.New("not as expected")

// folders visits a tree of directories on every processor.
type folders struct {
	visit func(rel string) (below []string, err error)

	mu   sync.Mutex
	more *sync.Cond
	todo []string
	busy int
	err  error
}

// each visits the top directory, "", and all that visits name. The first error ends it.
func each(ctx context.Context, visit func(rel string) (below []string, err error)) error {
	f := &folders{visit: visit, todo: []string{""}}
	f.more = sync.NewCond(&f.mu)
	var wg sync.WaitGroup
	for range runtime.NumCPU() {
		wg.Go(func() { f.work(ctx) })
	}
	wg.Wait()
	return f.err
}

func (f *folders) work(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		for len(f.todo) == 0 && f.busy > 0 && f.err == nil {
			f.more.Wait()
		}
		if len(f.todo) == 0 || f.err != nil {
			f.more.Broadcast()
			return
		}
		rel := f.todo[len(f.todo)-1]
		f.todo = f.todo[:len(f.todo)-1]
		f.busy++
		f.mu.Unlock()
		below, err := f.visit(rel)
		f.mu.Lock()
		f.busy--
		f.todo = append(f.todo, below...)
		if f.err == nil {
			f.err = errors.Join(err, ctx.Err())
		}
		f.more.Broadcast()
	}
}

// seal is a number for a tree: another one when any file has been added, removed or put in
// the place of another. What is added when a generation is complete does not count.
type seal struct{ sum, count atomic.Uint64 }

func (s *seal) add(rel string, es []entry) {
	h, sum, count := fnv.New64a(), uint64(0), uint64(0)
	var text []byte
	for _, e := range es {
		if rel == "" && slices.Contains(ours, e.name) {
			continue
		}
		text = append(append(append(text[:0], rel...), '/'), e.name...)
		text = binary.LittleEndian.AppendUint64(append(text, 0, e.kind), e.inode)
		h.Reset()
		_, _ = h.Write(text) // it never fails
		sum += h.Sum64()
		count++
	}
	s.sum.Add(sum)
	s.count.Add(count)
}

func (s *seal) String() string { return fmt.Sprintf("%d-%016x", s.count.Load(), s.sum.Load()) }

// ours is what lies beside the packages of a complete generation.
var ours = []string{"lease", "manifest.txt", variablesFile, "generation.json", "ok"}

// sealOf looks at every directory of a tree.
func sealOf(ctx context.Context, dir string) (string, error) {
	var s seal
	err := each(ctx, func(rel string) ([]string, error) {
		fd, es, err := openFolder(filepath.Join(dir, rel))
		if err != nil {
			return nil, err
		}
		unix.Close(fd)
		s.add(rel, es)
		var below []string
		for _, e := range es {
			if e.kind == unix.DT_DIR {
				below = append(below, filepath.Join(rel, e.name))
			}
		}
		return below, nil
	})
	return s.String(), err
}

// link makes to, which may have something in it already, what from is: the same
// directories, and one more name for each file. Paths in skip, relative to from, are left
// out. No link is followed. It gives the seal of from.
func link(ctx context.Context, from, to string, skip map[string]bool) (string, error) {
	var s seal
	err := each(ctx, func(rel string) ([]string, error) {
		a, es, err := openFolder(filepath.Join(from, rel))
		if err != nil {
			return nil, err
		}
		defer unix.Close(a)
		s.add(rel, es)
		b, err := unix.Open(filepath.Join(to, rel), openDir, 0)
		if err != nil {
			return nil, fmt.Errorf("cannot link below %s: %w", rel, err)
		}
		defer unix.Close(b)
		if err := unix.Fchmod(b, 0o755); err != nil {
			return nil, err
		}
		var below []string
		for _, e := range es {
			path := filepath.Join(rel, e.name)
			switch {
			case skip[path]:
			case e.kind == unix.DT_DIR:
				if err := unix.Mkdirat(b, e.name, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
					return nil, fmt.Errorf("cannot make %s: %w", path, err)
				}
				below = append(below, path)
			case e.kind == unix.DT_REG:
				if err := unix.Linkat(a, e.name, b, e.name, 0); err != nil {
					return nil, fmt.Errorf("cannot link %s: %w", path, err)
				}
			default:
				return nil, fmt.Errorf("%s is no file: %w", path, errUnlike)
			}
		}
		return below, nil
	})
	return s.String(), err
}

// linked tells whether b is a: every file of a is the same file in b, but for those in own,
// and b has nothing more than own and added. It gives the seal of b; errUnlike when it is not.
func linked(ctx context.Context, a, b string, own map[string]bool, added []string) (string, error) {
	var s seal
	more := map[string]bool{}
	for _, f := range added {
		for ; f != "." && f != "/" && !more[f]; f = filepath.Dir(f) {
			more[f] = true
		}
	}
	err := each(ctx, func(rel string) ([]string, error) {
		fd, es, err := openFolder(filepath.Join(b, rel))
		if err != nil {
			return nil, err
		}
		unix.Close(fd)
		s.add(rel, es)
		was := map[string]entry{}
		if fd, old, err := openFolder(filepath.Join(a, rel)); err == nil {
			unix.Close(fd)
			for _, e := range old {
				was[e.name] = e
			}
		} else if !errors.Is(err, unix.ENOENT) {
			return nil, err
		}
		var below []string
		for _, e := range es {
			path := filepath.Join(rel, e.name)
			old, known := was[e.name]
			delete(was, e.name)
			switch {
			case own[path]:
			case e.kind == unix.DT_DIR && (more[path] || known && old.kind == unix.DT_DIR):
				below = append(below, path)
			case e.kind == unix.DT_REG && (known && old == e || !known && more[path]):
			default:
				return nil, fmt.Errorf("%s is nobody's, or another file: %w", path, errUnlike)
			}
		}
		for name := range was {
			if path := filepath.Join(rel, name); !own[path] {
				return nil, fmt.Errorf("%s is missing: %w", path, errUnlike)
			}
		}
		return below, nil
	})
	return s.String(), err
}

const openDir = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// entry is what a directory says of a file, without a look at the file: see getdents(2).
type entry struct {
	name  string
	kind  byte // DT_REG and so on
	inode uint64
}

// openFolder opens a directory and reads it. The caller closes it.
func openFolder(path string) (fd int, es []entry, err error) {
	fd, err = unix.Open(path, openDir, 0)
	if err != nil {
		return -1, nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := unix.Getdents(fd, buf)
		if err != nil {
			unix.Close(fd)
			return -1, nil, &os.PathError{Op: "read", Path: path, Err: err}
		}
		if n == 0 {
			return fd, es, nil
		}
		for rest := buf[:n]; len(rest) > 19; {
			size := int(binary.NativeEndian.Uint16(rest[16:]))
			name := unix.ByteSliceToString(rest[19:size])
			if name != "." && name != ".." {
				es = append(es, entry{name, rest[18], binary.NativeEndian.Uint64(rest)})
			}
			rest = rest[size:]
		}
	}
}
