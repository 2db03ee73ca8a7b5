package gateway

import (
	"bufio"
	"hash/maphash"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// model is the table as a child would write it.
type model map[string]*route

func (m model) find(k string) *route {
	for {
		if r := m[k]; r != nil {
			return r
		}
		if k == "" {
			return nil
		}
		i := strings.LastIndexByte(k, '/')
		k = k[:max(i, 0)]
	}
}

// A key of few different segments, so that prefixes meet; empty ones included.
func drawKey(t *rapid.T) string {
	parts := rapid.SliceOfN(rapid.SampledFrom([]string{"user", "al", "alice", "", "a b", "é", "hub", "x"}), 0, 5).Draw(t, "key")
	return key(strings.Join(parts, "/"))
}

// The table answers as the model does, and a reader who holds an older table is
// not disturbed by changes.
func TestTrie_asModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := maphash.MakeSeed()
		m, root := model{}, &node{}
		type moment struct {
			m    model
			root *node
		}
		var past []moment
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			k := drawKey(t)
			if rapid.Bool().Draw(t, "add") {
				m[k] = &route{path: "/" + k}
				root = root.with(seed, k, m[k])
			} else if m[k] != nil {
				delete(m, k)
				if root = root.without(seed, k); root == nil {
					root = &node{}
				}
			}
			past = append(past, moment{maps.Clone(m), root})
		}
		for _, at := range past {
			k := drawKey(t)
			if got, want := at.root.find(k), at.m.find(k); got != want {
				t.Fatalf("find %q: %v, want %v in %v", k, got, want, slices.Sorted(maps.Keys(at.m)))
			}
			n := 0
			for r := range at.root.routes() {
				if at.m[key(r.path)] != r {
					t.Fatalf("%q is not in the model", r.path)
				}
				n++
			}
			if n != len(at.m) {
				t.Fatalf("%d routes, want %d", n, len(at.m))
			}
		}
	})
}

// A change costs a path of the tree, not the table: with 5,000 users a look-up or
// a change goes through few nodes.
func TestTrie_depth(t *testing.T) {
	seed, root := maphash.MakeSeed(), &node{}
	for i := range 5000 {
		root = root.with(seed, "user/student-"+string(rune('a'+i%26))+strings.Repeat("x", i%7)+url.QueryEscape(string(rune(i))), &route{})
	}
	var depth func(*branch) int
	depth = func(b *branch) int {
		if b == nil {
			return 0
		}
		return 1 + max(depth(b.left), depth(b.right))
	}
	if d := depth(root.kids.get("user").kids); d > 60 {
		t.Errorf("depth %d for 5,000 routes", d)
	}
}

func TestLookupKey(t *testing.T) {
	for path, want := range map[string]string{
		"/": "", "": "", "/user/al/": "user/al", "//user//al": "user//al", "/user/%61l": "user/al",
		"/a/./b/../c": "a/c", "/../../conjured": "conjured", "/x/%2e%2e/conjured/y": "conjured/y",
		`/x\..\conjured`: "conjured", "/a.b/.c": "a.b/.c", "/a%2Fb": "a/b",
	} {
		u, err := url.ParseRequestURI("http://h" + path)
		if err != nil {
			t.Fatal(err)
		}
		if got := lookupKey(u); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// Whatever path comes, its key is stable under one more normalisation and the
// bytes for the target are the bytes that came.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"/", "/user/al/../x", "/%2e%2E/a", `/\..\..`, "//a//", "/a%2fb?c=d?", "/%zz", "/é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := url.ParseRequestURI(s)
		if err != nil || !strings.HasPrefix(s, "/") {
			return
		}
		k := lookupKey(u)
		if again := lookupKey(&url.URL{Path: "/" + k}); again != k {
			t.Errorf("%q: key %q becomes %q", s, k, again)
		}
		root := (&node{}).with(maphash.MakeSeed(), k, &route{path: "/" + k})
		if r := root.find(k); r == nil || r.path != "/"+k {
			t.Errorf("%q: not found at its own key %q", s, k)
		}
		sent := (target{scheme: "http", host: "h"}).url(s).RequestURI()
		if strings.HasPrefix(s, "//") { // here an unusual byte is escaped, see target.url
			if v, err := url.ParseRequestURI(sent); err != nil || v.Path != u.Path || v.RawQuery != u.RawQuery {
				t.Errorf("%q is sent as %q, another path", s, sent)
			}
		} else if sent != s {
			t.Errorf("%q is sent as %q", s, sent)
		}
	})
}

func TestHostKey(t *testing.T) {
	for host, want := range map[string]string{
		"a.example": "a.example/x/y", "a.example:8000": "a.example/x/y", "[::1]:80": "::1/x/y", "": "x/y", "a:b": "a/x/y", "/": "x/y",
	} {
		if got := HostKey(&http.Request{Host: host, URL: &url.URL{Path: "/x/./z/../y"}}); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}

// No host and no path leads out of the host's own part of the table, and the API finds
// under its clients' spelling what they put there.
func FuzzHostKey(f *testing.F) {
	f.Add("a.example:80", "/user/../../b.example/x")
	f.Add("[::1]", "/%2e%2e/x")
	f.Add("a..", `/..\b`)
	f.Fuzz(func(t *testing.T, host, path string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")))
		if err != nil || r.Host == "" || strings.Contains(r.Host, "/") || r.URL.Host != "" { // net/http answers 400 for the first three
			return
		}
		k := HostKey(r)
		name := r.Host
		if h, _, err := net.SplitHostPort(name); err == nil {
			name = h
		}
		if k != name && !strings.HasPrefix(k, key(name)+"/") && name != "" {
			t.Errorf("%q %q: %q is not below the host", host, path, k)
		}
		if got := key(spelt(&url.URL{Path: "/" + k})); lookupKey(&url.URL{Path: "/" + k}) == k && utf8.ValidString(k) && got != k {
			t.Errorf("the API calls %q %q", k, got)
		}
	})
}

func TestParseTarget(t *testing.T) {
	for s, want := range map[string]target{
		"http+unix://%2Frun%2Fa.sock":        {scheme: "http", host: socketHost("/run/a.sock"), socket: "/run/a.sock"},
		"http+unix://%2frun%2fa.sock:80":     {scheme: "http", host: socketHost("/run/a.sock"), socket: "/run/a.sock"},
		"http+unix://%2frun%2fa.sock:80/b/c": {scheme: "http", host: socketHost("/run/a.sock"), socket: "/run/a.sock", prefix: "/b/c"},
		"unix+http://%2frun%2fa.sock/":       {scheme: "http", host: socketHost("/run/a.sock"), socket: "/run/a.sock"},
		"http://127.0.0.1:8081":              {scheme: "http", host: "127.0.0.1:8081"},
		"http://h/x%2Fy/":                    {scheme: "http", host: "h", prefix: "/x%2Fy"},
		"http://h/x?a=b&c":                   {scheme: "http", host: "h", prefix: "/x", query: "a=b&c"},
		"https://[::1]:1":                    {scheme: "https", host: "[::1]:1"},
	} {
		got, err := parseTarget(s)
		if err != nil || got != want {
			t.Errorf("%s: %+v %v, want %+v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "x", "ftp://h", "http://", "http://u:p@h/", "http+unix://run", "http+unix://%2frun%2f..%2fa", "http+unix://%2frun%2f%00", "http+unix://%zz", "http+unix:///run/a", "javascript:1"} {
		if got, err := parseTarget(s); err == nil {
			t.Errorf("%q is taken as %+v", s, got)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	f.Add("http+unix://%2frun%2fa.sock:80/x")
	f.Add("http://h:1/%zz")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseTarget(s)
		if err != nil || got.socket == "" {
			return
		}
		if path, ok := socketOf(got.host + ":80"); !ok || path != got.socket {
			t.Errorf("%q: socket %q comes back as %q", s, got.socket, path)
		}
	})
}

func TestRoutes_deleteBelow(t *testing.T) {
	r, err := OpenRoutes(RoutesConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"/", "/user/al", "/user/al/named", "/user/alice", "/user"} {
		if err := r.Add(p, data("http://h")); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.DeleteBelow("/user/al"); n != 2 {
		t.Errorf("%d routes deleted, want 2", n)
	}
	if n := r.DeleteBelow("/user/nobody"); n != 0 {
		t.Errorf("%d routes of nobody deleted", n)
	}
	var left []string
	for route := range r.All() {
		left = append(left, route.Path)
	}
	if d := cmp.Diff([]string{"/", "/user", "/user/alice"}, left); d != "" {
		t.Error(d)
	}
}
