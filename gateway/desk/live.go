package desk

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/conjuring/conjured/gateway/session"
)

const (
	maxStreams   = 64 // of all teachers
	maxOfSession = 6
	breathe      = 15 * time.Second // so that a browser that is gone is noticed
	askAgain     = 10 * time.Second // whether the watcher still is a teacher
	writeLimit   = 20 * time.Second
)

// streams counts who watches.
type streams struct {
	mu        sync.Mutex
	all       int
	bySession map[string]int
}

func (s *streams) enter(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= maxStreams || s.bySession[id] >= maxOfSession {
		return false
	}
	s.all++
	s.bySession[id]++
	return true
}

func (s *streams) leave(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.bySession[id]--; s.bySession[id] == 0 {
		delete(s.bySession, id)
	}
}

// parts is one message of the stream: what changed since the one before.
type parts struct {
	Set   map[string]string `json:"set,omitempty"`   // HTML by id
	Order []string          `json:"order,omitempty"` // all rows that are shown, when that changed
	None  bool              `json:"none,omitempty"`  // no row is shown; Order is empty
}

// watcher is what one browser has been told.
type watcher struct {
	desk   *Desk
	filter filter
	sent   map[string]string
	order  []string
	began  bool
	wrote  time.Time
	has    string // the mark of what the page was made with; "" for nothing, or no longer
}

// news compares a scene with what was told.
func (v *watcher) news(s *scene) (p parts, any bool) {
	b := bodyOf(s, v.filter)
	p.Set = map[string]string{}
	now := map[string]string{
		"counts": v.desk.part("counts", b.Counts), "tabs": v.desk.part("tabs", b), "lesson": v.desk.part("lesson", b.Lesson),
		"notices": v.desk.part("notices", b.Notices), "work": v.desk.part("work", b.Work),
		"packages": v.desk.part("packages", b.Packages),
	}
	var order []string
	for _, r := range b.Rows {
		now[r.words.ID] = r.html
		order = append(order, r.words.ID)
	}
	for id, html := range now {
		if v.sent[id] != html {
			p.Set[id] = html
		}
	}
	if !v.began || !slices.Equal(order, v.order) {
		p.Order, p.None = order, len(order) == 0
		any = true
	}
	v.sent, v.order, v.began = now, order, true
	return p, any || len(p.Set) > 0
}

// stream sends a teacher's page what changes on it, until one of them goes.
func (d *Desk) stream(w http.ResponseWriter, r *http.Request, e *session.Session) {
	if !d.streams.enter(e.ID()) {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many watchers", http.StatusServiceUnavailable)
		return
	}
	defer d.streams.leave(e.ID())
	defer d.room.watch()()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	v := &watcher{desk: d, filter: filterOf(r)}
	if r.Header.Get("Last-Event-ID") == "" { // else the page has changed since it was made
		v.has = r.FormValue("have")
	}
	asked, pulse := time.Now(), time.NewTicker(askAgain/2)
	defer pulse.Stop()
	for {
		s, changed := d.room.scene()
		if !v.tell(w, s) {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-d.closing:
			return
		case <-changed:
		case <-pulse.C:
		}
		if time.Since(asked) > askAgain {
			now, err := d.config.Sessions.Again(r.Context(), e)
			if err != nil || !now.Admin {
				return
			}
			asked = time.Now()
		}
	}
}

// mark names all that was told, so that a page that was just made is not sent again.
func (v *watcher) mark() string {
	h := sha256.New()
	for _, id := range slices.Sorted(maps.Keys(v.sent)) {
		h.Write([]byte(id + "\x00" + v.sent[id] + "\x00"))
	}
	h.Write([]byte(strings.Join(v.order, " ")))
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// tell sends what is new in s, or a sign of life after a while; false when nobody
// takes it.
func (v *watcher) tell(w http.ResponseWriter, s *scene) bool {
	text := ""
	defer func() { v.has = "" }()
	if p, any := v.news(s); any && v.mark() != v.has {
		data, err := json.Marshal(p)
		if err != nil {
			return false
		}
		text = fmt.Sprintf("id: 1\nevent: parts\ndata: %s\n\n", data)
	} else if time.Since(v.wrote) > breathe {
		text = ": \n\n"
	}
	if text == "" {
		return true
	}
	v.wrote = time.Now()
	return send(w, text)
}

// send writes to a browser that must not take for ever to read.
func send(w http.ResponseWriter, text string) bool {
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Now().Add(writeLimit)) // where it can be set
	if _, err := w.Write([]byte(text)); err != nil {
		return false
	}
	return c.Flush() == nil
}
