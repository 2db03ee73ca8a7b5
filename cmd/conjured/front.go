package main

import (
	"sync"
	"time"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/appliance"
	"github.com/conjuring/conjured/gateway"
	"github.com/conjuring/conjured/notice"
)

// front is the class as the front door shows it: a view of the owner's snapshots.
type front struct {
	snapshot func() appliance.Snapshot
	board    *board

	mu    sync.Mutex
	name  string
	phase api.Phase
	since time.Time
}

func (f *front) setName(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.name = name
}

// Phase is asked for each request.
func (f *front) Phase() api.Phase { return phaseOf(f.snapshot()) }

// phaseOf tells in the words of the API how the class is.
func phaseOf(s appliance.Snapshot) api.Phase {
	switch s.Phase {
	case appliance.Serving, appliance.Changing, appliance.Held:
	default:
		return api.Preparing // what is saved about serving is a hint until the world was looked at
	}
	if s.Phase == appliance.Held || s.Fallback || s.ReadOnly {
		return api.Degraded
	}
	return api.Serving
}

// About is what anybody may read.
func (f *front) About() gateway.About {
	s := f.snapshot()
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := phaseOf(s); p != f.phase {
		f.phase, f.since = p, time.Now()
	}
	return gateway.About{Name: f.name, Since: f.since, Notices: worst(noticesOf(s, f.board))}
}

// noticesOf is everything that people should know now, each once.
func noticesOf(s appliance.Snapshot, b *board) notice.List {
	l := b.list()
	seen := map[notice.Notice]bool{}
	for _, n := range l {
		seen[n] = true
	}
	for _, t := range s.Notices {
		if !seen[t.Notice] {
			seen[t.Notice] = true
			l = append(l, t.Notice)
		}
	}
	return l
}

// worst leaves out what is not an error: the waiting page has room for what matters.
func worst(l notice.List) []notice.Notice {
	out := []notice.Notice{}
	for _, n := range l {
		if n.Severity == notice.SeverityError {
			out = append(out, n)
		}
	}
	return out
}
