package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// room is a class whose phase a test sets.
type room struct {
	phase   atomic.Value // api.Phase
	notices []notice.Notice
}

func (r *room) Phase() api.Phase { p, _ := r.phase.Load().(api.Phase); return p }
func (r *room) About() About     { return About{Name: "Data 8", Notices: r.notices} }

// house is a running front door and what it leads to.
type house struct {
	*Server
	t      testing.TB
	url    string // of the front door
	run    string // directory of sockets
	routes *Routes
	class  *room
	work   *progress.Hub
	stop   func()
}

// open starts a front door whose class serves.
func open(t testing.TB) *house {
	t.Helper()
	return openWith(t, Limits{})
}

func openWith(t testing.TB, limits Limits) *house {
	t.Helper()
	run, err := os.MkdirTemp("", "gw") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	routes, err := OpenRoutes(RoutesConfig{File: filepath.Join(run, "routes.json"), Reserved: []string{Reserved}})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, run: run, routes: routes, class: &room{}, work: &progress.Hub{}}
	h.class.phase.Store(api.Serving)
	h.Server, err = New(Config{
		Listen: []string{"127.0.0.1:0"}, Routes: routes, Sockets: []string{run}, Class: h.class, Progress: h.work, Feed: NewFeed(), Limits: limits,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.url = "http://" + h.Addresses()[0].String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Serve(ctx) }()
	var stopped atomic.Bool
	h.stop = func() {
		if stopped.Swap(true) {
			return
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(h.stop)
	return h
}

// target serves handler on a unix socket and routes path to it.
func (h *house) target(path string, handler http.Handler) (socket string) {
	h.t.Helper()
	dir, err := os.MkdirTemp(h.run, "s")
	if err != nil {
		h.t.Fatal(err)
	}
	socket = filepath.Join(dir, "s.sock")
	serveSocket(h.t, socket, handler)
	h.route(path, "http+unix://"+strings.ToLower(url.PathEscape(socket))+":80")
	return socket
}

func serveSocket(t testing.TB, socket string, handler http.Handler) *http.Server {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: handler}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return srv
}

func (h *house) route(path, target string) {
	h.t.Helper()
	if err := h.routes.Add(path, data(target)); err != nil {
		h.t.Fatal(err)
	}
}

func data(target string) map[string]json.RawMessage {
	b, _ := json.Marshal(target)
	return map[string]json.RawMessage{"target": b}
}

// get is the status and body of a GET.
func (h *house) get(path string, header ...string) (int, string) {
	h.t.Helper()
	req, err := http.NewRequest(http.MethodGet, h.url+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// eventually waits until ok, and fails after a generous time.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatal("never: " + what)
}

// echo answers what it was asked.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s %d", r.Method, r.RequestURI, r.Host, len(b))
})

func TestProxy_paths(t *testing.T) {
	h := open(t)
	h.target("/", echo)
	h.target("/user/al", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "al") }))
	host := strings.TrimPrefix(h.url, "http://")
	for path, want := range map[string]string{
		"/hub/login?next=%2Fa&x": "GET /hub/login?next=%2Fa&x " + host + " 0",
		"/user/alice/lab":        "GET /user/alice/lab " + host + " 0",
		"/user/al/lab":           "al",
		"/user/al":               "al",
		"/user/%61l/x":           "al",
		"/a%2Fb/%7Ec/%C3%BC%20?": "GET /a%2Fb/%7Ec/%C3%BC%20? " + host + " 0",
		"/user/x/../al/y":        "al",
	} {
		if status, got := h.get(path); status != 200 || got != want {
			t.Errorf("%s: %d %q, want %q", path, status, got, want)
		}
	}
}

// Raw bytes reach the target as they came, whatever they are.
func TestProxy_rawPath(t *testing.T) {
	h := open(t)
	h.target("/", echo)
	for _, path := range []string{"//a//b", "/a|b", "/%41%2e%2E/..%2f", "/a;b=c", "/x?a=%zz&b=[]|", "/\"q\"", "/a:b@c", "//evil.example/x", "/a/./b/"} {
		if got := raw(t, h, "GET "+path+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); !strings.HasSuffix(got, "\r\n\r\nGET "+path+" h 0") {
			t.Errorf("%s: %q", path, got)
		}
	}
}

// raw sends bytes and returns all that comes back.
func raw(t testing.TB, h *house, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(c)
	return string(b)
}
