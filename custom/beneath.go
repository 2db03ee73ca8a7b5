package custom

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// errNotRegular is what openFile says of directories, devices, fifos and sockets.
var errNotRegular = errors.New("not a regular file")

// tree opens things beneath one directory, and nothing else: the kernel refuses
// paths that leave it (openat2, RESOLVE_BENEATH).
type tree struct {
	dir *os.File
	// opened, when set, is told each path before it is opened (tests).
	opened func(rel string)
}

// openTree opens dir, which must be a directory and not a link to one.
func openTree(dir string) (*tree, error) {
	dir = filepath.Clean(dir)
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	return &tree{dir: os.NewFile(uintptr(fd), dir)}, nil
}

func (t *tree) Close() error { return t.dir.Close() }

// open is openat2 beneath the tree. The kernel asks for another try when
// something was renamed meanwhile.
func (t *tree) open(rel string, flags int, resolve uint64) (*os.File, error) {
	if t.opened != nil {
		t.opened(rel)
	}
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS | resolve,
	}
	var fd int
	err := error(unix.EAGAIN)
	for i := 0; i < 10 && (errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR)); i++ {
		fd, err = unix.Openat2(int(t.dir.Fd()), rel, &how)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: rel, Err: err}
	}
	return os.NewFile(uintptr(fd), rel), nil
}

// lstat says what rel is without opening it.
func (t *tree) lstat(rel string) (fs.FileInfo, error) {
	f, err := t.open(rel, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

// openFile opens a regular file. A handle that cannot be read from comes first,
// because opening a device may already do something and opening a fifo waits.
func (t *tree) openFile(rel string, resolve uint64) (*os.File, fs.FileInfo, error) {
	p, err := t.open(rel, unix.O_PATH, resolve)
	if err != nil {
		return nil, nil, err
	}
	defer p.Close()
	info, err := p.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, info, fmt.Errorf("%s: %w", rel, errNotRegular)
	}
	f, err := os.OpenFile("/proc/self/fd/"+strconv.Itoa(int(p.Fd())), os.O_RDONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, info, err
	}
	return f, info, nil
}

// openDir opens a directory for reading its names.
func (t *tree) openDir(rel string) (*os.File, error) {
	return t.open(rel, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, unix.RESOLVE_NO_SYMLINKS)
}

// readlink is the target of the link rel.
func (t *tree) readlink(rel string) (string, error) {
	f, err := t.open(rel, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	buf := make([]byte, MaxPath+1)
	n, err := unix.Readlinkat(int(f.Fd()), "", buf)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: rel, Err: err}
	}
	return string(buf[:n]), nil
}

// vanished tells whether err is what a folder that is being changed, or a stick
// that is being pulled out, looks like.
func vanished(err error) bool {
	for _, e := range []error{unix.ENOENT, unix.ENOTDIR, unix.ESTALE, unix.EIO, unix.ENODEV, unix.ENXIO, unix.ELOOP} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
