package hub

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sys/unix"
)

// dial connects to a unix socket that lies in a directory somebody else may write
// to. It follows no link in the last step of the path and connects to what it
// looked at, so that a link to another socket of the machine is refused.
func dial(ctx context.Context, path string) (net.Conn, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open socket %s: %w", path, err)
	}
	defer func() { _ = unix.Close(fd) }() // the connection does not need it
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("cannot look at socket %s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, fmt.Errorf("cannot connect to %s: it is not a socket", path)
	}
	var d net.Dialer
	return d.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d", fd))
}

// over is an HTTP client for one socket. Nothing is kept open between requests to a
// place that may change owner, unless keep is positive.
func over(path string, keep int) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dial(ctx, path)
			},
			DisableKeepAlives: keep == 0, MaxIdleConns: keep, MaxIdleConnsPerHost: keep,
			IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: 64 << 10,
			DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
