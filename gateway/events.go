package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/notice"
)

const (
	lookEvery  = time.Second            // at the phase
	breathe    = 15 * time.Second       // so that a dead browser is noticed
	writeEvery = 150 * time.Millisecond // at most, per watcher
)

// state is what /conjured/health answers and what the stream's "state" events hold.
type state struct {
	Class   string          `json:"class"`
	Phase   api.Phase       `json:"phase"`
	Ready   bool            `json:"ready"`
	Since   time.Time       `json:"since,omitzero"`
	Notices []notice.Notice `json:"notices"`
}

func (d *door) state() state {
	about, phase := d.config.Class.About(), d.phase()
	notices := about.Notices
	if notices == nil {
		notices = []notice.Notice{}
	}
	return state{Class: about.title(), Phase: phase, Ready: phase.Ready(), Since: about.Since, Notices: notices}
}

func (d *door) phase() api.Phase {
	if p := d.config.Class.Phase(); p != "" {
		return p
	}
	return api.Preparing
}

// health answers how the class is, always with 200: the front door is well.
func (d *door) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	answerJSON(w, http.StatusOK, d.state())
}

// events streams progress and state as server-sent events until the browser or
// the daemon goes.
func (d *door) events(w http.ResponseWriter, r *http.Request) {
	address, _, _ := net.SplitHostPort(r.RemoteAddr)
	leave, ok := d.feed.watch(address)
	if !ok {
		w.Header().Set("Retry-After", "10")
		answer(w, http.StatusServiceUnavailable, "too many watchers")
		return
	}
	defer leave()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	seen, _ := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 64)
	s := stream{door: d, seen: seen}
	flusher := http.NewResponseController(w)
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		changed := s.collect()
		if s.out.Len() > 0 {
			if _, err := s.out.WriteTo(w); err != nil {
				return
			}
			if err := flusher.Flush(); err != nil {
				return
			}
			s.quiet = time.Now()
		}
		if !s.wait(r.Context(), changed, look.C) {
			return
		}
	}
}

// wait returns when there may be news, not too soon; false when the stream ends.
func (s *stream) wait(ctx context.Context, changed <-chan struct{}, look <-chan time.Time) bool {
	soonest := time.NewTimer(writeEvery)
	defer soonest.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-s.door.draining:
		return false
	case <-soonest.C:
	}
	select {
	case <-ctx.Done():
		return false
	case <-s.door.draining:
		return false
	case <-look:
	case <-changed:
	}
	return true
}

// stream is what one watcher has been told.
type stream struct {
	door  *door
	seen  uint64
	state []byte
	quiet time.Time // when something was written last
	out   bytes.Buffer
}

// collect puts what is new into out and returns a channel for more.
func (s *stream) collect() <-chan struct{} {
	if s.quiet.IsZero() {
		s.out.WriteString("retry: 2000\n\n")
	}
	fresh, changed := s.door.feed.after(s.seen)
	for _, n := range fresh {
		fmt.Fprintf(&s.out, "event: progress\nid: %d\ndata: %s\n\n", n.id, n.data)
		s.seen = n.id
	}
	if now, err := json.Marshal(s.door.state()); err == nil && !bytes.Equal(now, s.state) {
		fmt.Fprintf(&s.out, "event: state\ndata: %s\n\n", now)
		s.state = now
	}
	if s.out.Len() == 0 && time.Since(s.quiet) > breathe {
		s.out.WriteString(": \n\n")
	}
	return changed
}
