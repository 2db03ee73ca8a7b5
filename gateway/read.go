package gateway

import (
	"io"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A readFunc reads once: n bytes in a pooled buffer, which the caller puts back if
// it is not nil.
type readFunc func() (buf *[]byte, n int, err error)

// reader makes the readFunc of c, which takes a buffer only when bytes are there.
// A connection that cannot tell (TLS) waits with a buffer in its hand.
func reader(c net.Conn, buffers *sync.Pool) readFunc {
	if s, ok := c.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			return rawReader(raw, buffers)
		}
	}
	return func() (*[]byte, int, error) {
		buf := buffers.Get().(*[]byte)
		n, err := c.Read(*buf)
		return buf, n, err
	}
}

func rawReader(raw syscall.RawConn, buffers *sync.Pool) readFunc {
	var (
		buf  *[]byte
		n    int
		rerr error
	)
	try := func(fd uintptr) bool {
		buf = buffers.Get().(*[]byte)
		for {
			n, rerr = unix.Read(int(fd), *buf)
			if rerr != unix.EINTR {
				break
			}
		}
		if rerr == unix.EAGAIN {
			buffers.Put(buf)
			buf = nil
			return false
		}
		return true
	}
	return func() (*[]byte, int, error) {
		buf, n, rerr = nil, 0, nil
		if err := raw.Read(try); err != nil {
			return buf, 0, err
		}
		switch {
		case rerr != nil:
			return buf, 0, rerr
		case n == 0:
			return buf, 0, io.EOF
		}
		return buf, n, nil
	}
}
