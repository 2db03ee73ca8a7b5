package chp

import (
	"net"
	"time"
)

// idleListener closes a connection on which nothing has moved for a while.
type idleListener struct {
	net.Listener
	limit time.Duration
}

// Accept waits for the next connection.
func (l idleListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &idleConn{Conn: c, limit: l.limit, alarm: time.AfterFunc(l.limit, func() { _ = c.Close() })}, nil
}

type idleConn struct {
	net.Conn
	limit time.Duration
	alarm *time.Timer
}

func (c *idleConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.moved(n)
	return n, err
}

func (c *idleConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.moved(n)
	return n, err
}

// moved starts the time anew. An alarm that has gone off has closed the connection.
func (c *idleConn) moved(n int) {
	if n > 0 && c.alarm.Stop() {
		c.alarm.Reset(c.limit)
	}
}

// CloseWrite ends one direction, for websockets.
func (c *idleConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return net.ErrClosed
}

func (c *idleConn) Close() error {
	c.alarm.Stop()
	return c.Conn.Close()
}
