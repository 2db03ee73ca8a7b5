package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// venvName is what Grove calls a course's environment: custom/<course>/.venv.
const venvName = ".venv"

// errNoLinks means that links cannot be kept beside the teacher's files: a stick, a
// folder that may not be written, a file system without them. Nothing depends on it.
var errNoLinks = errors.New("the folder cannot hold a link")

// linkVenv points dir/course/.venv at generation, an absolute path, or removes it when
// generation is "". dir is the teacher's folder. Only a link that we made (it points
// below a directory gen/) is replaced or removed; no link on the way is followed. A
// link that is right is left alone.
func linkVenv(dir, course, generation string) error {
	if course == "" || strings.ContainsAny(course, "/\\") || strings.HasPrefix(course, ".") {
		return fmt.Errorf("cannot link the packages of %q: not a course's directory", course)
	}
	if !keepsLinks(dir) {
		return errNoLinks
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("cannot link the packages of %s: %w", course, err)
	}
	defer root.Close()
	if fi, err := root.Lstat(course); err != nil || !fi.IsDir() {
		if generation == "" && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("cannot link the packages of %s: %w", course, cmpErr(err, unix.ENOTDIR))
	}
	in, err := root.OpenRoot(course)
	if err != nil {
		return fmt.Errorf("cannot link the packages of %s: %w", course, err)
	}
	defer in.Close()
	if err := placeVenv(in, generation); err != nil {
		return fmt.Errorf("cannot link the packages of %s: %w", course, err)
	}
	return nil
}

func placeVenv(in *os.Root, generation string) error {
	now, err := in.Readlink(venvName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if generation == "" {
			return nil
		}
	case err != nil || !ours(now): // a directory of somebody's own, or another link
		return fmt.Errorf("%s is there and not ours: %w", venvName, fs.ErrExist)
	case now == generation:
		return nil
	}
	if generation == "" {
		return errors.Join(in.Remove(venvName), syncRoot(in))
	}
	const tmp = ".venv.conjured"
	if err := in.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := in.Symlink(generation, tmp); err != nil {
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EACCES) {
			return errNoLinks
		}
		return err
	}
	return errors.Join(in.Rename(tmp, venvName), syncRoot(in))
}

// ours tells a link that linkVenv made: STATE/env/gen/NAME/NUMBER.
func ours(to string) bool {
	return filepath.IsAbs(to) && filepath.Base(filepath.Dir(filepath.Dir(to))) == "gen" && strings.Trim(filepath.Base(to), "0123456789") == ""
}

func cmpErr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

func syncRoot(r *os.Root) error {
	d, err := r.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// keepsLinks tells whether dir lies on one of this machine's own file systems and may
// be written. A stick goes away again, and is read on machines where the link would
// point at nothing.
func keepsLinks(dir string) bool {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil || fs.Flags&unix.ST_RDONLY != 0 || unix.Access(dir, unix.W_OK) != nil {
		return false
	}
	switch uint32(fs.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC,
		unix.OVERLAYFS_SUPER_MAGIC, unix.TMPFS_MAGIC, zfsMagic:
		return !removable(dir)
	}
	return false // FAT, exFAT, NTFS, ISO 9660, networks
}

const zfsMagic = 0x2fc12fc1 // include/sys/fs/zfs.h of OpenZFS

// removable tells whether the device below dir is one that people pull out
// (https://www.kernel.org/doc/Documentation/ABI/stable/sysfs-block, removable), or hangs on USB.
func removable(dir string) bool {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return true
	}
	dev, err := filepath.EvalSymlinks(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err != nil {
		return false // no block device below: memory, overlay, btrfs
	}
	for _, d := range []string{dev, filepath.Dir(dev)} { // a partition's disk is its parent
		if b, err := os.ReadFile(filepath.Join(d, "removable")); err == nil && strings.TrimSpace(string(b)) == "1" {
			return true
		}
	}
	return strings.Contains(dev, "/usb")
}
