package gateway

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func dialDoor(t *testing.T, h *house) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

// One address cannot take all connections, and gets its places back.
func TestLimits_connections(t *testing.T) {
	h := openWith(t, Limits{PerAddress: 3})
	h.target("/", echo)
	ask := func(c net.Conn) string {
		_, _ = io.WriteString(c, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
		line, _ := bufio.NewReader(c).ReadString('\n')
		return strings.TrimSpace(line)
	}
	var conns []net.Conn
	for range 3 {
		c := dialDoor(t, h)
		if got := ask(c); got != "HTTP/1.1 200 OK" {
			t.Fatal(got)
		}
		conns = append(conns, c)
	}
	if got, _ := io.ReadAll(dialDoor(t, h)); !strings.HasPrefix(string(got), "HTTP/1.1 503 ") || !strings.Contains(string(got), "Retry-After:") {
		t.Errorf("one too many: %q", got)
	}
	_ = conns[0].Close()
	eventually(t, "a place is free again", func() bool { return ask(dialDoor(t, h)) == "HTTP/1.1 200 OK" })
}

// Thirty students behind one address fit, each with what a Lab page opens; a class on
// IPv6 is counted by its networks.
func TestLimits_class(t *testing.T) {
	s := newSeats(Limits{})
	one := origin(&net.TCPAddr{IP: net.IPv4(192, 168, 1, 7), Port: 1})
	for range 30 * 25 {
		if !s.take(one) {
			t.Fatal("a class behind one address does not fit")
		}
	}
	for range s.limits.PerAddress {
		s.take(one)
	}
	if s.take(one) || !s.take(origin(&net.TCPAddr{IP: net.IPv4(192, 168, 1, 8)})) {
		t.Error("an address that has taken too much is not refused alone")
	}
	a, b := origin(&net.TCPAddr{IP: net.ParseIP("fd00::1:2:3:4")}), origin(&net.TCPAddr{IP: net.ParseIP("fd00::ffff:0:0:9")})
	if a != b || a == origin(&net.TCPAddr{IP: net.ParseIP("fd01::1")}) || origin(&net.UnixAddr{Name: "x"}) != (netip.Prefix{}) {
		t.Errorf("%v %v", a, b)
	}
	for s.taken < s.limits.Conns {
		s.take(netip.Prefix{})
	}
	if s.take(origin(&net.TCPAddr{IP: net.IPv4(192, 168, 1, 9)})) {
		t.Error("there is no limit in all")
	}
}

// A head that comes byte by byte is not waited for, however long it goes on.
func TestLimits_slowHead(t *testing.T) {
	h := openWith(t, Limits{Head: 200 * time.Millisecond})
	h.target("/", echo)
	c := dialDoor(t, h)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, c)
	}()
	_, _ = io.WriteString(c, "GET /x HTTP/1.1\r\nHost: h\r\nX: ")
	drip := time.NewTicker(20 * time.Millisecond)
	defer drip.Stop()
	for {
		select {
		case <-drip.C:
			_, _ = c.Write([]byte("x"))
		case <-ended:
			return
		}
	}
}

// A body that brings next to nothing ends; one that is slow but comes arrives whole,
// though it takes many times as long.
func TestLimits_slowBody(t *testing.T) {
	const stall = 300 * time.Millisecond
	h := openWith(t, Limits{Stall: stall})
	h.target("/", echo)
	send := func(n int) (string, time.Duration) {
		c := dialDoor(t, h)
		began := time.Now()
		_, _ = io.WriteString(c, "POST /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
		answer := make(chan string, 1)
		go func() { b, _ := io.ReadAll(c); answer <- string(b) }()
		pace := time.NewTicker(stall / 10)
		defer pace.Stop()
		for range n {
			select {
			case <-pace.C:
				_, _ = io.WriteString(c, "400\r\n"+strings.Repeat("x", 1024)+"\r\n")
			case got := <-answer:
				return got, time.Since(began)
			}
		}
		_, _ = io.WriteString(c, "0\r\n\r\n")
		return <-answer, time.Since(began)
	}
	if got, took := send(40); !strings.HasSuffix(got, " 40960\r\n0\r\n\r\n") && !strings.HasSuffix(got, " 40960") || took < 3*stall {
		t.Errorf("a slow upload: %q after %v", got, took)
	}
	c := dialDoor(t, h)
	_, _ = io.WriteString(c, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n")
	ended := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, c); close(ended) }()
	drip := time.NewTicker(stall / 10)
	defer drip.Stop()
	for {
		select {
		case <-drip.C:
			_, _ = c.Write([]byte("x"))
		case <-ended:
			return
		}
	}
}

// Between two requests, and while the answer is on its way, a connection is not taken
// for a stalled body.
func TestLimits_afterBody(t *testing.T) {
	const stall = 100 * time.Millisecond
	h := openWith(t, Limits{Stall: stall})
	h.target("/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		<-time.After(5 * stall) // a computation
		_, _ = io.WriteString(w, strings.Repeat("y", int(n)))
	}))
	c := dialDoor(t, h)
	br := bufio.NewReader(c)
	for range 2 {
		_, _ = io.WriteString(c, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 70000\r\n\r\n"+strings.Repeat("x", 70000))
		res, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); n != 70000 || err != nil {
			t.Fatalf("%d %v", n, err)
		}
	}
}

// A reader who takes nothing does not hold a target for ever.
func TestLimits_slowReader(t *testing.T) {
	h := openWith(t, Limits{Stall: 300 * time.Millisecond})
	gone := make(chan struct{})
	h.target("/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		for b := make([]byte, 64<<10); ; {
			if _, err := w.Write(b); err != nil {
				return
			}
		}
	}))
	c := dialDoor(t, h)
	_, _ = io.WriteString(c, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n")
	<-gone
}

// A websocket on which nobody says anything for long goes on: the guard's deadlines are
// for requests, and the pumps do not move them.
func TestLimits_quietWebsocket(t *testing.T) {
	const stall = 100 * time.Millisecond
	h := openWith(t, Limits{Stall: stall})
	h.target("/user/al", wsEcho(t))
	c := dialWS(t, h, "/user/al/api/kernels/1/channels")
	defer c.CloseNow()
	echoWS(t, c, []byte("first"))
	<-time.After(3 * stall)
	echoWS(t, c, []byte("after a while"))
}
