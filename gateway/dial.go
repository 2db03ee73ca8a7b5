package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// errOutside is about a socket that no allowed directory holds, or that is none.
var errOutside = errors.New("cannot dial: not a socket beneath an allowed directory")

const dialTimeout = 5 * time.Second

// dialer reaches targets.
type dialer struct {
	dirs []string // clean absolute paths; sockets must lie beneath one
	any  bool     // one of them is "/": whoever says where sockets lie is trusted
	tcp  net.Dialer
}

func newDialer(dirs []string) (*dialer, error) {
	d := &dialer{tcp: net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}}
	for _, dir := range dirs {
		if !filepath.IsAbs(dir) {
			return nil, fmt.Errorf("cannot allow sockets in %q: not an absolute path", dir)
		}
		d.dirs = append(d.dirs, filepath.Clean(dir))
		d.any = d.any || filepath.Clean(dir) == "/"
	}
	return d, nil
}

// dial reaches addr, "host:port"; see socketHost for hosts that are sockets.
func (d *dialer) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	if path, ok := socketOf(addr); ok {
		return d.socket(ctx, path)
	}
	return d.tcp.DialContext(ctx, "tcp", addr)
}

// socket connects to the unix socket at path. The last directories of path belong
// to a student, who may put anything there at any moment: so the name is resolved
// once, beneath ours and through no symbolic link, what was found is checked, and
// that very thing is connected to.
func (d *dialer) socket(ctx context.Context, path string) (net.Conn, error) {
	if d.any {
		return d.tcp.DialContext(ctx, "unix", path)
	}
	for _, dir := range d.dirs {
		if name, ok := strings.CutPrefix(path, dir+"/"); ok {
			return d.beneath(ctx, dir, name)
		}
	}
	return nil, fmt.Errorf("%w: %s", errOutside, path)
}

func (d *dialer) beneath(ctx context.Context, dir, name string) (net.Conn, error) {
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", dir, err)
	}
	defer unix.Close(root)
	fd, err := unix.Openat2(root, name, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot open %s/%s: %w", dir, name, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("cannot look at %s/%s: %w", dir, name, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, fmt.Errorf("%w: %s/%s", errOutside, dir, name)
	}
	return d.tcp.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d", fd))
}
