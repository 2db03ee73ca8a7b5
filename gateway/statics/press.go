package statics

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

const (
	pressLevel   = 6
	pressLeast   = 600      // bytes; below, the packets are the same
	pressMost    = 4 << 20  // bytes of one answer; larger ones pass as they are
	pressPerPath = 6 << 20  // bytes of a path's answers that are being collected
	pressTotal   = 24 << 20 // bytes of all
	pressAtOnce  = 2        // compressions; more would only share the cores
)

// Press compresses answers on their way. An answer is collected whole first, so one
// without a known length, a stream, is never touched; and a client that reads slowly
// holds nothing but its own bytes. Make one with [NewPress].
type Press struct {
	turns   chan struct{}
	writers sync.Pool

	mu    sync.Mutex
	total int
	paths map[string]int // bytes that are being collected, by path of the route
}

// NewPress makes a press.
func NewPress() *Press {
	p := &Press{turns: make(chan struct{}, pressAtOnce), paths: map[string]int{}}
	p.writers.New = func() any {
		w, _ := gzip.NewWriterLevel(nil, pressLevel) // the level is one
		return w
	}
	return p
}

// Wrap gives a writer that compresses the answer to r if that is worth it and r's
// sender takes it; call done when the answer is complete. path is whose answer it is:
// what one path's answers may hold is limited. An answer to a page of another site is
// left as it is: its size could tell that page what is in it.
func (p *Press) Wrap(w http.ResponseWriter, r *http.Request, path string) (to http.ResponseWriter, done func()) {
	if r.Method != http.MethodGet || r.Header.Get("Sec-Fetch-Site") == "cross-site" ||
		choose(r.Header["Accept-Encoding"], 1<<gzipCoding) != gzipCoding {
		return w, func() {}
	}
	x := &pressing{ResponseWriter: w, press: p, path: path}
	return x, x.done
}

// pressing is one answer. want is 0 until its head is known, and for one that passes.
type pressing struct {
	http.ResponseWriter
	press *Press
	path  string
	head  bool
	want  int // bytes of the body
	body  []byte
}

// Unwrap lets http.ResponseController reach what is beneath.
func (x *pressing) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// FlushError sends what was written, unless it is being collected.
func (x *pressing) FlushError() error {
	if x.want > 0 {
		return nil
	}
	return http.NewResponseController(x.ResponseWriter).Flush()
}

// WriteHeader decides about the answer.
func (x *pressing) WriteHeader(status int) {
	if x.head || status < 200 {
		x.ResponseWriter.WriteHeader(status)
		return
	}
	x.head = true
	if n := worth(status, x.Header()); n > 0 && x.press.take(x.path, n) {
		x.want, x.body = n, make([]byte, 0, n)
		return
	}
	x.ResponseWriter.WriteHeader(status)
}

var errTooLong = errors.New("cannot compress an answer that is longer than it says")

// Write collects or passes on.
func (x *pressing) Write(b []byte) (int, error) {
	if !x.head {
		x.WriteHeader(http.StatusOK)
	}
	if x.want == 0 {
		return x.ResponseWriter.Write(b)
	}
	if len(x.body)+len(b) > x.want {
		return 0, errTooLong
	}
	x.body = append(x.body, b...)
	return len(b), nil
}

// done compresses and sends what was collected. An answer that broke off breaks off
// here too: nothing of it was sent.
func (x *pressing) done() {
	if x.want == 0 {
		return
	}
	defer x.press.give(x.path, x.want)
	if len(x.body) != x.want {
		panic(http.ErrAbortHandler)
	}
	out, h := x.body, x.Header()
	if b, err := x.press.squeeze(x.body); err == nil && len(b) < len(x.body) {
		out = b
		h.Set("Content-Encoding", gzipCoding.String())
		h.Set("Content-Length", strconv.Itoa(len(out)))
		h.Add("Vary", "Accept-Encoding")
		h.Del("Accept-Ranges")
		if tag := h.Get("ETag"); tag != "" && !strings.HasPrefix(tag, "W/") {
			h.Set("ETag", "W/"+tag) // the same content in other bytes
		}
	}
	x.body = nil
	x.ResponseWriter.WriteHeader(http.StatusOK)
	_, _ = x.ResponseWriter.Write(out)
}

// worth is the length of an answer that is to be compressed, 0 for others.
func worth(status int, h http.Header) int {
	if status != http.StatusOK || h.Get("Content-Encoding") != "" || h.Get("Content-Range") != "" ||
		h.Get("Content-Disposition") != "" || strings.Contains(h.Get("Cache-Control"), "no-transform") {
		return 0
	}
	n, err := strconv.Atoi(h.Get("Content-Length"))
	if err != nil || n < pressLeast || n > pressMost || !textual(h.Get("Content-Type")) {
		return 0
	}
	return n
}

// textual tells whether compressing gains something for a content type.
func textual(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch kind {
	case "application/json", "application/javascript", "text/javascript", "text/css", "text/html", "text/plain",
		"image/svg+xml", "image/vnd.microsoft.icon", "image/x-icon", "font/ttf", "application/vnd.ms-fontobject",
		"application/manifest+json":
		return true
	}
	return false
}

// squeeze compresses b, at most a few at a time.
func (p *Press) squeeze(b []byte) ([]byte, error) {
	p.turns <- struct{}{}
	defer func() { <-p.turns }()
	w, ok := p.writers.Get().(*gzip.Writer)
	if !ok {
		return nil, errors.New("cannot compress: no writer")
	}
	defer p.writers.Put(w)
	out := bytes.NewBuffer(make([]byte, 0, len(b)/3))
	w.Reset(out)
	if _, err := w.Write(b); err != nil {
		return nil, fmt.Errorf("cannot compress: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("cannot compress: %w", err)
	}
	return out.Bytes(), nil
}

// take reserves n bytes for an answer of path, false when there is no room.
func (p *Press) take(path string, n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.total+n > pressTotal || p.paths[path]+n > pressPerPath {
		return false
	}
	p.total += n
	p.paths[path] += n
	return true
}

func (p *Press) give(path string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total -= n
	if p.paths[path] -= n; p.paths[path] == 0 {
		delete(p.paths, path)
	}
}
