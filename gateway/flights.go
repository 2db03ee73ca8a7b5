package gateway

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// flights are the connections from browsers that are in the middle of something
// with a student's server, by user. Closing the browser's connection ends the
// whole exchange: the request's context, the upload, the pumps of a websocket.
type flights struct {
	mu     sync.Mutex
	byUser map[string]map[net.Conn]int // how many exchanges each has
	count  int
}

// board notes an exchange; call the result when it is over. user "" is no user's.
func (f *flights) board(user string, c net.Conn) (land func()) {
	if c == nil {
		return func() {}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byUser == nil {
		f.byUser = map[string]map[net.Conn]int{}
	}
	conns := f.byUser[user]
	if conns == nil {
		conns = map[net.Conn]int{}
		f.byUser[user] = conns
	}
	conns[c]++
	f.count++
	return func() { f.land(user, c) }
}

func (f *flights) land(user string, c net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count--
	conns := f.byUser[user]
	if conns[c]--; conns[c] == 0 {
		delete(conns, c)
	}
	if len(conns) == 0 {
		delete(f.byUser, user)
	}
}

// close ends all exchanges of a user.
func (f *flights) close(user string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.byUser[user] {
		_ = c.Close()
	}
}

// closeAll ends everything.
func (f *flights) closeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conns := range f.byUser {
		for c := range conns {
			_ = c.Close()
		}
	}
}

type connKey struct{}

// withConn is http.Server's ConnContext: a handler finds the connection with connOf.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

func connOf(r *http.Request) net.Conn {
	c, _ := r.Context().Value(connKey{}).(net.Conn)
	return c
}
