package gateway

import (
	"bufio"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// wire is a connection to a target.
type wire struct {
	conn    net.Conn
	raw     syscall.RawConn // nil: cannot be looked at
	br      *bufio.Reader
	pool    *pool
	left    int64 // bytes that may still be read
	began   bool  // a byte of the answer has come
	unwatch func() bool
	since   time.Time // idle since
}

func newWire(c net.Conn, p *pool) *wire {
	w := &wire{conn: c, pool: p}
	if s, ok := c.(syscall.Conn); ok {
		w.raw, _ = s.SyscallConn()
	}
	w.br = bufio.NewReaderSize(w, wireBuffer)
	return w
}

// Read bounds what a head may have; see left.
func (w *wire) Read(p []byte) (int, error) {
	if w.left <= 0 {
		return 0, errLongHead
	}
	n, err := w.conn.Read(p[:min(int64(len(p)), w.left)])
	w.left -= int64(n)
	w.began = w.began || n > 0
	return n, err
}

func (w *wire) close() {
	w.unwatch()
	_ = w.conn.Close()
}

// quiet tells whether nothing has come on an idle connection: no bytes, no end.
func (w *wire) quiet() bool {
	if w.raw == nil {
		return false
	}
	ready := true
	err := w.raw.Control(func(fd uintptr) {
		fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLRDHUP}}
		n, err := unix.Poll(fds[:], 0)
		ready = err != nil || n != 0
	})
	return err == nil && !ready
}

// pool is the idle connections to one target, the last used first.
type pool struct {
	mu     sync.Mutex
	idle   []*wire
	sweep  *time.Timer
	closed bool
}

// get is an idle connection that can be used, nil when there is none.
func (p *pool) get() *wire {
	for {
		p.mu.Lock()
		if len(p.idle) == 0 {
			p.mu.Unlock()
			return nil
		}
		w := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		p.mu.Unlock()
		if w.quiet() {
			return w
		}
		_ = w.conn.Close()
	}
}

func (p *pool) put(w *wire) {
	w.since = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= idlePerTarget {
		_ = w.conn.Close()
		return
	}
	p.idle = append(p.idle, w)
	if p.sweep == nil {
		p.sweep = time.AfterFunc(idleTargetTimeout, p.tidy)
	}
}

// tidy closes what has been idle for long, and comes again while something is left.
func (p *pool) tidy() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = slices.DeleteFunc(p.idle, func(w *wire) bool {
		old := time.Since(w.since) >= idleTargetTimeout
		if old {
			_ = w.conn.Close()
		}
		return old
	})
	p.sweep = nil
	if len(p.idle) > 0 && !p.closed {
		p.sweep = time.AfterFunc(idleTargetTimeout, p.tidy)
	}
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.sweep != nil {
		p.sweep.Stop()
	}
	for _, w := range p.idle {
		_ = w.conn.Close()
	}
	p.idle = nil
}
