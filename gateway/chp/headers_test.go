package chp

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// talker answers with what it sees of the headers that proxies touch. It sends
// requests for /to/X on to X, with %s for its own address.
func talker(t testing.TB) *httptest.Server {
	t.Helper()
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, to, ok := strings.Cut(r.URL.Path, "/to/"); ok {
			w.Header()["Location"] = []string{strings.ReplaceAll(to, "SELF", s.Listener.Addr().String())}
			w.WriteHeader(http.StatusFound)
			return
		}
		w.Header().Set("Content-Type", "text/x-seen")
		w.Header().Set("X-Other", "y")
		w.Header().Add("Set-Cookie", "a=b; Domain=school.example; Path=/; HttpOnly")
		w.Header().Add("Set-Cookie", "c=d")
		w.Header().Set("Clear-Site-Data", "*")
		seen := []string{"uri " + r.RequestURI, "host " + strings.ReplaceAll(r.Host, s.Listener.Addr().String(), "SELF")}
		for name, values := range r.Header {
			if strings.HasPrefix(name, "X-") || name == "Forwarded" || name == "Cookie" || name == "Via" {
				seen = append(seen, name+" "+strings.Join(values, ", "))
			}
		}
		slices.Sort(seen[2:])
		_, _ = io.WriteString(w, strings.Join(seen, "\n"))
	}))
	t.Cleanup(s.Close)
	return s
}

// told is an answer as far as both proxies have to agree.
type told struct {
	Status                             int
	Type, Other, Clear, Location, Body string
	Cookies                            []string
}

func (r *running) tell(t testing.TB, head string) told {
	t.Helper()
	c, err := net.Dial("tcp", r.public)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, port, _ := net.SplitHostPort(r.public)
	fmt.Fprint(c, strings.ReplaceAll(head, "PORT", port)+"Connection: close\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	h := res.Header
	return told{
		res.StatusCode, h.Get("Content-Type"), h.Get("X-Other"), h.Get("Clear-Site-Data"),
		strings.ReplaceAll(h.Get("Location"), port, "PORT"), strings.ReplaceAll(string(b), port, "PORT"), h["Set-Cookie"],
	}
}

// What the options do to headers, redirects and errors is what they do in the original.
func TestDifferential_options(t *testing.T) {
	p, target := findPeers(t), talker(t)
	dead := "http://127.0.0.1:" + freePort(t)
	pages := t.TempDir()
	for name, text := range map[string]string{"404.html": "none", "error.html": "some"} {
		write(t, pages+"/"+name, text)
	}
	plain := "GET /user/al/x?q HTTP/1.1\r\nHost: h:PORT\r\n"
	claims := plain + "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\nX-Forwarded-Host: school.example\r\nX-Real-Ip: 9.9.9.9\r\nForwarded: for=9\r\n"
	to := func(where string) string { return "GET /user/al/to/" + where + " HTTP/1.1\r\nHost: h:PORT\r\n" }
	for name, c := range map[string]struct {
		args []string
		asks []string
	}{
		"default":      {nil, []string{plain, claims, "GET /user/al HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nX-A: 2\r\nCookie: a=b\r\n"}},
		"no forward":   {[]string{"--no-x-forward"}, []string{plain, claims}},
		"no prefix":    {[]string{"--no-include-prefix"}, []string{plain, "GET /user/al HTTP/1.1\r\nHost: h\r\n", "GET /user/al/ HTTP/1.1\r\nHost: h\r\n", "GET /user/al?x HTTP/1.1\r\nHost: h\r\n"}},
		"query":        {nil, []string{"GET /query/y?z HTTP/1.1\r\nHost: h\r\n", "GET /query HTTP/1.1\r\nHost: h\r\n"}},
		"origin":       {[]string{"--change-origin"}, []string{plain, claims}},
		"custom":       {[]string{"--custom-header", "X-B: 1", "--custom-header", "x-a:2"}, []string{plain, plain + "X-B: 9\r\n"}},
		"rewrite":      {[]string{"--auto-rewrite"}, []string{to("http://SELF/y?z"), to("/relative"), to("http://other/y"), to("https://SELF/y")}},
		"protocol":     {[]string{"--protocol-rewrite", "https"}, []string{to("http://SELF/y"), to("http://other/y")}},
		"both":         {[]string{"--protocol-rewrite", "https", "--auto-rewrite"}, []string{to("http://SELF/y")}},
		"error target": {[]string{"--error-target", target.URL + "/errors"}, []string{"GET /dead/x?y=1&z HTTP/1.1\r\nHost: h\r\n", "GET /none HTTP/1.1\r\nHost: h\r\n"}},
		"error pages":  {[]string{"--error-path", pages}, []string{"GET /dead/x HTTP/1.1\r\nHost: h\r\n", "GET /none HTTP/1.1\r\nHost: h\r\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := both{ours: start(t, c.args...), theirs: p.original(t, c.args...)}
			b.post(t, "/user/al", target.URL)
			b.post(t, "/dead", dead)
			b.post(t, "/query", target.URL+"/base?a=b")
			for _, ask := range c.asks {
				if d := cmp.Diff(b.theirs.tell(t, ask), b.ours.tell(t, ask)); d != "" {
					t.Errorf("%s\n%s", ask, d)
				}
			}
		})
	}
}
