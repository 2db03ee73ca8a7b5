package gateway

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/conjuring/conjured/progress"
)

const (
	maxJobs       = 32  // shown at once; older ones are forgotten
	maxWatchers   = 512 // of all addresses
	maxPerAddress = 64  // a whole class may sit behind one address of the school
)

// news is the newest event of one job, for everybody: without raw output, which
// may hold names and addresses of the box.
type news struct {
	id    uint64
	event progress.Event
	data  []byte // the event as JSON
}

// feed numbers the events of long work and keeps the newest of each job. A
// watcher asks for what is newer than the last number it saw: nobody can be left
// behind, and a browser that comes back goes on with its Last-Event-ID.
type feed struct {
	mu       sync.Mutex
	jobs     []news // oldest number first
	last     uint64 // starts at the time, so that numbers grow over restarts
	changed  chan struct{}
	watchers map[string]int // by address
	watching int
}

func newFeed() *feed {
	return &feed{
		last:     uint64(time.Now().UnixMicro()),
		changed:  make(chan struct{}),
		watchers: map[string]int{},
	}
}

// follow takes the hub's events until ctx ends.
func (f *feed) follow(ctx context.Context, hub *progress.Hub) {
	live, stop := hub.Watch()
	defer stop()
	for _, e := range hub.Newest() {
		f.add(e)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-live:
			f.add(e)
		}
	}
}

// add notes an event, unless it only brings another line of output.
func (f *feed) add(e progress.Event) {
	e.Line = ""
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.jobs, func(n news) bool { return n.event.Job == e.Job })
	if i >= 0 {
		old := f.jobs[i].event
		old.Time = e.Time
		if old == e {
			return
		}
		f.jobs = slices.Delete(f.jobs, i, i+1)
	} else if len(f.jobs) == maxJobs {
		f.jobs = slices.Delete(f.jobs, 0, 1)
	}
	data, err := json.Marshal(e)
	if err != nil {
		return // a number that is not one; the next event tells more
	}
	f.last++
	f.jobs = append(f.jobs, news{f.last, e, data})
	close(f.changed)
	f.changed = make(chan struct{})
}

// after gives what is newer than id, and a channel that is closed when there is more.
func (f *feed) after(id uint64) ([]news, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.jobs, func(n news) bool { return n.id > id })
	if i < 0 {
		return nil, f.changed
	}
	return slices.Clone(f.jobs[i:]), f.changed
}

// watch admits a watcher from address, unless there are too many.
func (f *feed) watch(address string) (leave func(), ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watching >= maxWatchers || f.watchers[address] >= maxPerAddress {
		return nil, false
	}
	f.watching++
	f.watchers[address]++
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.watching--
		if f.watchers[address]--; f.watchers[address] == 0 {
			delete(f.watchers, address)
		}
	}, true
}
