package environments

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// sizeHeader begins a file of sizes, as in store/size/geo/4: the files of a generation
// with what each takes on the disk. After the header come unsigned varints: the number of
// the generation's own directory, then of each file the difference of its number to the
// one before, and its blocks of 512 bytes. The numbers are inodes: what two generations
// share has the same.
const sizeHeader = "conjured sizes 1\n"

func (s *Store) sizeDir(env Name) string { return filepath.Join(s.root, "store", "size", string(env)) }

// sized is one file of a generation.
type sized struct{ ino, blocks uint64 }

// Measure counts the files of every complete generation that was not counted yet, which
// takes a look at each of them. Nothing waits for it; call it when there are new ones.
func (s *Store) Measure(ctx context.Context) error {
	names, err := s.names()
	if err != nil {
		return err
	}
	var errs []error
	for _, env := range names {
		gs, err := s.Generations(env)
		errs = append(errs, err)
		for _, g := range gs {
			if _, err := s.sizes(env, g.Number); err == nil {
				continue
			}
			if err := s.measure(ctx, g); err != nil {
				errs = append(errs, fmt.Errorf("cannot measure generation %d of %s: %w", g.Number, env, err))
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return errors.Join(errs...)
}

func (s *Store) measure(ctx context.Context, g Generation) error {
	own, files, err := filesOf(ctx, filepath.Join(s.root, g.Path()))
	if err != nil {
		return err
	}
	b := binary.AppendUvarint([]byte(sizeHeader), own)
	last := uint64(0)
	for _, f := range files {
		b = binary.AppendUvarint(binary.AppendUvarint(b, f.ino-last), f.blocks)
		last = f.ino
	}
	if err := mkdir(s.sizeDir(g.Env), 0o700); err != nil {
		return err
	}
	return s.write(filepath.Join(s.sizeDir(g.Env), strconv.Itoa(g.Number)), b, 0o600)
}

// filesOf gives the files and directories of a tree in the order of their numbers, each
// once, and the number of the tree's own directory.
func filesOf(ctx context.Context, dir string) (own uint64, files []sized, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		st, ok := fi.Sys().(*syscall.Stat_t)
		if !ok {
			return errors.ErrUnsupported
		}
		if path == dir {
			own = st.Ino
		}
		files = append(files, sized{st.Ino, uint64(diskBytes(st) / 512)})
		return nil
	})
	slices.SortFunc(files, func(a, b sized) int { return cmp.Compare(a.ino, b.ino) })
	return own, slices.CompactFunc(files, func(a, b sized) bool { return a.ino == b.ino }), err
}

// sizes opens what Measure counted. It fails when that is not there, or is about another
// directory: a store that was copied has other numbers.
func (s *Store) sizes(env Name, n int) (*sizeReader, error) {
	b, err := readSmall(filepath.Join(s.sizeDir(env), strconv.Itoa(n)))
	if err != nil {
		return nil, err
	}
	fi, err := os.Lstat(filepath.Join(s.root, genPath(env, n)))
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(b, []byte(sizeHeader))
	own, k := binary.Uvarint(rest)
	if !ok || k <= 0 || own != inodeOf(fi).ino {
		return nil, errors.New("cannot read sizes: they are of something else")
	}
	return &sizeReader{rest: rest[k:]}, nil
}

// sizeReader reads a file of sizes, one after the other.
type sizeReader struct {
	rest  []byte
	at    sized
	order int  // of owners: who comes first has what is shared
	of    cost // where it counts
}

// next moves to the next file; false at the end.
func (r *sizeReader) next() bool {
	d, i := binary.Uvarint(r.rest)
	if i <= 0 {
		return false
	}
	blocks, j := binary.Uvarint(r.rest[i:])
	if j <= 0 {
		return false
	}
	r.at, r.rest = sized{r.at.ino + d, blocks}, r.rest[i+j:]
	return true
}

// cost names the generation that something counts for.
type cost struct {
	env    Name
	number int
}

// readers is a heap by the number of the file, then by the owners' order.
type readers []*sizeReader

func (h readers) Len() int { return len(h) }
func (h readers) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].at.ino, h[j].at.ino), cmp.Compare(h[i].order, h[j].order)) < 0
}
func (h readers) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *readers) Push(x any)   { *h = append(*h, x.(*sizeReader)) }
func (h *readers) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// costs is what each generation takes on the disk, in bytes, as far as Measure counted.
// A file that several have counts once: base comes before the others, these by name, and
// an older generation before a newer one. Asking again costs a look at each generation.
func (s *Store) costs() (map[cost]int64, error) {
	names, err := s.names()
	if err != nil {
		return nil, err
	}
	if i := slices.Index(names, Base); i > 0 {
		names = slices.Concat([]Name{Base}, names[:i], names[i+1:])
	}
	var all []cost
	var now []byte
	for _, env := range names {
		numbers, err := s.numbers(env)
		if err != nil {
			return nil, err
		}
		for _, n := range numbers {
			if fi, err := os.Lstat(filepath.Join(s.sizeDir(env), strconv.Itoa(n))); err == nil {
				all = append(all, cost{env, n})
				now = fmt.Appendf(now, "%s %d %d\n", env, n, inodeOf(fi).ino)
			}
		}
	}
	s.counting.Lock()
	defer s.counting.Unlock()
	if s.counted != nil && s.countedOf == string(now) {
		return s.counted, nil
	}
	var h readers
	for i, c := range all {
		if r, err := s.sizes(c.env, c.number); err == nil && r.next() {
			r.order, r.of = i, c
			h = append(h, r)
		}
	}
	s.counted, s.countedOf = tally(h), string(now)
	return s.counted, nil
}

// tally gives each file to the first of its owners.
func tally(h readers) map[cost]int64 {
	out := map[cost]int64{}
	heap.Init(&h)
	last := uint64(0)
	for len(h) > 0 {
		r := h[0]
		if r.at.ino != last {
			last = r.at.ino
			out[r.of] += int64(r.at.blocks) * 512
		}
		if r.next() {
			heap.Fix(&h, 0)
		} else {
			heap.Pop(&h)
		}
	}
	return out
}
