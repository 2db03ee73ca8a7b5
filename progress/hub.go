package progress

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"
)

const keep = 200 // events remembered per job

// Hub fans events out to any number of watchers and remembers the newest events
// of each job, so that a watcher that comes late sees where things stand.
// The zero Hub is ready to use.
type Hub struct {
	mu       sync.Mutex
	recent   map[string][]Event
	watchers map[chan Event]struct{}
}

// Progress implements [Sink]. It never blocks: a watcher that cannot keep up
// misses events rather than slowing the work.
func (h *Hub) Progress(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.recent == nil {
		h.recent = map[string][]Event{}
	}
	r := append(h.recent[e.Job], e)
	if len(r) > keep {
		r = r[len(r)-keep:]
	}
	h.recent[e.Job] = r
	for w := range h.watchers {
		select {
		case w <- e:
		default:
		}
	}
}

// Newest are the newest events of all jobs, oldest first: where everything stands,
// for a watcher that comes late.
func (h *Hub) Newest() []Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	var l []Event
	for _, r := range h.recent {
		l = append(l, r[len(r)-1])
	}
	slices.SortFunc(l, func(a, b Event) int { return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Job, b.Job)) })
	return l
}

// Recent returns the remembered events of a job, oldest first.
func (h *Hub) Recent(job string) []Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Event(nil), h.recent[job]...)
}

// Watch gives the events to come, of any job. Call stop when done; it closes the
// channel and may be called more than once.
func (h *Hub) Watch() (live <-chan Event, stop func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ch := make(chan Event, keep)
	if h.watchers == nil {
		h.watchers = map[chan Event]struct{}{}
	}
	h.watchers[ch] = struct{}{}
	return ch, sync.OnceFunc(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers, ch)
		close(ch)
	})
}
