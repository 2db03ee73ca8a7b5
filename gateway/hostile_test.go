package gateway

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// hidden is a second request that must never reach a target.
const hidden = "GET /evil HTTP/1.1\r\nHost: h\r\n\r\n"

// hostile are requests that no browser sends, by what is wrong with them. Each gets one
// answer with one of the given statuses and then an end, and no target sees it.
var hostile = []struct{ name, request, statuses string }{
	// A body of unclear length.
	{"length beside chunks", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, "400"},
	{"chunks beside length", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 40\r\n\r\n0\r\n\r\n" + hidden, "400"},
	{"chunks beside a length of 0", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, "400"},
	{"two lengths", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 31\r\n\r\n" + hidden, "400"},
	{"twice the same length", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 31\r\nContent-Length: 31\r\n\r\n" + hidden, "400"},
	{"a list of lengths", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 31, 31\r\n\r\n" + hidden, "400"},
	{"length with a sign", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: +31\r\n\r\n" + hidden, "400"},
	{"negative length", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: -31\r\n\r\n" + hidden, "400"},
	{"length in hexadecimal", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0x1f\r\n\r\n" + hidden, "400"},
	{"length with an underscore", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3_1\r\n\r\n" + hidden, "400"},
	{"empty length", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n" + hidden, "400"},
	{"length that overflows", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551647\r\n\r\n" + hidden, "400"},
	{"length with a space inside", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3 1\r\n\r\n" + hidden, "400"},
	{"space before the colon", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length : 31\r\n\r\n" + hidden, "400"},
	{"tab before the colon", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n" + hidden, "400"},
	// Transfer-Encoding other than one "chunked".
	{"unknown encoding", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + hidden, "400 501"},
	{"identity", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n" + hidden, "400 501"},
	{"gzip, chunked", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + hidden, "400 501"},
	{"chunked, identity", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + hidden, "400 501"},
	{"chunked twice", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, "400"},
	{"chunked in quotes", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" + hidden, "400 501"},
	{"chunked behind a vertical tab", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\vchunked\r\n\r\n0\r\n\r\n" + hidden, "400"},
	{"chunks in HTTP/1.0", "POST /x HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, "400"},
	{"empty encoding", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n\r\n" + hidden, "400 501"},
	// Chunks.
	{"chunk size with a sign", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n" + hidden, "400"},
	{"chunk size with 0x", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n" + hidden, "400"},
	{"chunk size that overflows", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000001\r\na\r\n0\r\n\r\n" + hidden, "400"},
	{"no chunk size", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\r\na\r\n0\r\n\r\n" + hidden, "400"},
	{"chunk line with a bare line feed", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n" + hidden, "400"},
	{"chunk longer than it says", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\naGET\r\n0\r\n\r\n" + hidden, "400"},
	{"endless chunk extension", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("x", 8<<10) + "\r\na\r\n0\r\n\r\n" + hidden, "400"},
	{"length as a trailer", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 31\r\n\r\n" + hidden, "400"},
	{"encoding as a trailer", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n" + hidden, "400"},
	{"malformed trailer", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nnothing\r\n\r\n" + hidden, "400"},
	// Lines.
	{"folded header", "GET /x HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n" + hidden, "400"},
	{"folded length", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n 31\r\n\r\n" + hidden, "400"},
	{"folded encoding", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n\tchunked\r\n\r\n0\r\n\r\n" + hidden, "400"},
	{"first header folded", "GET /x HTTP/1.1\r\n Host: h\r\nHost: h\r\n\r\n" + hidden, "400"},
	{"bare carriage return in a value", "GET /x HTTP/1.1\r\nHost: h\r\nX: a\rContent-Length: 31\r\n\r\n" + hidden, "400"},
	{"bare carriage return in a name", "GET /x HTTP/1.1\r\nHost: h\r\nX\rY: a\r\n\r\n" + hidden, "400"},
	{"two carriage returns", "GET /x HTTP/1.1\r\nHost: h\r\r\n\r\n" + hidden, "400"},
	{"bare line feeds", "GET /x HTTP/1.1\nHost: h\n\n" + hidden, "400"},
	{"one bare line feed", "GET /x HTTP/1.1\r\nHost: h\r\nX: a\nContent-Length: 31\r\n\r\n" + hidden, "400"},
	{"head ended by bare line feeds", "GET /x HTTP/1.1\r\nHost: h\r\nX: a\n\n" + hidden, "400"},
	{"NUL in a value", "GET /x HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n" + hidden, "400"},
	{"NUL in a name", "GET /x HTTP/1.1\r\nHost: h\r\nX\x00: a\r\n\r\n" + hidden, "400"},
	{"NUL in the path", "GET /x\x00 HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, "400"},
	{"escape character in a value", "GET /x HTTP/1.1\r\nHost: h\r\nX: \x1b[31m\r\n\r\n" + hidden, "400"},
	{"no colon", "GET /x HTTP/1.1\r\nHost: h\r\nnothing\r\n\r\n" + hidden, "400"},
	{"empty name", "GET /x HTTP/1.1\r\nHost: h\r\n: a\r\n\r\n" + hidden, "400"},
	{"name in quotes", "GET /x HTTP/1.1\r\nHost: h\r\n\"X\": a\r\n\r\n" + hidden, "400"},
	{"name with high bytes", "GET /x HTTP/1.1\r\nHost: h\r\nX\xc3\xbc: a\r\n\r\n" + hidden, "400"},
	// Request lines.
	{"no version", "GET /x\r\nHost: h\r\n\r\n" + hidden, "400"},
	{"HTTP/0.9", "GET /x HTTP/0.9\r\nHost: h\r\n\r\n" + hidden, "400 505"},
	{"HTTP/2.0", "GET /x HTTP/2.0\r\nHost: h\r\n\r\n" + hidden, "400 505"},
	{"preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + hidden, "400 505"},
	{"version in small letters", "GET /x http/1.1\r\nHost: h\r\n\r\n" + hidden, "400"},
	{"two spaces", "GET  /x HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, "400"},
	{"tab as space", "GET\t/x\tHTTP/1.1\r\nHost: h\r\n\r\n" + hidden, "400"},
	{"space in the path", "GET /x y HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, "400"},
	{"space behind the version", "GET /x HTTP/1.1 \r\nHost: h\r\n\r\n" + hidden, "400"},
	{"method of odd characters", "G(ET /x HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, "400"},
	{"no path", "GET HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, "400"},
	{"path without a slash", "GET x HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, "400"},
	{"bad escape", "GET /% HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, "400"},
	{"huge request line", "GET /" + strings.Repeat("x", 20<<10) + " HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, "400 414 431"},
	// Hosts and forms.
	{"no host", "GET /x HTTP/1.1\r\n\r\n" + hidden, "400"},
	{"two hosts", "GET /x HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n" + hidden, "400"},
	{"host with a path", "GET /x HTTP/1.1\r\nHost: h/../i\r\n\r\n" + hidden, "400"},
	{"host with a space", "GET /x HTTP/1.1\r\nHost: h i\r\n\r\n" + hidden, "400"},
	{"authority form", "GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n" + hidden, "400"},
	{"CONNECT", "CONNECT h:80 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "405"},
	{"CONNECT with a path", "CONNECT /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "400 405"},
	{"TRACE", "TRACE /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "405"},
	{"unknown expectation", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 31\r\nExpect: tea\r\nConnection: close\r\n\r\n" + hidden, "417"},
	// Floods.
	{"many headers", "GET /x HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("X: a\r\n", 500) + "\r\n" + hidden, "400 431"},
	{"a long header", "GET /x HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 80<<10) + "\r\n\r\n", "400 431"},
	{"a head without end", "GET /x HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("X: "+strings.Repeat("x", 1<<10)+"\r\n", 100), "400 431"},
	{"many trailers", "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("X: a\r\n", 500) + "\r\n" + hidden, "400 431"},
	// TLS and other protocols on this port.
	{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"},
	{"SSH", "SSH-2.0-OpenSSH_9.2\r\n\r\n", "400"},
}

// Whatever is hidden in a request, one answer comes and no target sees what is hidden.
func TestHostile(t *testing.T) {
	h := open(t)
	h.target("/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			t.Errorf("%s %s reached the target whole: %v", r.Method, r.RequestURI, r.Header)
		}
	}))
	for _, c := range hostile {
		for _, pieces := range []int{1, 2, 3} {
			got := inPieces(t, h, c.request, pieces)
			status, _, _ := strings.Cut(strings.TrimPrefix(got, "HTTP/1.1 "), " ")
			if status == "" || !strings.Contains(c.statuses, status) || strings.Count(got, "HTTP/1.1 ") != 1 {
				t.Errorf("%s, in %d pieces: %.200q, want %s", c.name, pieces, got, c.statuses)
			}
		}
	}
	t.Logf("%d hostile requests were refused, each whole and cut in two and three", len(hostile))
}

// inPieces sends a request in so many writes and returns all that comes back.
func inPieces(t *testing.T, h *house, request string, pieces int) string {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	for i := range pieces {
		part := request[len(request)*i/pieces : len(request)*(i+1)/pieces]
		if _, err := io.WriteString(c, part); err != nil {
			break // it was refused already
		}
	}
	b, _ := io.ReadAll(c)
	return string(b)
}

// Odd but proper requests arrive, one at the target for one from the browser.
func TestHostile_properOnes(t *testing.T) {
	h := open(t)
	h.target("/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "<%s %s %s %d>", r.Method, r.Host, r.RequestURI, len(b))
	}))
	for request, want := range map[string]string{
		"GET http://elsewhere.example/a?b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n": "<GET elsewhere.example /a?b 0>",
		"GET /a HTTP/1.0\r\n\r\n": "<GET  /a 0>",
		"GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n":                                                                                          "<GET h /a 0><GET h /b 0>",
		"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\n00\r\nX: y\r\n\r\nPOST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab": "<POST h /a 3><POST h /b 2>",
		"PUT /a HTTP/1.1\r\nhOST: h\r\ncontent-length: 40000\r\n\r\n" + strings.Repeat("x", 40000) + "DELETE /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n":                            "<PUT h /a 40000><DELETE h /b 0>",
		"GET /a HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings, close\r\nHTTP2-Settings: AAA\r\n\r\n":                                                            "<GET h /a 0>",
		"OPTIONS /a HTTP/1.1\r\nHost: h\r\nX: \xff\ttab\r\nConnection: close\r\n\r\n":                                                                                                        "<OPTIONS h /a 0>",
	} {
		for _, pieces := range []int{1, 7} {
			got := inPieces(t, h, request, pieces)
			var bodies strings.Builder
			for _, part := range strings.Split(got, "\r\n\r\n")[1:] {
				body, _, _ := strings.Cut(part, "HTTP/1.1 ")
				bodies.WriteString(body)
			}
			if bodies.String() != want {
				t.Errorf("%.80q: %q, want %q", request, got, want)
			}
		}
	}
}

// Behind a request that could have become a websocket nothing is taken any more.
func TestHostile_declinedUpgrade(t *testing.T) {
	h := open(t)
	h.target("/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/evil" {
			t.Error("a request behind a declined upgrade reached the target")
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	ask := "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	for _, request := range []string{ask + hidden, strings.Replace(ask, "Connection: Upgrade\r\n", "", 1) + hidden, strings.Replace(ask, "GET", "POST", 1) + hidden} {
		if got := inPieces(t, h, request, 1); !strings.HasPrefix(got, "HTTP/1.1 403 ") || strings.Count(got, "HTTP/1.1 ") != 1 {
			t.Errorf("%q: %q", request, got)
		}
	}
}
