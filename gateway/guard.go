package gateway

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Limits are what one client, and all of them, may take of the door. A zero field takes
// its default.
type Limits struct {
	// Conns is how many connections may be open, 4096. Two descriptors belong to one.
	Conns int
	// PerAddress is how many of them one IPv4 address or IPv6 /64 may have, 1024: a whole
	// class may sit behind one address, and a Lab page takes about a dozen.
	PerAddress int
	// Head is how long the head of a request may take, 10 s.
	Head time.Duration
	// Idle is how long a connection is kept between requests, 120 s: Lab polls.
	Idle time.Duration
	// Stall is how long a body may bring less than a kilobyte, or a reader take nothing,
	// 60 s. Time in which the door itself does not read is not counted, so that a large
	// upload over slow Wi-Fi ends well.
	Stall time.Duration
}

func (l Limits) withDefaults() Limits {
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	set(&l.Head, headerTimeout)
	set(&l.Idle, idleTimeout)
	set(&l.Stall, stallTimeout)
	if l.Conns <= 0 {
		l.Conns = 4096
	}
	if l.PerAddress <= 0 {
		l.PerAddress = 1024
	}
	return l
}

const (
	stallTimeout = 60 * time.Second
	stallBytes   = 1 << 10  // less than this is no progress
	writePiece   = 64 << 10 // bytes that have Stall to leave
	settlePoll   = 5 * time.Millisecond
)

// tooMany is for a connection over the limit.
const tooMany = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

// NewListener guards l, which brings plain HTTP: it bounds connections, lets through no
// request that is not written exactly as RFC 9112 wants it (net/http answers 400 to what
// it gets instead), and ends bodies and readers that stall.
func NewListener(l net.Listener, limits Limits) net.Listener {
	return &guardedListener{Listener: l, seats: newSeats(limits)}
}

type guardedListener struct {
	net.Listener
	seats *seats
}

// seats counts connections; several listeners may share them.
type seats struct {
	limits Limits
	mu     sync.Mutex
	taken  int
	fresh  atomic.Int32 // connections whose first request has not reached a handler yet
	byAddr map[netip.Prefix]int
}

func newSeats(l Limits) *seats {
	return &seats{limits: l.withDefaults(), byAddr: map[netip.Prefix]int{}}
}

func (g *guardedListener) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := origin(c.RemoteAddr())
		if g.seats.take(from) {
			g.seats.fresh.Add(1)
			return &guard{Conn: c, seats: g.seats, from: from}, nil
		}
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = c.Write([]byte(tooMany))
		_ = c.Close()
	}
}

// origin is what counts as one address; the zero value for a unix socket's peer.
func origin(a net.Addr) netip.Prefix {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := t.AddrPort().Addr().Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	p, _ := ip.Prefix(bits)
	return p
}

func (s *seats) take(from netip.Prefix) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= s.limits.Conns || from.IsValid() && s.byAddr[from] >= s.limits.PerAddress {
		return false
	}
	s.taken++
	s.byAddr[from]++
	return true
}

func (s *seats) leave(from netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.byAddr[from]--; s.byAddr[from] == 0 {
		delete(s.byAddr, from)
	}
}

// guard is a browser's connection. Reads and writes each come from one goroutine at a
// time, as net/http promises.
type guard struct {
	net.Conn
	seats *seats
	from  netip.Prefix
	left  atomic.Bool // the seat is given back
	asked atomic.Bool // a handler has had a request

	framing framing
	poison  []byte      // what is still to be read in place of a bad request
	bad     atomic.Bool // what was asked is refused
	opaque  atomic.Bool // the last request may become a websocket: what follows is not followed

	waited   time.Duration // for the body, since its last progress
	moved    int           // bytes of it since then
	readBy   time.Time     // the deadline that is set, zero for none of ours
	writeSet time.Time     // when the write deadline was set
}

// spoilt is what net/http gets in place of a bad request, wherever in its head that is: a
// NUL is allowed nowhere in it.
const spoilt = "\x00\r\n\r\n"

func (g *guard) Read(p []byte) (int, error) {
	if g.bad.Load() {
		return g.readPoison(p)
	}
	n, err := g.read(p)
	if n == 0 {
		return n, err
	}
	good, ferr := g.framing.feed(p[:n])
	if !g.readBy.IsZero() && (g.framing.state == atStart || g.framing.state == inHead) {
		_ = g.Conn.SetReadDeadline(time.Time{}) // the body is complete; the rest is net/http's to bound
		g.readBy, g.waited, g.moved = time.Time{}, 0, 0
	}
	if ferr == nil {
		g.opaque.Store(g.framing.state == isOpaque)
		return n, err
	}
	g.poison = []byte(spoilt)
	g.bad.Store(true)
	if good > 0 {
		return good, nil
	}
	return g.readPoison(p)
}

func (g *guard) readPoison(p []byte) (int, error) {
	if len(g.poison) == 0 {
		return 0, errFraming
	}
	n := copy(p, g.poison)
	g.poison = g.poison[n:]
	return n, nil
}

// read bounds the time in which a body brings nothing.
func (g *guard) read(p []byte) (int, error) {
	if s := g.framing.state; s == atStart || s == inHead || s == isOpaque {
		return g.Conn.Read(p)
	}
	began := time.Now()
	limit := g.seats.limits.Stall
	by := began.Add(limit - g.waited)
	if d := by.Sub(g.readBy); d > limit/16 || d < -limit/16 { // a deadline costs more than a look at the clock
		_ = g.Conn.SetReadDeadline(by)
		g.readBy = by
	}
	n, err := g.Conn.Read(p)
	g.waited += time.Since(began)
	if g.moved += n; g.moved >= stallBytes {
		g.waited, g.moved = 0, 0
	}
	return n, err
}

// Write gives each piece its time to leave.
func (g *guard) Write(p []byte) (int, error) {
	done := 0
	for {
		piece := p[done:min(len(p), done+writePiece)]
		limit := g.seats.limits.Stall
		if now := time.Now(); now.Sub(g.writeSet) > limit/4 {
			_ = g.Conn.SetWriteDeadline(now.Add(limit + limit/4))
			g.writeSet = now
		}
		n, err := g.Conn.Write(piece)
		if done += n; err != nil || done == len(p) {
			return done, err
		}
	}
}

func (g *guard) Close() error {
	if !g.left.Swap(true) {
		g.seats.leave(g.from)
		g.handled()
	}
	return g.Conn.Close()
}

// handled notes that a request of the connection's is being answered, or that none comes.
func (g *guard) handled() {
	if !g.asked.Load() && !g.asked.Swap(true) {
		g.seats.fresh.Add(-1)
	}
}

// settle waits, for a moment at most, until whoever was let in has been heard: net/http
// hangs up on them once it is told to stop.
func (s *seats) settle(limit time.Duration) {
	for end := time.Now().Add(limit); s.fresh.Load() > 0 && time.Now().Before(end); {
		time.Sleep(settlePoll)
	}
}

// CloseWrite lets net/http say that no more comes, and still read what was sent.
func (g *guard) CloseWrite() error {
	if c, ok := g.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// begin is told of each request. It ends the connection after an answer to one that could
// have become a websocket: what follows there is not looked at.
func begin(w http.ResponseWriter, r *http.Request) {
	g, ok := connOf(r).(*guard)
	if !ok {
		return
	}
	g.handled()
	if g.opaque.Load() {
		w.Header().Set("Connection", "close")
	}
}

// bare is c without its guard, for bytes that are no HTTP. Closing is still c's.
func bare(c net.Conn) net.Conn {
	if g, ok := c.(*guard); ok {
		return g.Conn
	}
	return c
}
