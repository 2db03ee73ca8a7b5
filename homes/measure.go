package homes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Limits of one measurement. A home beyond them counts as too large, whatever its
// files hold: a student could else hide behind a million of them.
const (
	maxMeasured  = 1_000_000
	measureDepth = 64
)

// Size is what a home holds.
type Size struct {
	Bytes int64 // on the disk: a file with holes counts what it really takes
	Files int64 // folders and links among them
	Whole bool  // everything was counted
}

// Measure counts what a user's home holds. It is gentle: four fifths of the time it
// waits. The student may change the home meanwhile, and nothing they put there leads
// out of it. A home that does not exist holds nothing.
func (h *Homes) Measure(ctx context.Context, user string) (Size, error) {
	m := &measuring{ctx: ctx, linked: map[uint64]bool{}, began: time.Now(), whole: true}
	top, err := openDir(unix.AT_FDCWD, h.Path(user))
	if errors.Is(err, fs.ErrNotExist) {
		return Size{Whole: true}, nil
	}
	if err == nil {
		err = m.dir(top, 0)
	}
	if err != nil {
		return Size{}, fmt.Errorf("cannot measure the home of %s: %w", user, err)
	}
	return Size{Bytes: m.bytes, Files: m.files, Whole: m.whole}, nil
}

type measuring struct {
	ctx          context.Context
	bytes, files int64
	whole        bool
	linked       map[uint64]bool // inodes with several names: each counts once
	began        time.Time       // of the piece of work since the last rest
}

// dir counts one directory and closes it. One that goes away meanwhile holds what
// was seen of it.
func (m *measuring) dir(fd, depth int) error {
	d := os.NewFile(uintptr(fd), "home")
	defer d.Close()
	for m.files < maxMeasured {
		names, err := d.Readdirnames(512)
		for _, name := range names {
			if err := m.entry(fd, name, depth); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := m.rest(); err != nil {
			return err
		}
	}
	m.whole = false
	return nil
}

func (m *measuring) entry(at int, name string, depth int) error {
	var st unix.Stat_t
	if err := unix.Fstatat(at, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil // gone since it was listed
	}
	m.files++
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if st.Nlink > 1 && !isDir {
		if m.linked[st.Ino] {
			return nil
		}
		m.linked[st.Ino] = true
	}
	m.bytes += st.Blocks * 512
	if !isDir || m.files >= maxMeasured {
		return nil
	}
	if depth >= measureDepth {
		m.whole = false
		return nil
	}
	fd, err := openDir(at, name)
	if err != nil {
		return nil // it has become something else, or lies on another disk
	}
	return m.dir(fd, depth+1)
}

// rest waits four times as long as was worked.
func (m *measuring) rest() error {
	t := time.NewTimer(4 * time.Since(m.began))
	defer t.Stop()
	select {
	case <-m.ctx.Done():
		return m.ctx.Err()
	case <-t.C:
		m.began = time.Now()
		return nil
	}
}

// Free tells how many bytes are left on the homes' disk, and its size.
func (h *Homes) Free() (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(h.dir, &st); err != nil {
		return 0, 0, fmt.Errorf("cannot measure the disk of the homes: %w", err)
	}
	return int64(st.Bavail) * st.Bsize, int64(st.Blocks) * st.Bsize, nil
}
