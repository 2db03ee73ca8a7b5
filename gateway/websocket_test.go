package gateway

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// wsEcho answers each message with itself.
func wsEcho(t testing.TB) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("deny") {
			http.Error(w, "not you", http.StatusForbidden)
			return
		}
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"v1.kernel.websocket.jupyter.org"}})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(4 << 20)
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, b); err != nil {
				return
			}
		}
	})
}

func dialWS(t testing.TB, h *house, path string) *websocket.Conn {
	t.Helper()
	c, res, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(h.url, "http")+path,
		&websocket.DialOptions{Subprotocols: []string{"v1.kernel.websocket.jupyter.org"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Header.Get("Sec-WebSocket-Protocol"); got != "v1.kernel.websocket.jupyter.org" {
		t.Fatalf("subprotocol %q", got)
	}
	c.SetReadLimit(4 << 20)
	return c
}

func echoWS(t testing.TB, c *websocket.Conn, b []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := c.Write(ctx, websocket.MessageBinary, b); err != nil {
		t.Fatal(err)
	}
	_, got, err := c.Read(ctx)
	if err != nil || !bytes.Equal(got, b) {
		t.Fatalf("%d bytes of %d came back: %v", len(got), len(b), err)
	}
}

func TestWebsocket(t *testing.T) {
	h := open(t)
	h.target("/user/al", wsEcho(t))
	c := dialWS(t, h, "/user/al/api/kernels/1/channels?session_id=%41")
	h.routes.root.Load().find("user/al").last.Store(1000)
	for _, n := range []int{0, 1, 125, 70_000, 3 << 20} {
		echoWS(t, c, bytes.Repeat([]byte("x"), n))
	}
	if h.routes.root.Load().find("user/al").last.Load() <= 1000 {
		t.Error("a busy websocket does not count as activity")
	}
	if err := c.Close(websocket.StatusNormalClosure, "bye"); err != nil {
		t.Error(err)
	}
	_, res, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(h.url, "http")+"/user/al/x?deny", nil)
	if err == nil || res == nil || res.StatusCode != http.StatusForbidden {
		t.Errorf("a declined websocket: %v %v", res, err)
	}
}

// Websockets that end on either side, properly or not, leave nothing behind.
func TestWebsocket_noLeak(t *testing.T) {
	h := open(t)
	h.target("/user/al", wsEcho(t))
	echoWS(t, dialWS(t, h, "/user/al/ws"), []byte("x"))
	eventuallyIdle := func() int {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		runtime.GC()
		return runtime.NumGoroutine()
	}
	before := eventuallyIdle()
	for i := range 30 {
		c := dialWS(t, h, fmt.Sprintf("/user/al/%d", i))
		echoWS(t, c, []byte("x"))
		if i%2 == 0 {
			_ = c.CloseNow()
		} else {
			_ = c.Close(websocket.StatusNormalClosure, "")
		}
	}
	eventually(t, "goroutines go", func() bool { return eventuallyIdle() <= before+2 })
	eventually(t, "only the one open websocket is under way", func() bool { return h.Open("al") == 1 })
	r := h.door.proxy.relaying()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ends) != 2 {
		t.Errorf("%d ends are left, want those of the one open websocket", len(r.ends))
	}
}

// A user who is closed loses websockets and streams at once and stays out until
// there is a route again; nobody else notices.
func TestServer_closeUser(t *testing.T) {
	h := open(t)
	hub := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hub") })
	h.target("/", hub)
	gone := make(chan struct{})
	mux := http.NewServeMux()
	mux.Handle("/user/al/ws", wsEcho(t))
	mux.HandleFunc("/user/al/stream", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(gone)
	})
	mux.HandleFunc("/user/al/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "al") })
	socket := h.target("/user/al", mux)
	h.target("/user/al/named", mux)
	h.target("/user/alice", wsEcho(t))
	al, alice := dialWS(t, h, "/user/al/ws"), dialWS(t, h, "/user/alice/ws")
	echoWS(t, al, []byte("x"))
	res, err := http.Get(h.url + "/user/al/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()

	start := time.Now()
	h.CloseUser("al")
	if _, _, err := al.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("the websocket ends with %v, want a close that says why", err)
	}
	<-gone
	if d := time.Since(start); d > 10*time.Second { // 1 s is promised; this machine is shared
		t.Errorf("it took %v", d)
	}
	echoWS(t, alice, []byte("still here"))
	for _, path := range []string{"/user/al/lab", "/user/al/named/lab"} {
		if _, got := h.get(path); got != "hub" {
			t.Errorf("%s of a closed user: %q", path, got)
		}
	}
	h.route("/user/al", "http+unix://"+strings.ReplaceAll(socket, "/", "%2F"))
	if _, got := h.get("/user/al/lab"); got != "al" {
		t.Errorf("after a new route: %q", got)
	}
}

// The daemon stops in bounded time though streams and websockets are open.
func TestServer_stop(t *testing.T) {
	h := open(t)
	h.target("/user/al", wsEcho(t))
	h.target("/services/x", wsEcho(t))
	c, service := dialWS(t, h, "/user/al/ws"), dialWS(t, h, "/services/x/ws")
	res, err := http.Get(h.url + "/conjured/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	h.stop()
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the websocket ends with %v, want a close that says that we go", err)
	}
	if _, _, err := service.Read(t.Context()); err == nil {
		t.Error("a service's websocket outlived the server")
	}
}

// In the middle of a message, or when nobody reads, there is no close to say; the end
// comes all the same.
func TestCloseUser_midFrame(t *testing.T) {
	h := open(t)
	h.target("/user/al", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x82\x05abc")
		if r.URL.Path == "/user/al/flood" {
			for b := make([]byte, 64<<10); err == nil; {
				_, err = c.Write(b)
			}
		}
		_, _ = io.Copy(io.Discard, c)
	}))
	ask := func(path string) net.Conn {
		c := dialDoor(t, h)
		_, _ = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		return c
	}
	half, deaf := ask("/user/al/ws"), ask("/user/al/flood")
	br := bufio.NewReader(half)
	for got := ""; !strings.HasSuffix(got, "\x82\x05abc"); {
		b, err := br.ReadByte()
		if err != nil {
			t.Fatal(err)
		}
		got += string(b)
	}
	h.CloseUser("al")
	if rest, err := io.ReadAll(br); len(rest) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%q %v", rest, err)
	}
	eventually(t, "a flood to a deaf reader ends", func() bool { return h.Open("al") == 0 })
	_ = deaf
}

func TestFrames(t *testing.T) {
	var b []byte
	ends := map[int]bool{0: true}
	for _, head := range []string{"\x81\x00", "\x82\x7d", "\x02\x7e\x01\x00", "\x80\x7f\x00\x00\x00\x00\x00\x01\x00\x00", "\x81\x83mask", "\x89\x80mask"} {
		var f frames
		f.feed([]byte(head))
		b = append(append(b, head...), make([]byte, f.left)...)
		ends[len(b)] = true
	}
	for _, step := range []int{1, 3, 1000} {
		var f frames
		for at := 0; at < len(b); at += step {
			f.feed(b[at:min(len(b), at+step)])
			if end := min(len(b), at+step); f.between() != ends[end] {
				t.Fatalf("in steps of %d, at %d of %d: between %v", step, end, len(b), f.between())
			}
		}
	}
	if len(ends) != 7 || len(b) != 2+2+125+4+256+10+65536+6+3+6 {
		t.Errorf("%d frames in %d bytes", len(ends)-1, len(b))
	}
}
