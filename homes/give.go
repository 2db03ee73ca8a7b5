package homes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/conjuring/conjured/progress"
)

// errInTheWay says that the student has put something else where a folder belongs.
var errInTheWay = errors.New("something else is in the way")

// give copies the entries that this home has neither now nor was ever given.
func (p *preparing) give(top int, durable bool) error {
	if len(p.entries) == 0 {
		return nil
	}
	src, err := os.OpenRoot(p.skeleton)
	if err != nil {
		return err
	}
	defer src.Close()
	blocked, failed, last := 0, error(nil), time.Time{}
	for i, e := range p.entries {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		if p.record[e.rel] {
			continue
		}
		if now := time.Now(); p.sink != nil && len(p.entries) > 50 && now.Sub(last) > 200*time.Millisecond {
			last = now
			p.sink.Progress(progress.Event{Job: "home " + p.user, Step: "copying the first files", Done: int64(i), Total: int64(len(p.entries)), Unit: "files"})
		}
		err := p.giveOne(top, src, e, durable)
		switch {
		case errors.Is(err, os.ErrNotExist): // gone from the skeleton since it was listed
		case errors.Is(err, errInTheWay):
			blocked++
		case err != nil && p.ctx.Err() != nil:
			return err
		case err != nil:
			failed = err
		default:
			p.record[e.rel] = true
		}
		if errors.Is(failed, unix.ENOSPC) || errors.Is(failed, unix.EDQUOT) || errors.Is(failed, errCut) {
			break
		}
	}
	return p.explain(blocked, failed)
}

// errCut is the fault of a test.
var errCut = errors.New("cut")

func (p *preparing) explain(blocked int, failed error) error {
	if errors.Is(failed, errCut) {
		return failed
	}
	if blocked > 0 {
		p.warn("home-in-the-way", fmt.Sprintf("%d default files were not copied for %s: the student has a file or a link where a folder belongs", blocked, p.user),
			"everything else is there", "ask the student to rename it; the files come with the next start of the server")
	}
	if failed != nil {
		p.log.Warn("skeleton not copied whole", "user", p.user, "error", failed)
		p.warn("home-incomplete", fmt.Sprintf("not all default files could be copied for %s: %s", p.user, plain(failed)),
			"the student can work; the rest is copied with the next start of the server", "see whether the disk is full")
	}
	return nil
}

// giveOne copies one entry unless something of that name exists.
func (p *preparing) giveOne(top int, src *os.Root, e entry, durable bool) error {
	dir, err := p.walk(top, path.Dir(e.rel))
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	name := path.Base(e.rel)
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err == nil {
		return nil
	}
	switch {
	case e.mode.IsDir():
		made, err := p.mkdir(dir, name)
		if err == nil {
			unix.Close(made)
		}
		return err
	case e.link != "":
		if err := unix.Symlinkat(e.link, dir, name); err != nil {
			return existing(err)
		}
		err = unix.Fchownat(dir, name, p.uid, p.gid, unix.AT_SYMLINK_NOFOLLOW)
	default:
		err = p.copyFile(dir, name, src, e, durable)
	}
	if err != nil {
		return existing(err)
	}
	p.report.Added = append(p.report.Added, e.rel)
	return p.step("given " + e.rel)
}

// existing takes "a file of that name appeared meanwhile" for done: it is the
// student's, and stays.
func existing(err error) error {
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// walk opens the directory rel below top, name by name, making what is absent. No
// name may be a symbolic link: the student could point it anywhere.
func (p *preparing) walk(top int, rel string) (int, error) {
	dir, err := unix.FcntlInt(uintptr(top), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil || rel == "." {
		return dir, err
	}
	for name := range strings.SplitSeq(rel, "/") {
		next, err := openDir(dir, name)
		if errors.Is(err, unix.ENOENT) {
			next, err = p.mkdir(dir, name)
		}
		unix.Close(dir)
		if err != nil {
			return -1, err
		}
		dir = next
	}
	return dir, nil
}

// mkdir makes and opens a directory. Between the two the student may have put
// another one there; then that one, already theirs, is made theirs.
func (p *preparing) mkdir(dir int, name string) (int, error) {
	if err := existing(unix.Mkdirat(dir, name, 0o700)); err != nil {
		return -1, err
	}
	fd, err := openDir(dir, name)
	if err != nil {
		return -1, err
	}
	if err = unix.Fchown(fd, p.uid, p.gid); err == nil {
		err = unix.Fchmod(fd, 0o755)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// openDir opens one directory. Below a directory descriptor, it must be on the
// same file system and no symbolic link may be in it.
func openDir(at int, name string) (int, error) {
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK}
	if at != unix.AT_FDCWD {
		how.Resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV
	}
	for {
		fd, err := unix.Openat2(at, name, &how)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN): // EAGAIN: a rename raced with us
			continue
		case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EXDEV):
			return -1, fmt.Errorf("%w: %v", errInTheWay, err)
		}
		return fd, err
	}
}

// copyFile writes into a file without a name, which nobody else can open and which
// a power cut makes vanish, and then gives it its name unless that is taken.
func (p *preparing) copyFile(dir int, name string, src *os.Root, e entry, durable bool) error {
	in, err := src.Open(e.rel)
	if err != nil {
		return err
	}
	defer in.Close()
	fd, err := unix.Openat(dir, ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	out := os.NewFile(uintptr(fd), name)
	defer out.Close()
	if err := copyBytes(p.ctx, out, in, e.size); err != nil {
		return err
	}
	if err := out.Chmod(e.permissions(0o644, 0o755)); err != nil {
		return err
	}
	if err := out.Chown(p.uid, p.gid); err != nil {
		return err
	}
	if durable {
		if err := unix.Fdatasync(fd); err != nil {
			return err
		}
	}
	if err := p.step("written " + e.rel); err != nil {
		return err
	}
	// Through /proc, since linking an open file directly needs another capability.
	return unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), dir, name, unix.AT_SYMLINK_FOLLOW)
}

// copyBytes copies at most size bytes, in pieces so that ctx can stop it.
func copyBytes(ctx context.Context, out io.Writer, in io.Reader, size int64) error {
	for size > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.CopyN(out, in, min(size, 4<<20))
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		size -= n
	}
	return nil
}
