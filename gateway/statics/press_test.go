package statics

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// through is what a browser gets of an answer that goes through the press.
func through(t *testing.T, p *Press, answer http.HandlerFunc, header ...string) (*http.Response, []byte) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to, done := p.Wrap(w, r, "/user/amira")
		defer done()
		answer(to, r)
	}))
	defer srv.Close()
	r, _ := http.NewRequest(http.MethodGet, srv.URL, nil)
	r.Header.Set("Accept-Encoding", "gzip")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, nil
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, nil
	}
	return res, b
}

func says(status int, body []byte, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write(body[len(body)/2:])
	}
}

func TestPress(t *testing.T) {
	p, body := NewPress(), script(20_000, 3)
	res, got := through(t, p, says(200, body, "ETag", `"abc"`))
	h := res.Header
	if h.Get("Content-Encoding") != "gzip" || h.Get("ETag") != `W/"abc"` || h.Get("Vary") != "Accept-Encoding" || int64(len(got)) != res.ContentLength {
		t.Errorf("%v, %d bytes", h, len(got))
	}
	res.Body = io.NopCloser(bytes.NewReader(got))
	if !bytes.Equal(plain(t, res), body) {
		t.Error("another body")
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		header []string
	}{
		"no length": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(body)
		}, nil},
		"an event stream":   {says(200, body, "Content-Type", "text/event-stream"), nil},
		"a picture":         {says(200, body, "Content-Type", "image/png"), nil},
		"a download":        {says(200, body, "Content-Disposition", "attachment"), nil},
		"coded already":     {says(200, body, "Content-Encoding", "x-own"), nil},
		"not to be changed": {says(200, body, "Cache-Control", "no-store, no-transform"), nil},
		"an error":          {says(403, body), nil},
		"a range":           {says(206, body, "Content-Range", "bytes 0-1/2"), nil},
		"small":             {says(200, body[:pressLeast-1]), nil},
		"nothing taken":     {says(200, body), []string{"Accept-Encoding", "deflate"}},
		"gzip refused":      {says(200, body), []string{"Accept-Encoding", "gzip;q=0"}},
		"another site's":    {says(200, body), []string{"Sec-Fetch-Site", "cross-site"}},
	} {
		res, got := through(t, p, c.answer, c.header...)
		if res == nil || res.Header.Get("Content-Encoding") == "gzip" || strings.Contains(res.Header.Get("Vary"), "Accept") || !bytes.HasPrefix(body, got) || len(got) < pressLeast-1 {
			t.Errorf("%s: %v", name, res)
		}
	}
	if p.total != 0 || len(p.paths) != 0 {
		t.Errorf("%d bytes are still held", p.total)
	}
}

// An answer that breaks off breaks off for the browser too, and gives its room back.
func TestPress_broken(t *testing.T) {
	p, body := NewPress(), script(20_000, 3)
	res, _ := through(t, p, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body[:1000])
		panic(http.ErrAbortHandler)
	})
	if res != nil {
		t.Errorf("the browser takes it for whole: %v", res)
	}
	if p.total != 0 {
		t.Errorf("%d bytes are still held", p.total)
	}
}

// One student's answers cannot take the room of the others.
func TestPress_room(t *testing.T) {
	p := NewPress()
	n := 0
	for p.take("/user/mallory", pressMost/2) {
		n++
	}
	if n*pressMost/2 > pressPerPath {
		t.Errorf("%d bytes for one path", n*pressMost/2)
	}
	if !p.take("/user/amira", pressMost) {
		t.Error("there is no room for the neighbour")
	}
	for i := range 100 {
		p.take(fmt.Sprint("/user/", i), pressMost)
	}
	if p.total > pressTotal {
		t.Errorf("%d bytes in all", p.total)
	}
	if res, got := through(t, p, says(200, script(pressMost, 1))); res == nil || res.Header.Get("Content-Encoding") != "" || len(got) != pressMost {
		t.Error("without room an answer does not pass as it is")
	}
}

func BenchmarkPress(b *testing.B) {
	p, body := NewPress(), script(156_000, 3)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Encoding", "gzip")
		w, done := p.Wrap(httptest.NewRecorder(), r, "/user/amira")
		says(200, body)(w, r)
		done()
	}
}
