package gateway

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// A4: the class answers on the port of the Conjuring project unless told
// otherwise.
func TestA4_port(t *testing.T) {
	routes, err := OpenRoutes(RoutesConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Routes: routes, Class: &room{}})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.config.Listen; len(got) != 1 || got[0] != ":8989" {
		t.Errorf("listens on %v", got)
	}
}

// Until the class is ready every address shows that it is being prepared, whoever
// asks, and nothing reaches a target.
func TestDoor_preparing(t *testing.T) {
	h := open(t)
	h.class.phase.Store(api.Preparing)
	h.class.notices = []notice.Notice{{
		Code: "x", Severity: notice.SeverityError, File: "requirements.txt", Line: 3,
		What: "there is no package <pandsa>", Means: "the class waits", Do: "correct the name",
	}}
	h.work.Progress(progress.Event{Job: "environment", Step: "installing packages", Done: 17, Total: 42, Unit: "packages", Eta: 100, Line: "secret-index"})
	h.target("/", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a target was reached") }))
	eventually(t, "the feed has the event", func() bool { n, _ := h.door.feed.after(0); return len(n) == 1 })
	for _, path := range []string{"/", "/hub/login", "/user/al/lab", "/anything?x", "//x", "/conjured.txt"} {
		status, got := h.get(path, "Accept", "text/html")
		if status != 503 {
			t.Errorf("%s: %d", path, status)
		}
		for _, want := range []string{
			"The class is being prepared", "Data 8", "installing packages", "17 of 42 packages", "about 2 minutes left",
			"requirements.txt:3", "&lt;pandsa&gt;", `<noscript><meta http-equiv="refresh"`,
		} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in %s", path, want, got)
			}
		}
		if strings.Contains(got, "secret-index") {
			t.Errorf("%s shows raw output", path)
		}
	}
	for path, accept := range map[string]string{"/hub/api/users": "*/*", "/hub/login": "application/json", "/user/al/api": ""} {
		status, got := h.get(path, "Accept", accept)
		var body struct {
			Status int
			Phase  api.Phase
		}
		if err := json.Unmarshal([]byte(got), &body); err != nil || status != 503 || body.Status != 503 || body.Phase != api.Preparing {
			t.Errorf("%s: %d %q %v", path, status, got, err)
		}
	}
	h.class.phase.Store(api.Phase(""))
	if status, _ := h.get("/"); status != 503 {
		t.Errorf("an unknown phase lets people in: %d", status)
	}
}

// Our own paths are ours in each phase, whatever the hub posts.
func TestDoor_ownPaths(t *testing.T) {
	h := open(t)
	h.target("/", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a target was reached") }))
	for _, phase := range []api.Phase{api.Preparing, api.Serving, api.Degraded} {
		h.class.phase.Store(phase)
		for path, want := range map[string]string{
			"/_chp_healthz":              `{"status":"OK"}`,
			"/conjured/health":           `"phase":"` + string(phase) + `"`,
			"/conjured/":                 "Data 8",
			"/conjured/static/class.css": "--accent",
			"/conjured/static/class.js":  "EventSource",
			"/conjured/static/icon.svg":  "<svg",
		} {
			if status, got := h.get(path); status != 200 || !strings.Contains(got, want) {
				t.Errorf("%s, %s: %d %s", phase, path, status, got)
			}
		}
		for _, path := range []string{"/conjured/nothing", "/conjured/static/../pages.go", "/conjured/static/layout.html", "/x/%2e%2e/conjured/nothing"} {
			if status, _ := h.get(path); status != 404 && status != 307 && status != 301 {
				t.Errorf("%s, %s: %d", phase, path, status)
			}
		}
	}
}

// Each page keeps strangers' code out.
func TestDoor_policy(t *testing.T) {
	h := open(t)
	for _, path := range []string{"/conjured/", "/hub/login", "/nothing"} {
		res, err := http.Get(h.url + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if got := res.Header.Get("Content-Security-Policy"); !strings.Contains(got, "default-src 'none'") || strings.Contains(got, "unsafe") {
			t.Errorf("%s: policy %q", path, got)
		}
	}
}

// follow reads server-sent events.
func follow(t *testing.T, h *house, last string) (next func() (event, id, data string)) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+"/conjured/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Last-Event-ID", last)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	return func() (event, id, data string) {
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch {
			case name == "event":
				event = value
			case name == "id":
				id = value
			case name == "data":
				data = value
			case name == "" && event != "":
				return event, id, data
			}
		}
		t.Fatal("the stream ended")
		return
	}
}

// The stream tells progress and phase, and goes on where a browser left it.
func TestDoor_events(t *testing.T) {
	h := open(t)
	h.class.phase.Store(api.Preparing)
	next := follow(t, h, "")
	if event, _, data := next(); event != "state" || !strings.Contains(data, `"ready":false`) {
		t.Fatalf("%s %s", event, data)
	}
	h.work.Progress(progress.Event{Job: "image", Step: "one", Line: "raw"})
	event, id, data := next()
	if event != "progress" || !strings.Contains(data, `"step":"one"`) || strings.Contains(data, "raw") {
		t.Fatalf("%s %s", event, data)
	}
	h.work.Progress(progress.Event{Job: "image", Step: "one", Line: "only another line"})
	h.work.Progress(progress.Event{Job: "image", Step: "two"})
	if _, _, data := next(); !strings.Contains(data, `"step":"two"`) {
		t.Fatal(data)
	}
	again := follow(t, h, id)
	if event, _, data := again(); event != "progress" || !strings.Contains(data, `"step":"two"`) {
		t.Fatalf("after %s: %s %s", id, event, data)
	}
	h.class.phase.Store(api.Serving)
	for event != "state" {
		event, _, data = next()
	}
	if !strings.Contains(data, `"ready":true`) {
		t.Error(data)
	}
}

// One address cannot take all places at the stream.
func TestFeed_watchers(t *testing.T) {
	f := newFeed()
	for i := range maxPerAddress {
		if _, ok := f.watch("a"); !ok {
			t.Fatalf("watcher %d is refused", i)
		}
	}
	if _, ok := f.watch("a"); ok {
		t.Error("one too many from one address")
	}
	leave, ok := f.watch("b")
	if !ok {
		t.Fatal("another address is refused")
	}
	leave()
	if f.watching != maxPerAddress || len(f.watchers) != 1 {
		t.Errorf("%d watchers, %v", f.watching, f.watchers)
	}
}

// Whoever has the port is named, with a way out.
func TestListen_portTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	routes, err := OpenRoutes(RoutesConfig{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Routes: routes, Class: &room{}, Listen: []string{l.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	var n *notice.Error
	if err := s.Listen(t.Context()); !errors.As(err, &n) {
		t.Fatalf("%v", err)
	}
	self, _ := os.ReadFile("/proc/self/comm")
	want := fmt.Sprintf("the program %s (process %d)", strings.TrimSpace(string(self)), os.Getpid())
	if n.Code != "port-taken" || !strings.Contains(n.What, want) || !strings.Contains(n.Do, "--listen") {
		t.Errorf("%+v, want %q", n.Notice, want)
	}
	if got := portOwner(filepath.Join(t.TempDir(), "none"), 1); got != "" {
		t.Errorf("without /proc: %q", got)
	}
}
