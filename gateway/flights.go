package gateway

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// flights are the connections from browsers that are in the middle of something
// with a student's server, by user, "" for nobody's websockets. Closing the browser's connection ends the
// whole exchange: the request's context, the upload, the pumps of a websocket.
type flights struct {
	mu     sync.Mutex
	byUser map[string]map[net.Conn]int // how many exchanges each has
	joints map[net.Conn]*joint         // the websockets among them, by the browser's side
	count  int
}

// flight is one exchange. The zero value is nobody's.
type flight struct {
	all  *flights
	user string
	conn net.Conn
}

// board notes an exchange of a user's; land it when it is over.
func (f *flights) board(user string, c net.Conn) flight {
	if c == nil {
		return flight{}
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
	return flight{f, user, c}
}

// land ends an exchange, once.
func (t flight) land() {
	f, user, c := t.all, t.user, t.conn
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count--
	conns := f.byUser[user]
	if conns[c]--; conns[c] == 0 {
		delete(conns, c)
		delete(f.joints, c)
	}
	if len(conns) == 0 {
		delete(f.byUser, user)
	}
}

// relayed gives a websocket to r, in one step with noting it: whoever closes its user
// finds it either as a connection or as a websocket.
func (f *flights) relayed(j *joint, r *relay) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !r.add(j) {
		return false
	}
	f.note(j)
	return true
}

// joined notes that an exchange has become a websocket.
func (f *flights) joined(j *joint) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note(j)
}

func (f *flights) note(j *joint) {
	if f.byUser[j.flight.user][j.flight.conn] == 0 {
		return // nobody's
	}
	if f.joints == nil {
		f.joints = map[net.Conn]*joint{}
	}
	f.joints[j.flight.conn] = j
}

// close ends all exchanges of a user.
func (f *flights) close(user string) {
	if user == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.byUser[user] {
		f.end(c, closeForbidden)
	}
}

func (f *flights) end(c net.Conn, code int32) {
	if j := f.joints[c]; j != nil {
		j.end(code)
		return
	}
	_ = c.Close()
}

// closeAll ends everything.
func (f *flights) closeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conns := range f.byUser {
		for c := range conns {
			f.end(c, closeGoingAway)
		}
	}
}

type connKey struct{}

// WithConn is an http.Server's ConnContext: by it [Proxy.CloseUser] finds a browser's
// connections.
func WithConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

func connOf(r *http.Request) net.Conn {
	c, _ := r.Context().Value(connKey{}).(net.Conn)
	return c
}
