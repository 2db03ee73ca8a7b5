package homes

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrNoQuota says that the disk of the homes keeps no count for each user, so that
// nobody but us holds a home to its limit.
var ErrNoQuota = errors.New("the disk keeps no quota")

// dqblk is struct if_dqblk of linux/quota.h.
type dqblk struct {
	blockHard, blockSoft uint64 // KiB
	space                uint64 // bytes in use
	inodeHard, inodeSoft uint64
	inodes               uint64
	blockTime, inodeTime uint64
	valid                uint32
	_                    uint32
}

const (
	getQuota    = 0x800007 // Q_GETQUOTA, Q_SETQUOTA
	setQuota    = 0x800008
	userQuota   = 0
	limitsValid = 1 | 4 // QIF_BLIMITS, QIF_ILIMITS
)

// Quota has the disk itself hold all files of uid to so many bytes and a file for
// each 8 KiB, where it can: ext4 mounted with usrquota, XFS with uquota. Zero is no
// limit. It is [ErrNoQuota] on other disks.
//
// The count is by owner and not by project: a file's owner may move it to another
// project, but not give it away.
func (h *Homes) Quota(uid int, bytes int64) error {
	if uid < 1 || bytes < 0 {
		return fmt.Errorf("cannot limit user %d to %d bytes", uid, bytes)
	}
	q := dqblk{blockHard: uint64(bytes) >> 10, inodeHard: uint64(bytes) >> 13, valid: limitsValid}
	return h.quotactl(setQuota, uid, &q)
}

// Held tells how many bytes the disk counts for uid.
func (h *Homes) Held(uid int) (int64, error) {
	var q dqblk
	err := h.quotactl(getQuota, uid, &q)
	return int64(q.space), err
}

func (h *Homes) quotactl(cmd, uid int, q *dqblk) error {
	fd, err := openDir(unix.AT_FDCWD, h.dir)
	if err != nil {
		return fmt.Errorf("cannot reach the disk of the homes: %w", err)
	}
	defer unix.Close(fd)
	_, _, e := unix.Syscall6(unix.SYS_QUOTACTL_FD, uintptr(fd), uintptr(cmd<<8|userQuota), uintptr(uid), uintptr(unsafe.Pointer(q)), 0, 0)
	switch e {
	case 0:
		return nil
	case unix.ENOSYS, unix.ESRCH, unix.ENOTSUP, unix.ENOTTY, unix.EINVAL, unix.ENOTBLK, unix.ENODEV:
		return fmt.Errorf("%w: %w", ErrNoQuota, e)
	}
	return fmt.Errorf("cannot set the quota of user %d: %w", uid, e)
}
