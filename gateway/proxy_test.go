package gateway

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/conjuring/conjured/api"
)

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A megabyte comes back as it went, with a known length and chunked.
func TestProxy_bodies(t *testing.T) {
	h := open(t)
	h.target("/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Length", fmt.Sprint(r.ContentLength))
		_, _ = w.Write(b)
	}))
	sent := make([]byte, 1<<20)
	_, _ = rand.Read(sent)
	for name, body := range map[string]io.Reader{"1048576": bytes.NewReader(sent), "-1": struct{ io.Reader }{bytes.NewReader(sent)}} {
		res, err := http.Post(h.url+"/x", "application/octet-stream", body)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || !bytes.Equal(got, sent) || res.Header.Get("X-Length") != name {
			t.Errorf("length %s: %d bytes back, %v, target saw length %s", name, len(got), err, res.Header.Get("X-Length"))
		}
	}
}

func TestProxy_headers(t *testing.T) {
	h := open(t)
	got := make(chan http.Header, 1)
	h.target("/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header
		w.Header().Set("Connection", "X-Gone")
		w.Header().Set("X-Gone", "1")
		w.Header().Set("X-Kept", "1")
		w.Header()["Content-Type"] = nil
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "<html>")
	}))
	answer := raw(t, h, "GET /x HTTP/1.1\r\nHost: class.example:8989\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Authorization: b\r\nTE: trailers\r\n"+
		"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Evil: 1\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Scheme: https\r\nCookie: a=b\r\nx-kept: c\r\n\r\n")
	want := http.Header{
		"Cookie": {"a=b"}, "X-Kept": {"c"}, "Te": {"trailers"},
		"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Port": {"8989"}, "X-Forwarded-Host": {"class.example:8989"},
	}
	if d := cmp.Diff(want, <-got); d != "" {
		t.Error(d)
	}
	head, _, _ := strings.Cut(answer, "\r\n\r\n")
	if !strings.HasPrefix(head, "HTTP/1.1 418 ") || !strings.Contains(head, "X-Kept: 1") || strings.Contains(head, "X-Gone") || strings.Contains(head, "Content-Type") {
		t.Error(head)
	}
}

// What comes is heard at once, and the target hears at once when the browser goes.
func TestProxy_stream(t *testing.T) {
	h := open(t)
	next, gone := make(chan string), make(chan struct{})
	h.target("/user/al", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(200)
		for {
			_ = http.NewResponseController(w).Flush()
			select {
			case s := <-next:
				_, _ = io.WriteString(w, s)
			case <-r.Context().Done():
				return
			}
		}
	}))
	res, err := http.Get(h.url + "/user/al/events")
	if err != nil {
		t.Fatal(err) // the head must come before the first event
	}
	lines := bufio.NewReader(res.Body)
	for _, s := range []string{"one\n", "two\n"} {
		next <- s
		if got, err := lines.ReadString('\n'); got != s {
			t.Fatalf("%q %v, want %q", got, err, s)
		}
	}
	_ = res.Body.Close()
	<-gone
}

// HEAD, trailers, 100-continue and informational answers pass.
func TestProxy_details(t *testing.T) {
	h := open(t)
	h.target("/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		if r.URL.Path == "/refuse" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d %s", n, r.Trailer.Get("X-In"))
		w.Header().Set("X-Sum", "9")
	}))
	if got := raw(t, h, "HEAD /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200 OK") || !strings.HasSuffix(got, "\r\n\r\n") {
		t.Errorf("HEAD: %q", got)
	}
	got := raw(t, h, "POST /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-In\r\nExpect: 100-continue\r\n\r\n3\r\nabc\r\n0\r\nX-In: 7\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK") || !strings.Contains(got, "\r\n3 7\r\n") || !strings.Contains(got, "X-Sum: 9\r\n") {
		t.Errorf("trailers: %q", got)
	}
	got = raw(t, h, "POST /refuse HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 417 ") {
		t.Errorf("a refused body is asked for: %q", got)
	}
}

// Whatever is hidden in an ambiguous request, the target sees one request of ours
// or none at all.
func TestProxy_smuggling(t *testing.T) {
	h := open(t)
	h.target("/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/evil" || len(r.TransferEncoding) > 0 && r.ContentLength >= 0 {
			t.Errorf("%s %s reached the target: %v", r.Method, r.URL, r.Header)
		}
		fmt.Fprintf(w, "<%d>", len(b))
	}))
	evil := "GET /evil HTTP/1.1\r\nHost: h\r\n\r\n"
	for name, request := range map[string]string{
		"two lengths":       "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 36\r\n\r\n" + evil,
		"length and sign":   "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: +36\r\n\r\n" + evil,
		"unknown encoding":  "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\nContent-Length: 36\r\n\r\n" + evil,
		"two encodings":     "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + evil,
		"space in name":     "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length : 36\r\n\r\n" + evil,
		"bare CR":           "GET /x HTTP/1.1\r\nHost: h\r\nX: a\rContent-Length: 3\r\n\r\n",
		"two hosts":         "GET /x HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
		"no host":           "GET /x HTTP/1.1\r\n\r\n",
		"bad escape":        "GET /% HTTP/1.1\r\nHost: h\r\n\r\n",
		"upgrade to http/2": "GET /x HTTP/1.1\r\nHost: h\r\nContent-Length: 31\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n\r\n" + evil,
	} {
		if !strings.Contains(request, "Connection:") {
			request = strings.Replace(request, "\r\n", "\r\nConnection: close\r\n", 1)
		}
		got := raw(t, h, request)
		if n := strings.Count(got, "HTTP/1.1 "); n > 1 || strings.Contains(got, " 101 ") {
			t.Errorf("%s: %d answers: %q", name, n, got)
		}
	}
}

func TestProxy_headerFlood(t *testing.T) {
	h := open(t)
	h.target("/", echo)
	if got := raw(t, h, "GET / HTTP/1.1\r\nHost: h\r\nX: "+strings.Repeat("x", maxHeaderBytes+8<<10)+"\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 431 ") {
		t.Errorf("%.60q", got)
	}
}

// A target that goes away in the middle of an answer must not look complete.
func TestProxy_brokenAnswer(t *testing.T) {
	h := open(t)
	h.target("/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	res, err := http.Get(h.url + "/x")
	if err != nil {
		return
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("a broken answer looks complete: %q", b)
	}
}

// Only sockets beneath the allowed directory are dialled, and what a student puts
// in a socket's place is not followed.
func TestProxy_socketTricks(t *testing.T) {
	h := open(t)
	outside := t.TempDir() + "/o.sock"
	serveSocket(t, outside, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the outside was reached") }))
	dir := filepath.Join(h.run, "s1")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	trick := func(name string, make func(path string) error) {
		path := filepath.Join(dir, name)
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		h.route("/user/"+name, "http+unix://"+strings.ReplaceAll(path, "/", "%2f"))
		for _, header := range [][]string{nil, {"Connection", "Upgrade", "Upgrade", "websocket"}} {
			if status, _ := h.get("/user/"+name+"/", header...); status != 503 {
				t.Errorf("%s: %d", name, status)
			}
		}
	}
	trick("link", func(p string) error { return os.Symlink(outside, p) })
	trick("file", func(p string) error { return os.WriteFile(p, nil, 0o666) })
	trick("dir", func(p string) error { return os.Mkdir(p, 0o777) })
	trick("nothing", func(string) error { return nil })
	trick("dirlink", func(string) error { return os.Symlink(filepath.Dir(outside), filepath.Join(dir, "d")) })
	h.route("/user/through", "http+unix://"+strings.ReplaceAll(dir+"/d/o.sock", "/", "%2f"))
	h.route("/user/away", "http+unix://"+strings.ReplaceAll(outside, "/", "%2f"))
	h.route("/user/sibling", "http+unix://"+strings.ReplaceAll(h.run+"x/o.sock", "/", "%2f"))
	for _, user := range []string{"through", "away", "sibling"} {
		if status, _ := h.get("/user/" + user + "/"); status != 503 {
			t.Errorf("%s: %d", user, status)
		}
	}
}

func TestProxy_tcpTarget(t *testing.T) {
	h := open(t)
	srv := httptest.NewServer(echo)
	defer srv.Close()
	h.route("/services/x", srv.URL+"/base/")
	if status, got := h.get("/services/x/y?z"); status != 200 || !strings.HasPrefix(got, "GET /base/services/x/y?z ") {
		t.Errorf("%d %q", status, got)
	}
}

// Activity is a successful answer, not a failed one.
func TestProxy_activity(t *testing.T) {
	h := open(t)
	h.target("/user/al", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/user/al/bad" {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	set := func() { h.routes.root.Load().find("user/al").last.Store(1000) }
	last := func() int64 { return h.routes.root.Load().find("user/al").last.Load() }
	set()
	h.get("/user/al/bad")
	if last() != 1000 {
		t.Error("a refused request counts as activity")
	}
	h.get("/user/al/good")
	eventually(t, "a good answer counts", func() bool { return last() > 1000 })
}

// Where a target is gone the reader is led on, programs get JSON.
func TestProxy_refusals(t *testing.T) {
	h := open(t)
	gone := "http+unix://" + strings.ReplaceAll(h.run+"/gone.sock", "/", "%2f")
	h.route("/", gone)
	h.route("/user/al", gone)
	h.route("/services/x", gone)
	json := []string{"Accept", "application/json"}
	for _, c := range []struct {
		path   string
		header []string
		status int
		want   string
	}{
		{"/hub/login", nil, 503, "The class is being restarted"},
		{"/", nil, 503, "/conjured/static/class.js"},
		{"/hub/api/users", nil, 503, `{"status":503,"message":"The class is being restarted","phase":"serving"}`},
		{"/hub/home", json, 503, `"status":503`},
		{"/user/al/lab?a=b", nil, 503, `href="/hub/spawn?next=%2Fuser%2Fal%2Flab%3Fa%3Db"`},
		{"/user/al/api/kernels", nil, 503, `"message":"This server does not answer"`},
		{"/services/x", nil, 503, "This part of the class does not answer"},
	} {
		if status, got := h.get(c.path, c.header...); status != c.status || !strings.Contains(got, c.want) {
			t.Errorf("%s: %d %s", c.path, status, got)
		}
	}
	h.routes.Delete("/")
	if status, got := h.get("/other"); status != 404 || !strings.Contains(got, "There is nothing at this address") {
		t.Errorf("%d %s", status, got)
	}
}

// While the hub is away a person sees a page that goes on by itself, with and without
// script, and a program hears when to ask again.
func TestProxy_hubAway(t *testing.T) {
	h := open(t)
	h.route("/", "http+unix://"+strings.ReplaceAll(h.run+"/gone.sock", "/", "%2f"))
	for _, path := range []string{"/hub/home", "/hub/api/users", "/hub/login?next=%2Fx"} {
		res, err := http.Get(h.url + path)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		page := strings.Contains(string(b), `data-wait="hub"`) && strings.Contains(string(b), `<noscript><meta http-equiv="refresh"`)
		program := strings.HasPrefix(string(b), `{"status":503,`)
		if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || page == strings.Contains(path, "/api/") || program == page {
			t.Errorf("%s: %d, Retry-After %q: %s", path, res.StatusCode, res.Header.Get("Retry-After"), b)
		}
	}
	h.target("/", echo)
	if status, _ := h.get("/hub/home"); status != 200 {
		t.Errorf("the hub is back: %d", status)
	}
}

// A restart of the daemon serves the routes that were there, before any hub has
// said a word.
func TestServer_restartKeepsRoutes(t *testing.T) {
	h := open(t)
	socket := h.target("/user/al", echo)
	if err := h.routes.save(); err != nil {
		t.Fatal(err)
	}
	h.stop()
	again, err := OpenRoutes(RoutesConfig{File: filepath.Join(h.run, "routes.json")})
	if err != nil {
		t.Fatal(err)
	}
	class := &room{}
	class.phase.Store(api.Serving)
	s, err := New(Config{Listen: []string{"127.0.0.1:0"}, Routes: again, Sockets: []string{h.run}, Class: class})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/user/al/x", nil))
	if w.Code != 200 || !strings.HasPrefix(w.Body.String(), "GET /user/al/x ") {
		t.Errorf("%s: %d %q", socket, w.Code, w.Body)
	}
}
