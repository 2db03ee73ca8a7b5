package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// serveBytes answers the requests of each connection with the bytes that belong to the
// last part of their path; the connection ends where there are none, and behind a name that begins with "ends".
func serveBytes(t testing.TB, socket string, answers map[string]string) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for br := bufio.NewReader(c); ; {
					r, err := http.ReadRequest(br)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					name := strings.ReplaceAll(r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:], "-", " ")
					if _, err := io.WriteString(c, answers[name]); err != nil || answers[name] == "" || strings.HasPrefix(name, "ends") {
						return
					}
				}
			}()
		}
	}()
}

// counted is a target that says how many connections it has seen.
func counted(t *testing.T, h *house, path string) (seen *atomic.Int32, open *atomic.Int32) {
	t.Helper()
	seen, open = new(atomic.Int32), new(atomic.Int32)
	socket := h.run + "/counted.sock"
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, r.Method, n)
		}),
		ConnState: func(_ net.Conn, s http.ConnState) {
			switch s {
			case http.StateNew:
				seen.Add(1)
				open.Add(1)
			case http.StateClosed:
				open.Add(-1)
			}
		},
	}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	h.route(path, "http+unix://"+strings.ReplaceAll(socket, "/", "%2f"))
	return seen, open
}

// Connections to a target are kept, for bodies too, and end with its route.
func TestCarrier_kept(t *testing.T) {
	h := open(t)
	seen, open := counted(t, h, "/user/al")
	for range 10 {
		h.get("/user/al/x")
		res, err := http.Post(h.url+"/user/al/x", "text/plain", strings.NewReader("four"))
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(res.Body); string(b) != "POST4" {
			t.Errorf("%q", b)
		}
		_ = res.Body.Close()
	}
	if n := seen.Load(); n != 1 {
		t.Errorf("%d connections for 20 requests in turn", n)
	}
	h.route("/user/al", "http+unix://"+strings.ReplaceAll(h.run+"/other.sock", "/", "%2f"))
	eventually(t, "the connection ends with its route", func() bool { return open.Load() == 0 })
}

// A target that went and came back is found again without an error.
func TestCarrier_restart(t *testing.T) {
	h := open(t)
	socket := h.run + "/r.sock"
	h.route("/user/al", "http+unix://"+strings.ReplaceAll(socket, "/", "%2f"))
	for i := range 3 {
		srv := serveSocket(t, socket, echo)
		for range 3 {
			if status, got := h.get("/user/al/x"); status != 200 {
				t.Fatalf("start %d: %d %s", i, status, got)
			}
		}
		_ = srv.Close()
	}
}

// A connection that the target ends just when it is used is no error for a GET, and a
// POST is not sent twice.
func TestCarrier_lostRace(t *testing.T) {
	h := open(t)
	var asked atomic.Int32
	l, err := net.Listen("unix", h.run+"/race.sock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // one answer, then an end in place of the second
				defer c.Close()
				br := bufio.NewReader(c)
				for i := range 2 {
					r, err := http.ReadRequest(br)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					if asked.Add(1); i == 0 {
						_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
					}
				}
			}()
		}
	}()
	h.route("/user/al", "http+unix://"+strings.ReplaceAll(h.run+"/race.sock", "/", "%2f"))
	for range 4 {
		if status, got := h.get("/user/al/x"); status != 200 || got != "ok" {
			t.Fatalf("%d %q", status, got)
		}
	}
	before := asked.Load() // the last GET was the first on its connection
	res, err := http.Post(h.url+"/user/al/x", "text/plain", strings.NewReader("once"))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if n := asked.Load() - before; n != 1 || res.StatusCode != 503 {
		t.Errorf("%d, sent %d times", res.StatusCode, n)
	}
}

// An answer that is not read to its end does not leave its rest to the next reader.
func TestCarrier_abandoned(t *testing.T) {
	h := open(t)
	h.target("/user/al", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/long") {
			for b := []byte(strings.Repeat("LONG", 16<<10)); ; {
				if _, err := w.Write(b); err != nil {
					return
				}
			}
		}
		fmt.Fprint(w, "short")
	}))
	for range 5 {
		res, err := http.Get(h.url + "/user/al/long")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadFull(res.Body, make([]byte, 100<<10))
		_ = res.Body.Close()
		if _, got := h.get("/user/al/x"); got != "short" {
			t.Fatalf("%.40q", got)
		}
	}
}

// A hundred changes a second fail no request, even of the route that is asked for.
func TestCarrier_changes(t *testing.T) {
	h := open(t)
	target := "http+unix://" + strings.ReplaceAll(h.target("/user/al", echo), "/", "%2f")
	for i := range 1000 {
		h.route(fmt.Sprintf("/user/student-%d", i), target)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if status, got := h.get("/user/al/x"); status != 200 || !strings.HasPrefix(got, "GET /user/al/x ") {
					t.Errorf("%d %q", status, got)
					return
				}
			}
		})
	}
	every := time.NewTicker(5 * time.Millisecond)
	defer every.Stop()
	for i := range 200 {
		<-every.C
		h.route("/user/al", target)
		h.route(fmt.Sprintf("/user/student-%d", i), "http://127.0.0.1:1")
		h.routes.Delete(fmt.Sprintf("/user/student-%d", i+1))
	}
	close(stop)
	wg.Wait()
}
