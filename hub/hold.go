package hub

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/conjuring/conjured/notice"
)

// hold lets a user's programs write no file beyond so many bytes, 0 lifts that. It
// is what a full home needs: deleting works, small notebooks can be saved, and a
// program that writes on is told so by its own error. Somebody who means harm can
// lift it for their programs; the home is then found larger still, and the server
// stopped.
func (d *diskWatch) hold(user string, bytes uint64) error {
	a, ok := d.cfg.Users.Lookup(user)
	if !ok {
		return nil // about to be reaped
	}
	var errs []error
	for _, m := range d.serversOf(user) {
		if m.group.pids == "" {
			continue
		}
		pids, err := m.group.processes()
		errs = append(errs, err, asUser(a.UID, a.GID, func() error { return limitFiles(pids, bytes) }))
	}
	return errors.Join(errs...)
}

// processes are the ids of a container's processes.
func (c cgroup) processes() ([]int, error) {
	b, err := os.ReadFile(filepath.Join(c.pids, "cgroup.procs"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list a server's processes: %w", err)
	}
	var l []int
	for s := range strings.FieldsSeq(string(b)) {
		if pid, err := strconv.Atoi(s); err == nil {
			l = append(l, pid)
		}
	}
	return l, nil
}

// limitFiles sets the soft limit of the size of files, 0 up to the hard one.
func limitFiles(pids []int, bytes uint64) error {
	for _, pid := range pids {
		var l unix.Rlimit
		err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, nil, &l)
		if err == nil {
			l.Cur = l.Max
			if bytes > 0 {
				l.Cur = min(bytes, l.Max)
			}
			err = unix.Prlimit(pid, unix.RLIMIT_FSIZE, &l, nil)
		}
		// Gone meanwhile, or its number is another's now: not ours to change then.
		if err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("cannot limit the files of process %d: %w", pid, err)
		}
	}
	return nil
}

// asUser runs f on a thread that has only the rights of a user, so that a process
// number that changed hands can't lead it to anybody else. The thread ends with it.
func asUser(uid, gid int, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		if unix.Gettid() == os.Getpid() {
			// The first thread can't end; what /proc says of this process is its.
			done <- asUser(uid, gid, f)
			runtime.UnlockOSThread()
			return
		}
		if os.Geteuid() == 0 {
			if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)); e != 0 {
				done <- fmt.Errorf("cannot act as group %d: %w", gid, e)
				return
			}
			if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); e != 0 {
				done <- fmt.Errorf("cannot act as user %d: %w", uid, e)
				return
			}
		}
		done <- f()
	}()
	return <-done
}

// homeNotice says what is done about a home.
func homeNotice(u homeUse, limit int64) notice.Notice {
	holds := fmt.Sprintf("Your home holds %d MB; it may hold %d MB", mb(u.size.Bytes), mb(limit))
	switch {
	case u.low >= 0 && u.size.Bytes <= limit:
		holds = "The disk of this box is nearly full"
	case !u.size.Whole:
		holds = "Your home holds more files or deeper folders than can be counted"
	case u.size.Bytes <= limit && u.size.Files > limit/perFile:
		holds = fmt.Sprintf("Your home holds %d files; it may hold %d", u.size.Files, limit/perFile)
	}
	switch u.verdict {
	case homeNear:
		return notice.Notice{
			Code: "home-near", Severity: notice.SeverityInfo, What: holds,
			Means: "when it is full, only small files can be saved", Do: "delete big files that you do not need any more",
		}
	case homeHeld:
		return notice.Notice{
			Code: "home-full", Severity: notice.SeverityWarning, What: holds,
			Means: "until there is room, files larger than 128 kB can't be saved; nothing was lost, and deleting works",
			Do:    "delete files that you do not need; in a terminal, du -ah ~ | sort -h | tail shows the biggest",
		}
	}
	return notice.Notice{
		Code: "home-over", Severity: notice.SeverityWarning,
		What:  fmt.Sprintf("Your server was stopped because your home grew to %d MB; it may hold %d MB", mb(u.size.Bytes), mb(limit)),
		Means: "what ran is gone; what you saved is there",
		Do:    "start it again and delete big files first: it stays up as long as the home does not grow",
	}
}

func diskLow(free int64) notice.Notice {
	return notice.Notice{
		Code: "disk-low", Severity: notice.SeverityWarning,
		What:  fmt.Sprintf("the disk of this box has only %d MB left", mb(free)),
		Means: "the class goes on; until there is room, students can save only files up to 128 kB",
		Do:    "see in conjured status whose home is large, or free some room on the disk",
	}
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
