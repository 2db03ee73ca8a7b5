package hub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
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
		c.Close()
	}
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
		l.Close()
		return nil, fmt.Errorf("cannot open the socket %s to its users: %w", path, err)
	}
	return l, nil
}

// serve answers on l until ctx ends, then waits a second for what is being answered.
func serve(ctx context.Context, l net.Listener, handler http.Handler) error {
	s := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
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
		s.Close()
	}
	<-done
	return nil
}
