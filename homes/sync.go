package homes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// tempName begins the names of files that are being written; what a power cut
// leaves of them is removed by the next Sync.
const tempName = ".conjured-new-"

// SyncReport is what Sync did. Paths are relative to the folder.
type SyncReport struct {
	Unchanged bool        `json:"unchanged,omitempty"` // the fingerprint was the same; nothing was looked at
	Added     []string    `json:"added,omitempty"`
	Changed   []string    `json:"changed,omitempty"`
	Removed   []string    `json:"removed,omitempty"`
	Notices   notice.List `json:"notices,omitempty"`
}

// Sync makes directory dst hold what directory src holds; an absent src or "" is
// an empty one. dst itself is never replaced, so that servers which have it
// mounted see new files at once: each file appears whole, by rename, and deletions
// come last. Everything in dst is root's and readable by all (the mount must be
// read-only).
//
// fingerprint names what src holds: when the last Sync that finished had the same
// one, nothing is done. "" always looks. A Sync that was interrupted leaves a mix
// of old and new whole files, and the next one completes it.
func Sync(ctx context.Context, src, dst, fingerprint string, sink progress.Sink) (SyncReport, error) {
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return SyncReport{}, fmt.Errorf("cannot make the shared folder: %w", err)
	}
	if err := os.Chmod(dst, 0o755); err != nil {
		return SyncReport{}, fmt.Errorf("cannot open the shared folder to all: %w", err)
	}
	done := filepath.Join(filepath.Dir(dst), "."+filepath.Base(dst)+".fingerprint")
	if old, err := os.ReadFile(done); err == nil && fingerprint != "" && string(old) == fingerprint {
		return SyncReport{Unchanged: true}, nil
	}
	// A mark that outlived a half-done Sync would hide the other half.
	if err := os.Remove(done); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return SyncReport{}, fmt.Errorf("cannot sync the shared folder: %w", err)
	}
	s := &syncing{ctx: ctx, sink: sink}
	if err := s.run(src, dst); err != nil {
		return s.report, fmt.Errorf("cannot sync the shared folder: %w", err)
	}
	if fingerprint == "" {
		return s.report, nil
	}
	if err := renameio.WriteFile(done, []byte(fingerprint), 0o600, renameio.WithTempDir(filepath.Dir(dst))); err != nil {
		return s.report, fmt.Errorf("cannot sync the shared folder: %w", err)
	}
	return s.report, nil
}

// syncing is one call of Sync.
type syncing struct {
	ctx    context.Context
	sink   progress.Sink
	src    *os.Root // nil when there is no source
	dst    *os.Root
	report SyncReport
	bytes  int64 // to copy at most
	copied int64
	last   time.Time
}

func (s *syncing) run(src, dst string) (err error) {
	var want []entry
	if src != "" {
		want, err = list(s.ctx, src)
		if err == nil {
			s.src, err = os.OpenRoot(src)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if s.src != nil {
		defer s.src.Close()
	}
	if s.dst, err = os.OpenRoot(dst); err != nil {
		return err
	}
	defer s.dst.Close()
	keep := map[string]bool{}
	for _, e := range want {
		s.bytes += e.size
	}
	for _, e := range want {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		if e.link != "" && !e.inside() {
			s.report.Notices = append(s.report.Notices, notice.Notice{
				Code: "shared-link-outside", Severity: notice.SeverityWarning, File: "shared/" + e.rel,
				What:  "this link leads out of the shared folder",
				Means: "students don't see it; all other files are there", Do: "copy the file itself into the shared folder",
			})
			continue
		}
		keep[e.rel] = true
		if err := s.put(e); err != nil {
			return err
		}
	}
	// New files are on the disk before old ones go.
	if err := syncTree(dst); err != nil {
		return err
	}
	return s.prune(keep)
}

// put brings one entry into dst if it is not there as it should be.
func (s *syncing) put(e entry) error {
	have, err := s.dst.Lstat(e.rel)
	exists := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if exists && have.IsDir() != e.mode.IsDir() {
		// A folder where a file belongs, or the reverse: rename can't replace it.
		if err := s.dst.RemoveAll(e.rel); err != nil {
			return err
		}
		exists = false
	}
	switch {
	case e.mode.IsDir():
		if !exists {
			err = s.dst.Mkdir(e.rel, 0o755)
		} else {
			err = nil
		}
		if err != nil {
			return err
		}
		return s.dst.Chmod(e.rel, 0o755)
	case exists && s.same(e, have):
		s.copied += e.size
		return nil
	}
	if err := s.replace(e); err != nil {
		return err
	}
	if exists {
		s.report.Changed = append(s.report.Changed, e.rel)
	} else {
		s.report.Added = append(s.report.Added, e.rel)
	}
	return nil
}

// same compares contents: times of files on a stick are two seconds coarse, and a
// saved copy may have none of its own.
func (s *syncing) same(e entry, have fs.FileInfo) bool {
	if e.link != "" {
		l, err := s.dst.Readlink(e.rel)
		return err == nil && l == e.link
	}
	if !have.Mode().IsRegular() || have.Size() != e.size || have.Mode().Perm() != e.permissions(0o644, 0o755) {
		return false
	}
	a, err := s.src.Open(e.rel)
	if err != nil {
		return false
	}
	defer a.Close()
	b, err := s.dst.Open(e.rel)
	if err != nil {
		return false
	}
	defer b.Close()
	return equal(s.ctx, a, b)
}

func equal(ctx context.Context, a, b io.Reader) bool {
	x, y := make([]byte, 256<<10), make([]byte, 256<<10)
	for ctx.Err() == nil {
		n, errA := io.ReadFull(a, x)
		m, errB := io.ReadFull(b, y)
		if n != m || string(x[:n]) != string(y[:m]) {
			return false
		}
		if errA != nil || errB != nil {
			return errA == errB
		}
	}
	return false
}

// replace writes beside and renames over, so that a reader has the old file or the
// new one, whole.
func (s *syncing) replace(e entry) error {
	temp := path.Join(path.Dir(e.rel), tempName+fmt.Sprintf("%x", time.Now().UnixNano()))
	if e.link != "" {
		if err := s.dst.Symlink(e.link, temp); err != nil {
			return err
		}
		return s.dst.Rename(temp, e.rel)
	}
	in, err := s.src.Open(e.rel)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := s.dst.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	err = copyBytes(s.ctx, meter{s, out}, in, e.size)
	if err == nil {
		err = out.Chmod(e.permissions(0o644, 0o755))
	}
	if err == nil {
		err = unix.Fdatasync(int(out.Fd()))
	}
	if err == nil {
		err = s.dst.Rename(temp, e.rel)
	}
	if err != nil {
		return errors.Join(err, s.dst.Remove(temp))
	}
	return nil
}

// meter reports how much was copied.
type meter struct {
	s *syncing
	w io.Writer
}

func (m meter) Write(b []byte) (int, error) {
	n, err := m.w.Write(b)
	m.s.copied += int64(n)
	if now := time.Now(); m.s.sink != nil && now.Sub(m.s.last) > 200*time.Millisecond {
		m.s.last = now
		m.s.sink.Progress(progress.Event{Job: "content", Step: "copying files for the class", Done: m.s.copied >> 20, Total: m.s.bytes >> 20, Unit: "MB"})
	}
	return n, err
}

// prune removes what src does not have, children before parents.
func (s *syncing) prune(keep map[string]bool) error {
	var gone []string
	err := fs.WalkDir(s.dst.FS(), ".", func(rel string, _ fs.DirEntry, err error) error {
		if err == nil && rel != "." && !keep[rel] {
			gone = append(gone, rel)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, rel := range slices.Backward(gone) {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		if err := s.dst.Remove(rel); err != nil {
			return err
		}
		if !strings.HasPrefix(path.Base(rel), tempName) {
			s.report.Removed = append(s.report.Removed, rel)
		}
	}
	slices.Sort(s.report.Removed)
	return nil
}
