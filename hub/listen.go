package hub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// peers is a listener that lets in only processes of the given users.
type peers struct {
	net.Listener
	uids []uint32
}

// Accept gives the next connection of a user who may come in; others are closed.
func (p peers) Accept() (net.Conn, error) {
	for {
		c, err := p.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if u, ok := peerUID(c); ok && slices.Contains(p.uids, u) {
			return c, nil
		}
		_ = c.Close()
	}
}

// fair is a listener that lets each user have only so many connections at once, so
// that one student can't shut the others out.
type fair struct {
	net.Listener
	each int // connections

	mu   sync.Mutex
	open map[uint32]int // by user
}

// Accept gives the next connection of a user who has not too many.
func (f *fair) Accept() (net.Conn, error) {
	for {
		c, err := f.Listener.Accept()
		if err != nil {
			return nil, err
		}
		uid, ok := peerUID(c)
		if ok && f.count(uid, 1) {
			return &counted{Conn: c, gone: sync.OnceFunc(func() { f.count(uid, -1) })}, nil
		}
		_ = c.Close()
	}
}

func (f *fair) count(uid uint32, n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n > 0 && f.open[uid] >= f.each {
		return false
	}
	f.open[uid] += n
	if f.open[uid] == 0 {
		delete(f.open, uid)
	}
	return true
}

type counted struct {
	net.Conn
	gone func()
}

// Close closes the connection and lets its user have another.
func (c *counted) Close() error {
	c.gone()
	return c.Conn.Close()
}

func peerUID(c net.Conn) (uint32, bool) {
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, false
	}
	var cred *unix.Ucred
	var cerr error
	err = raw.Control(func(fd uintptr) {
		cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err != nil || cerr != nil {
		return 0, false
	}
	return cred.Uid, true
}

// listen makes a unix socket, in place of one a dead daemon left.
func listen(path string, mode os.FileMode, uid int) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot remove the old socket %s: %w", path, err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	err = os.Chmod(path, mode)
	if err == nil && os.Geteuid() == 0 {
		err = os.Lchown(path, uid, uid)
	}
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("cannot open the socket %s to its users: %w", path, err)
	}
	return l, nil
}

// serve answers on l until ctx ends, then waits a second for what is being answered.
// A question and its answer may each take limit; 0 is for ever.
func serve(ctx context.Context, l net.Listener, handler http.Handler, limit time.Duration) error {
	s := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		ReadTimeout: limit, WriteTimeout: 2 * limit, MaxHeaderBytes: 64 << 10,
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("cannot serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if s.Shutdown(stop) != nil {
		_ = s.Close() // what still hangs is cut
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("cannot serve %s: %w", l.Addr(), err)
	}
	return nil
}
