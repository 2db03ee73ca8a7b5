package chp

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// answer is what a browser can tell of where its request went.
type answer struct {
	Status int
	Target string // which backend, "" for none
	URI    string // as the backend saw it
}

// backend answers every request with its name and the bytes of the request's target.
// It is no HTTP library, so that nothing is cleaned up on the way.
func backend(t testing.TB, name string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go echo(c, name)
		}
	}()
	return "http://" + l.Addr().String()
}

func echo(c net.Conn, name string) {
	defer c.Close()
	br := bufio.NewReader(c)
	line, err := br.ReadString('\n')
	for head := line; err == nil && strings.TrimSpace(head) != ""; {
		head, err = br.ReadString('\n')
	}
	_, uri, _ := strings.Cut(line, " ")
	uri, _, _ = strings.Cut(uri, " HTTP/")
	body := name + " " + uri
	fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// get asks for exactly these bytes.
func (r *running) get(t stopper, host, uri string) answer {
	c, err := net.Dial("tcp", r.public)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", uri, host)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%s: %v", uri, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s: %v", uri, err)
	}
	a := answer{Status: res.StatusCode}
	if res.StatusCode == http.StatusOK {
		a.Target, a.URI, _ = strings.Cut(string(body), " ")
	}
	return a
}

// stopper is a *testing.T or a *rapid.T.
type stopper interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// both are the two programs with the same arguments.
type both struct {
	ours, theirs *running
	targets      []string // by name: "a", "b", "base", "dead"
}

func startBoth(t *testing.T, args ...string) both {
	t.Helper()
	p := findPeers(t)
	b := both{ours: start(t, args...), theirs: p.original(t, args...)}
	b.targets = []string{backend(t, "a"), backend(t, "b"), backend(t, "base") + "/base/x%2Fy/", "http://127.0.0.1:" + freePort(t)}
	return b
}

func drawPath(t *rapid.T, label string, segments []string) string {
	return "/" + strings.Join(rapid.SliceOfN(rapid.SampledFrom(segments), 0, 4).Draw(t, label), "/")
}

var (
	routeSegments = []string{"user", "al", "alice", "%C3%A9", "a%20b", "a%2Fb", "a.b", "x;y=1", "%40", "~t", "AL"}
	askSegments   = append([]string{
		"..", ".", "%2e", "%2E%2e", ".x", "", "%61l", "é", "a%2fb", "a%2F..%2Fb", "%252e%252e", `a\b`, `..\user`, "[x]", "a'b", `a"b`, "<x>", "{x}", "a^b", "a|b", "a`b", "a+b", "%2B", "%00", "%7F", "%FF", "%zz", "%",
	}, routeSegments...)
	queries = []string{"", "", "", "?", "?a=1", "?a=%2F&b", "?x=y?z", "?a='\"<>é", "?../..", "#f"}
)

// Whatever the routes and whatever is asked for, both programs choose the same target
// and send it the same bytes, but for what is on the list.
func TestDifferential_requests(t *testing.T) {
	for name, args := range map[string][]string{
		"paths":   nil,
		"hosts":   {"--host-routing"},
		"prepend": {"--no-prepend-path"},
	} {
		t.Run(name, func(t *testing.T) {
			b := startBoth(t, args...)
			hosts := name == "hosts"
			rapid.Check(t, func(t *rapid.T) {
				b.empty(t)
				near := []string{"", ""}
				for range rapid.IntRange(0, 6).Draw(t, "routes") {
					path := drawPath(t, "route", routeSegments)
					near = append(near, strings.TrimSuffix(path, "/"))
					if hosts && path != "/" {
						path = "/" + rapid.SampledFrom([]string{"a.example", "b.example"}).Draw(t, "for host") + path
					}
					b.post(t, path, rapid.SampledFrom(b.targets).Draw(t, "target"))
				}
				for range 8 {
					uri := rapid.SampledFrom(near).Draw(t, "near") + drawPath(t, "path", askSegments) + rapid.SampledFrom(queries).Draw(t, "query")
					host := rapid.SampledFrom([]string{"a.example", "b.example:8000", "c.example"}).Draw(t, "host")
					ours, theirs := b.ours.get(t, host, uri), b.theirs.get(t, host, uri)
					if ours != theirs && !excused(uri, ours, theirs) {
						t.Fatalf("%s %q: %s\nroutes: %s", host, uri, cmp.Diff(theirs, ours), b.routes(t, b.theirs))
					}
				}
			})
		})
	}
}

// Each entry of the list is needed: its example does make the two programs differ.
func TestDifferential_list(t *testing.T) {
	b := startBoth(t)
	for i, path := range []string{"/user", "/user/al", "/"} {
		b.post(t, path, b.targets[i])
	}
	for _, d := range deviations() {
		ours, theirs := b.ours.get(t, "h", d.example), b.theirs.get(t, "h", d.example)
		if ours == theirs || !d.applies(d.example, ours, theirs) {
			t.Errorf("%s, %q: %+v, the original %+v", d.name, d.example, ours, theirs)
		}
	}
}

// empty forgets all routes.
func (b both) empty(t stopper) {
	for _, r := range []*running{b.ours, b.theirs} {
		for path := range b.routes(t, r) {
			r.ask(t, "DELETE", "/api/routes"+(&url.URL{Path: path}).EscapedPath(), "")
		}
		if left := b.routes(t, r); len(left) > 0 {
			t.Fatalf("routes that cannot be removed: %v", left)
		}
	}
}

func (b both) routes(t stopper, r *running) map[string]map[string]any {
	_, body := r.ask(t, "GET", "/api/routes", "")
	var all map[string]map[string]any
	if err := json.Unmarshal([]byte(body), &all); err != nil {
		t.Fatal(err)
	}
	for _, data := range all {
		delete(data, "last_activity")
	}
	return all
}

func (b both) post(t stopper, path, target string) {
	for _, r := range []*running{b.ours, b.theirs} {
		if status, body := r.ask(t, "POST", "/api/routes"+path, fmt.Sprintf(`{"target":%q,"extra":1}`, target)); status != http.StatusCreated {
			t.Fatalf("%s: %d %s", path, status, body)
		}
	}
}

// ask sends exactly these bytes to the REST API.
func (r *running) ask(t stopper, method, uri, body string) (int, string) {
	ask, err := http.NewRequest(method, "http://"+r.api+"/", bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	path, query, _ := strings.Cut(uri, "?")
	ask.URL = &url.URL{Scheme: "http", Host: r.api, Opaque: path, RawQuery: query}
	ask.Header.Set("Authorization", "token secret")
	client := http.Client{Timeout: 10 * time.Second} // where a handler of the original throws, it never answers
	res, err := client.Do(ask)
	if err != nil {
		t.Fatalf("%s %s %s: %v", method, uri, body, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// Whatever is asked of both REST APIs, they answer the same.
func TestDifferential_api(t *testing.T) {
	for name, args := range map[string][]string{"paths": nil, "hosts": {"--host-routing"}} {
		t.Run(name, func(t *testing.T) {
			b := startBoth(t, args...)
			bodies := []string{
				`{"target":"http://127.0.0.1:1"}`, `{"target":"https://h:9/x","user":"al","server_name":"","jupyterhub":true}`, `{"target":"http://h","last_activity":"x","host":"y","n":[1,{"a":null}]}`,
				`{}`, `{"target":7}`, `{"target":null}`, `null`, `[]`, `"x"`, `{`, ``,
			}
			segments := slices.Concat(routeSegments, []string{"..", ".", "%2e%2E"})
			rapid.Check(t, func(t *rapid.T) {
				b.empty(t)
				for range rapid.IntRange(1, 12).Draw(t, "steps") {
					method := rapid.SampledFrom([]string{"POST", "POST", "GET", "DELETE", "DELETE", "PUT", "HEAD"}).Draw(t, "method")
					// Slashes at its ends are no part of a route's path here; the original
					// takes one away.
					path := strings.TrimSuffix(drawPath(t, "path", segments), "/")
					if path == "" && method == "DELETE" {
						path = "/" // without it the original throws, and never answers
					} else if path != "" && rapid.Bool().Draw(t, "slash") {
						path += "/"
					}
					uri := "/api/routes" + path + rapid.SampledFrom([]string{"", "", "?inactiveSince=2001-01-01", "?inactive_since=2999", "?inactiveSince=x"}).Draw(t, "end")
					body := ""
					if method == "POST" {
						body = rapid.SampledFrom(bodies).Draw(t, "body")
					}
					ours, _ := b.ours.ask(t, method, uri, body)
					theirs, _ := b.theirs.ask(t, method, uri, body)
					if ours != theirs {
						t.Fatalf("%s %q %s: %d, the original %d", method, uri, body, ours, theirs)
					}
				}
				if d := cmp.Diff(b.routes(t, b.theirs), b.routes(t, b.ours)); d != "" {
					t.Fatal(d)
				}
			})
		})
	}
}
