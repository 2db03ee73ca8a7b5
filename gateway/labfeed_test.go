package gateway

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/conjuring/conjured/notice"
)

func told1(what string) notice.Notice {
	return notice.Notice{Code: "memory-full", Severity: notice.SeverityError, What: what, Means: "m", Do: "d"}
}

// guarded is a student's server that lets in whoever has the cookie.
func guarded(cookie string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !strings.HasSuffix(r.URL.Path, "/api/me"):
			fmt.Fprint(w, "the server itself")
		case r.Header.Get("Cookie") == cookie && r.Method == http.MethodGet && r.Header.Get("Last-Event-Id") == "":
			fmt.Fprint(w, `{"identity":{}}`)
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	})
}

// page is one browser's stream.
type page struct {
	t      *testing.T
	status int
	lines  *bufio.Scanner
	close  func()
}

func (h *house) page(t *testing.T, path string, header ...string) *page {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, h.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return &page{t, res.StatusCode, bufio.NewScanner(res.Body), func() { _ = res.Body.Close() }}
}

// next is the next line that begins with prefix, without it; "" at the stream's end.
func (p *page) next(prefix string) string {
	p.t.Helper()
	for p.lines.Scan() {
		if rest, ok := strings.CutPrefix(p.lines.Text(), prefix); ok {
			return rest
		}
	}
	return ""
}

func TestFeed(t *testing.T) {
	h := open(t)
	h.target("/user/amira", guarded("k=amira"))
	h.target("/user/amira/data", guarded("k=amira"))
	h.target("/user/ben", guarded("k=ben"))
	feed := h.config.Feed
	feed.Tell("amira", "", told1("before"))
	p := h.page(t, "/user/amira/conjured/events", "Cookie", "k=amira")
	hello := p.next("data: ")
	if p.status != http.StatusOK || !strings.HasPrefix(hello, `{"last":`) {
		t.Fatalf("%d %q", p.status, hello)
	}
	if got := p.next("data: "); !strings.Contains(got, `"what":"before"`) {
		t.Errorf("what was told before: %q", got)
	}
	feed.Tell("ben", "", told1("ben's"))
	feed.Tell("amira", "data", told1("another server's"))
	feed.Tell("amira", "", told1("now\nevent: forged"))
	feed.Tell("amira", "", told1("now\nevent: forged"))
	feed.Tell("amira", "", told1("then"))
	id := p.next("id: ")
	if got := p.next("data: "); !strings.Contains(got, `"what":"now\nevent: forged"`) {
		t.Errorf("what was told meanwhile: %q", got)
	}
	if got := p.next("data: "); !strings.Contains(got, `"what":"then"`) {
		t.Errorf("the same notice came twice, or somebody else's: %q", got)
	}
	for _, again := range []*page{
		h.page(t, "/user/amira/conjured/events", "Cookie", "k=amira", "Last-Event-Id", id),
		h.page(t, "/user/amira/conjured/events?after="+id, "Cookie", "k=amira"),
	} {
		again.next("data: ")
		if got := again.next("data: "); !strings.Contains(got, `"what":"then"`) {
			t.Errorf("a page that comes back is told %q", got)
		}
	}
	named := h.page(t, "/user/amira/data/conjured/events", "Cookie", "k=amira")
	named.next("data: ")
	if got := named.next("data: "); !strings.Contains(got, "another server's") {
		t.Errorf("the named server's page: %q", got)
	}
}

// Nobody reads another student's notices, and nothing else of a server is ours.
func TestFeed_closedToOthers(t *testing.T) {
	h := open(t)
	h.target("/user/amira", guarded("k=amira"))
	h.target("/hub", guarded("k=amira"))
	gone := h.target("/user/chen", guarded("k=chen"))
	h.route("/user/chen", "http+unix://"+strings.ReplaceAll(gone, "/", "%2f")+"x:80")
	for path, want := range map[string]string{
		"/user/amira/conjured/events":         "403 the server did not let this page in",
		"/user/amira/%63onjured/events":       "404 the server did not let this page in",
		"/user/chen/conjured/events":          "503 the server did not let this page in",
		"/user/amira/x/conjured/events":       "200 the server itself",
		"/user/amira/conjured/events/x":       "200 the server itself",
		"/user/amira/files/xconjured/events":  "200 the server itself",
		"/user/amira/conjured/static/lab.css": "200 the server itself",
		"/hub/conjured/events":                "200 the server itself",
	} {
		status, body := h.get(path, "Cookie", "k=ben")
		if got := fmt.Sprintf("%d %s", status, body); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// A user who is put out is told nothing any more, and the newest pages win.
func TestFeed_ends(t *testing.T) {
	h := open(t)
	h.target("/user/amira", guarded("k=amira"))
	var open []*page
	for range maxPerServer + 1 {
		p := h.page(t, "/user/amira/conjured/events", "Cookie", "k=amira")
		p.next("data: ")
		open = append(open, p)
	}
	if got := open[0].next("data: "); got != "" {
		t.Errorf("the oldest of too many pages goes on: %q", got)
	}
	open[1].close()
	eventually(t, "a closed page gives its place back", func() bool {
		h.config.Feed.mu.Lock()
		defer h.config.Feed.mu.Unlock()
		return h.config.Feed.streams == maxPerServer-1
	})
	h.CloseUser("amira")
	for _, p := range open[2:] {
		if got := p.next("data: "); got != "" {
			t.Errorf("a page of a user who was put out: %q", got)
		}
	}
	eventually(t, "nobody reads", func() bool {
		h.config.Feed.mu.Lock()
		defer h.config.Feed.mu.Unlock()
		return h.config.Feed.streams == 0
	})
}

// Streams end when the daemon stops, and reading is not activity.
func TestFeed_drain(t *testing.T) {
	h := open(t)
	h.target("/user/amira", guarded("k=amira"))
	h.routes.find("user/amira").last.Store(1)
	p := h.page(t, "/user/amira/conjured/events", "Cookie", "k=amira")
	p.next("data: ")
	if got := h.routes.find("user/amira").last.Load(); got != 1 {
		t.Errorf("activity was noted: %d", got)
	}
	h.stop()
	if got := p.next("data: "); got != "" {
		t.Errorf("after the end: %q", got)
	}
}

// Every page hears that there are other kernels, and one that was away sees it.
func TestFeed_kernels(t *testing.T) {
	h := open(t)
	h.target("/user/amira", guarded("k=amira"))
	h.target("/user/ben", guarded("k=ben"))
	number := func(hello string) (n uint64) {
		var v struct{ Kernels uint64 }
		if err := json.Unmarshal([]byte(hello), &v); err != nil || v.Kernels == 0 {
			t.Fatalf("%s: %v", hello, err)
		}
		return v.Kernels
	}
	amira, ben := h.page(t, "/user/amira/conjured/events", "Cookie", "k=amira"), h.page(t, "/user/ben/conjured/events", "Cookie", "k=ben")
	was := number(amira.next("data: "))
	ben.next("data: ")
	h.config.Feed.Kernels()
	for _, p := range []*page{amira, ben} {
		if event, n := p.next("event: "), p.next("data: "); event != "kernels" || n != fmt.Sprint(was+1) {
			t.Errorf("%s %s", event, n)
		}
	}
	h.config.Feed.Tell("amira", "", told1("then"))
	if event := amira.next("event: "); event != "notice" {
		t.Errorf("told twice: %s", event)
	}
	if back := h.page(t, "/user/amira/conjured/events", "Cookie", "k=amira"); number(back.next("data: ")) != was+1 {
		t.Error("a page that comes back does not see it")
	}
}

// Telling costs nothing when nobody listens, and what is kept is bounded.
func TestFeed_bounded(t *testing.T) {
	f := NewFeed()
	var n atomic.Int64
	for range 3 * keptNotices {
		f.Tell("amira", "", told1(fmt.Sprint(n.Add(1), strings.Repeat("ü", maxNoticeText))))
	}
	fresh, _, _ := f.after(seat{"amira", ""}, 0)
	if len(fresh) != keptNotices || len(fresh[0].data) > 2*maxNoticeText {
		t.Errorf("%d notices of %d bytes are kept", len(fresh), len(fresh[0].data))
	}
}
