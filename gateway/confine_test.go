package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// What a student's server says about cookies stays on that server's own pages.
func TestConfine_cookies(t *testing.T) {
	for in, want := range map[string]string{
		"a=b; Path=/user/al/; HttpOnly":                             "a=b; Path=/user/al/; HttpOnly",
		"a=b; path=/user/al":                                        "a=b; path=/user/al",
		"a=b; Path=/user/al/proxy/8050/":                            "a=b; Path=/user/al/proxy/8050/",
		"a=b":                                                       "a=b; Path=/user/al/",
		"a=b; Path=":                                                "a=b; Path=/user/al/",
		"a=b; Path=/":                                               "a=b; Path=/user/al/",
		"a=b; Path=/; Secure":                                       "a=b; Secure; Path=/user/al/",
		"a=b; Path=/user/alice/":                                    "a=b; Path=/user/al/",
		"a=b; Path=/user/al/../alice":                               "a=b; Path=/user/al/",
		"a=b; Path=/user/al/%2e%2e/alice":                           "a=b; Path=/user/al/",
		"a=b; Path=/user/al/..%2Falice":                             "a=b; Path=/user/al/",
		`a=b; Path=/user/al/..\alice`:                               "a=b; Path=/user/al/",
		"a=b; Path=/user/al/%252e%252e/":                            "a=b; Path=/user/al/",
		"a=b; Path=/%75ser/al/":                                     "a=b; Path=/%75ser/al/",
		"a=b; Path=/user/al/; Path=/":                               "a=b; Path=/user/al/",
		"a=b; PATH = /hub ; Domain=class.local":                     "a=b; Path=/user/al/",
		"a=b; Domain=class.local; Path=/user/al/x":                  "a=b; Path=/user/al/x",
		"jupyterhub-session-id=evil; Path=/":                        "jupyterhub-session-id=evil; Path=/user/al/",
		"jupyterhub-hub-login=evil; Path=/hub/":                     "jupyterhub-hub-login=evil; Path=/user/al/",
		"__Host-x=y; Secure; Path=/":                                "__Host-x=y; Secure; Path=/user/al/", // a browser refuses that
		"a=; Path=/; Max-Age=0":                                     "",
		"a=; Path=/hub; Max-Age=-1":                                 "",
		"a=; Path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT":         "",
		"a=; Path=/user/al/; expires=Thu, 01 Jan 1970 00:00:00 GMT": "a=; Path=/user/al/; expires=Thu, 01 Jan 1970 00:00:00 GMT",
		"jupyterhub-session-id=; Domain=class.local; Path=/user/al/; Max-Age=0": "",
	} {
		if got, _ := scoped(in, "/user/al"); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
	if got, _ := scoped("a=b; Path=/user/foo%40bar/", "/user/foo@bar"); got != "a=b; Path=/user/foo%40bar/" {
		t.Errorf("a name with an @: %q", got)
	}
	if got, _ := scoped("a=b", "/user/ünal x"); got != "a=b; Path=/user/%C3%BCnal%20x/" {
		t.Errorf("a name with a space: %q", got)
	}
}

// A student's server cannot speak for the site; the hub can.
func TestConfine_headers(t *testing.T) {
	h := open(t)
	says := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{
			"Clear-Site-Data", "Service-Worker-Allowed", "Alt-Svc", "Strict-Transport-Security", "NEL", "Report-To", "Accept-CH",
			"Critical-CH", "Origin-Agent-Cluster", "Use-As-Dictionary", "Set-Login", "Public-Key-Pins", "X-Kept",
		} {
			w.Header().Set(name, "evil")
		}
		w.Header()["Set-Cookie"] = []string{"jupyterhub-session-id=evil; Path=/", "mine=1; Path=/user/al/"}
	})
	h.target("/", says)
	h.target("/user/al", says)
	h.target("/user/al/named", says)
	for path, want := range map[string]string{
		"/user/al/lab":       "Set-Cookie: jupyterhub-session-id=evil; Path=/user/al/|Set-Cookie: mine=1; Path=/user/al/|X-Kept: evil",
		"/user/al/named/lab": "Set-Cookie: jupyterhub-session-id=evil; Path=/user/al/named/|Set-Cookie: mine=1; Path=/user/al/named/|X-Kept: evil",
	} {
		if got := headLines(raw(t, h, "GET "+path+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
	if got := headLines(raw(t, h, "GET /hub/login HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")); strings.Count(got, "|") != 14 || !strings.Contains(got, "session-id=evil; Path=/|") {
		t.Errorf("the hub's own: %s", got)
	}
}

// headLines is the head of an answer without what net/http says itself.
func headLines(answer string) string {
	head, _, _ := strings.Cut(answer, "\r\n\r\n")
	lines := slices.DeleteFunc(strings.Split(head, "\r\n")[1:], func(l string) bool {
		return strings.HasPrefix(l, "Date:") || strings.HasPrefix(l, "Content-Length:") || strings.HasPrefix(l, "Connection:")
	})
	slices.Sort(lines)
	return strings.Join(lines, "|")
}

// rawTargetServer answers every connection's first request with the bytes given by its
// path, and then with "SECOND".
func (h *house) rawTarget(path string, answers map[string]string) {
	h.t.Helper()
	dir := h.run + "/" + strings.Trim(strings.ReplaceAll(path, "/", "-"), "-")
	serveBytes(h.t, dir+".sock", answers)
	h.route(path, "http+unix://"+strings.ReplaceAll(dir+".sock", "/", "%2f"))
}

// A target that answers nonsense is answered for; what it puts behind its answer reaches
// nobody.
func TestConfine_target(t *testing.T) {
	h := open(t)
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	answers := map[string]string{
		"nonsense":         "hello\r\n\r\n",
		"no status":        "HTTP/1.1 \r\n\r\n",
		"odd status":       "HTTP/1.1 2000 OK\r\n\r\n",
		"two lengths":      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 40\r\n\r\nok",
		"NUL in a value":   "HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\nok",
		"bare CR":          "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nok",
		"folded encoding":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\n\r\nok",
		"huge header":      "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 100<<10) + "\r\n\r\n",
		"many headers":     "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 200) + "\r\n",
		"switch":           "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" + ok,
		"endless early":    strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 50) + ok,
		"nothing":          "",
		"ends in its head": "HTTP/1.1 200 OK\r\nContent-Le",
	}
	h.rawTarget("/user/al", answers)
	for name, bytes := range answers {
		got := raw(t, h, "GET /user/al/"+strings.ReplaceAll(name, " ", "-")+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		final := got[strings.LastIndex(got, "HTTP/1.1 "):]
		if !strings.HasPrefix(final, "HTTP/1.1 503 ") || strings.Contains(got, "\r\nX:") {
			t.Errorf("%s (%.60q): %.200q", name, bytes, got)
		}
	}
	h.rawTarget("/user/bo", map[string]string{"two": ok + "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nSECOND", "fine": ok, "odd": "HTTP/1.1 200 OK\r\nX Odd: a\r\nContent-Length: 2\r\n\r\nok"})
	for range 5 {
		for _, path := range []string{"two", "fine", "odd"} {
			got := raw(t, h, "GET /user/bo/"+path+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			if !strings.HasSuffix(got, "\r\n\r\nok") || strings.Contains(got, "SECOND") || strings.Contains(got, "Odd") {
				t.Errorf("%s: %q", path, got)
			}
		}
	}
	t.Logf("%d malformed answers were answered for", len(answers))
}

func TestConfine_earlyHints(t *testing.T) {
	h := open(t)
	h.target("/user/al", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.Header().Set("Set-Cookie", "a=b; Path=/")
		w.WriteHeader(http.StatusEarlyHints)
		fmt.Fprint(w, "body")
	}))
	got := raw(t, h, "GET /user/al/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	early, final, _ := strings.Cut(got, "\r\n\r\n")
	if early != "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload" || !strings.HasPrefix(final, "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(final, "body") {
		t.Errorf("%q", got)
	}
}
