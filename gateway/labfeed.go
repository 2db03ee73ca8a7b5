package gateway

import (
	"encoding/json"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/conjuring/conjured/notice"
)

const (
	keptNotices   = 16               // of one server; older ones are forgotten
	keptFor       = 10 * time.Minute // a page that is opened later is not told
	sameAgain     = 30 * time.Second // before the same notice is told again
	maxNoticeText = 1 << 10          // bytes of each sentence
	maxStreams    = 1024             // of all servers
	maxPerServer  = 6                // a seventh page takes the place of the oldest
)

// Feed carries notices to the Lab pages of single students. Telling one never
// blocks, whether or not anybody has a page open. Make one with [NewFeed].
type Feed struct {
	mu      sync.Mutex
	last    uint64 // starts at the time, so that numbers grow over restarts
	servers map[seat]*told
	streams int
	kernels uint64 // changes when other kernels can be started; starts at the time, as last does
}

// seat is one student's server.
type seat struct{ user, server string }

// told is what the pages of one server are told.
type told struct {
	notices []labNotice // oldest first
	changed chan struct{}
	readers []*reading // oldest first
}

// labNotice is one notice as the pages read it.
type labNotice struct {
	id   uint64
	at   time.Time
	n    notice.Notice
	data []byte // JSON
}

// reading is one open page.
type reading struct {
	ousted chan struct{} // closed when a newer page takes its place
}

// NewFeed makes a feed that nobody reads yet. Give it to [Config].
func NewFeed() *Feed {
	now := uint64(time.Now().UnixMicro())
	return &Feed{last: now, kernels: now, servers: map[seat]*told{}}
}

// Kernels has every open page look anew at which kernels there are. A page that is
// closed now, or not looked at, does so when it comes back.
func (f *Feed) Kernels() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kernels++
	for _, t := range f.servers {
		close(t.changed)
		t.changed = make(chan struct{})
	}
}

// Tell shows n in Lab to whoever has the page of this student's server open, now or
// within the next minutes; server is "" for their first one. What, Means and Do are
// shown as plain text. A notice of severity error stays until it is closed. One whose
// Code begins with "server-" says that the server ended, and comes with a button that
// starts it again.
func (f *Feed) Tell(user, server string, n notice.Notice) {
	n.What, n.Means, n.Do = short(n.What), short(n.Means), short(n.Do)
	now := time.Now()
	data, err := json.Marshal(struct {
		notice.Notice
		Time int64 `json:"time"` // Unix ms
	}{n, now.UnixMilli()})
	if err != nil {
		return // a notice is made of strings
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget(now)
	t := f.at(seat{user, server})
	if slices.ContainsFunc(t.notices, func(old labNotice) bool { return old.n == n && now.Sub(old.at) < sameAgain }) {
		return
	}
	if len(t.notices) == keptNotices {
		t.notices = slices.Delete(t.notices, 0, 1)
	}
	f.last++
	t.notices = append(t.notices, labNotice{f.last, now, n, data})
	close(t.changed)
	t.changed = make(chan struct{})
}

// at is what a server is told. The caller holds mu.
func (f *Feed) at(s seat) *told {
	t := f.servers[s]
	if t == nil {
		t = &told{changed: make(chan struct{})}
		f.servers[s] = t
	}
	return t
}

// forget drops what is old, and servers of which nothing is left. The caller holds mu.
func (f *Feed) forget(now time.Time) {
	for s, t := range f.servers {
		t.notices = slices.DeleteFunc(t.notices, func(n labNotice) bool { return now.Sub(n.at) > keptFor })
		if len(t.notices) == 0 && len(t.readers) == 0 {
			delete(f.servers, s)
		}
	}
}

// mark is how far a feed is.
type mark struct {
	last    uint64 // the number of the newest notice of all
	kernels uint64
}

// after gives a server's notices that are newer than id, how far the feed is, and a
// channel that is closed when there is more.
func (f *Feed) after(s seat, id uint64) (fresh []labNotice, now mark, changed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget(time.Now())
	t := f.at(s)
	for _, n := range t.notices {
		if n.id > id {
			fresh = append(fresh, n)
		}
	}
	return fresh, mark{f.last, f.kernels}, t.changed
}

// read admits a page, unless there are too many in all.
func (f *Feed) read(s seat) (r *reading, leave func(), ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.at(s)
	if len(t.readers) == maxPerServer {
		close(t.readers[0].ousted)
		t.readers = slices.Delete(t.readers, 0, 1)
		f.streams--
	}
	if f.streams >= maxStreams {
		return nil, nil, false
	}
	r = &reading{ousted: make(chan struct{})}
	t.readers = append(t.readers, r)
	f.streams++
	return r, func() { f.leave(s, r) }, true
}

func (f *Feed) leave(s seat, r *reading) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.servers[s]
	if t == nil {
		return
	}
	if i := slices.Index(t.readers, r); i >= 0 {
		t.readers = slices.Delete(t.readers, i, i+1)
		f.streams--
	}
}

// short is s, cut at a limit no sentence needs.
func short(s string) string {
	if len(s) <= maxNoticeText {
		return s
	}
	end := maxNoticeText
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
