package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	labFeedPath  = "conjured/events"
	labAuthPath  = "api/me?no_track_activity=1" // answers 200 only to whoever may use the server
	labAuthLimit = 10 * time.Second
)

// labStreams answers <route>/conjured/events, the address from which the page of a
// student's Lab reads its notices, instead of the student's server.
//
// Who may read is the server's own decision: it is asked with the browser's cookies
// for something private. A server that lies can only give away its own notices.
type labStreams struct {
	feed     *Feed
	proxy    *Proxy
	draining <-chan struct{}
}

// theirs is the server whose feed the key k asks for, false when it asks for none.
func (l *labStreams) theirs(rt *route, k string) (seat, bool) {
	if l == nil || l.feed == nil || !strings.HasSuffix(k, labFeedPath) {
		return seat{}, false
	}
	who, ok := strings.CutPrefix(rt.path, "/user/")
	if !ok || k != rt.path[1:]+"/"+labFeedPath {
		return seat{}, false
	}
	user, server, _ := strings.Cut(who, "/")
	return seat{user, server}, true
}

// serve streams a server's notices to one page until the page, the user or the
// daemon goes. Nothing of it counts as activity of the server.
func (l *labStreams) serve(w http.ResponseWriter, r *http.Request, rt *route, s seat) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		answer(w, http.StatusMethodNotAllowed, "this address is only read")
		return
	}
	if status := l.allowed(r, rt); status != http.StatusOK {
		answer(w, status, "the server did not let this page in")
		return
	}
	page, leave, ok := l.feed.read(s)
	if !ok {
		w.Header().Set("Retry-After", "30")
		answer(w, http.StatusServiceUnavailable, "too many pages are open")
		return
	}
	defer leave()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	l.stream(r.Context(), w, page, s, seenBy(r))
}

// seenBy is the number of the last notice that the page has seen.
func seenBy(r *http.Request) uint64 {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("after")
	}
	seen, _ := strconv.ParseUint(text, 10, 64)
	return seen
}

func (l *labStreams) stream(ctx context.Context, w http.ResponseWriter, page *reading, s seat, seen uint64) {
	flusher := http.NewResponseController(w)
	breath := time.NewTicker(breathe)
	defer breath.Stop()
	_, told, _ := l.feed.after(s, seen)
	var out bytes.Buffer
	// Notices up to this number are from before the page was opened. A page that was
	// away compares the number of the kernels with the one it knows.
	fmt.Fprintf(&out, "retry: 3000\n\nevent: hello\ndata: {\"last\":%d,\"kernels\":%d}\n\n", told.last, told.kernels)
	for {
		fresh, now, changed := l.feed.after(s, seen)
		if now.kernels != told.kernels {
			told.kernels = now.kernels
			fmt.Fprintf(&out, "event: kernels\ndata: %d\n\n", now.kernels)
		}
		for _, n := range fresh {
			fmt.Fprintf(&out, "event: notice\nid: %d\ndata: %s\n\n", n.id, n.data)
			seen = n.id
		}
		if out.Len() > 0 {
			if _, err := out.WriteTo(w); err != nil {
				return
			}
			if err := flusher.Flush(); err != nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-l.draining:
			return
		case <-page.ousted:
			return
		case <-breath.C:
			out.WriteString(": \n\n")
		case <-changed:
		}
	}
}

// allowed asks the student's server whether r's sender may read from it: 200, or the
// status to answer.
func (l *labStreams) allowed(r *http.Request, rt *route) int {
	path, _, _ := strings.Cut(rawTarget(r), "?")
	prefix, ok := strings.CutSuffix(path, labFeedPath)
	if !ok {
		return http.StatusNotFound // an unusual spelling of the same path
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return http.StatusForbidden
	}
	ctx, cancel := context.WithTimeout(r.Context(), labAuthLimit)
	defer cancel()
	ask := l.proxy.request(r, rt).WithContext(ctx)
	ask.URL = rt.target.url(prefix + labAuthPath)
	ask.Body, ask.ContentLength = nil, 0
	ask.Header.Set("Accept", "application/json")
	// An EventSource cannot show the XSRF token that the server asks of a script. This
	// question changes nothing, and no other site's page hears the answer.
	ask.Header.Set("Sec-Fetch-Mode", "no-cors")
	ask.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, name := range []string{"Last-Event-Id", "Accept-Encoding", "Range", "If-None-Match", "If-Modified-Since"} {
		ask.Header.Del(name)
	}
	res, err := l.proxy.send(ask, nil)
	if err != nil {
		return http.StatusServiceUnavailable
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, 16<<10) // so that the connection can be used again
	switch {
	case res.StatusCode == http.StatusOK:
		return http.StatusOK
	case res.StatusCode >= 500:
		return http.StatusServiceUnavailable
	}
	return http.StatusForbidden
}
