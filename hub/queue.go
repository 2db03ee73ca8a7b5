package hub

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// queue lets a few starts run at once: thirty students who log in together would
// otherwise starve each other and all be late. Somebody who waits before a browser
// goes before a server that is started ahead, a student's first server before
// anybody's second, and then who came first.
type queue struct {
	mu      sync.Mutex
	slots   int
	busy    map[*turn]time.Time // who has a turn, since when
	waiting []*turn             // in order
	pace    pace
}

// turn is one start in the queue.
type turn struct {
	user    string
	ahead   bool      // nobody waits for it
	nth     int       // of the user's starts: 0 for the first
	arrived time.Time // when it was first asked for
	ready   chan struct{}
	say     func(spot)
	last    spot
}

// spot is where a turn stands.
type spot struct {
	place, of int           // 1 is next
	wait      time.Duration // until it is ready, by what the last ones took; 0 when not known
}

func newQueue(n int) *queue {
	return &queue{slots: max(n, 1), busy: map[*turn]time.Time{}}
}

// enter waits for a turn and tells t.say where it stands, each time that changes.
// leave ends the turn, and says whether its time is a measure for those to come. The
// error is ctx's.
func (q *queue) enter(ctx context.Context, t *turn) (leave func(measure bool), err error) {
	t.ready = make(chan struct{})
	q.mu.Lock()
	for _, w := range q.waiting {
		if w.user == t.user {
			t.nth++
		}
	}
	for b := range q.busy {
		if b.user == t.user {
			t.nth++
		}
	}
	q.waiting = append(q.waiting, t)
	q.sort()
	q.admit()
	q.tell()
	q.mu.Unlock()
	select {
	case <-t.ready:
		return func(measure bool) { q.leave(t, measure) }, nil
	case <-ctx.Done():
		q.leave(t, false)
		return nil, ctx.Err()
	}
}

// promote puts the starts of a user, who waits before a browser now, among those of
// other people.
func (q *queue) promote(user string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	changed := false
	for _, t := range q.waiting {
		if t.user == user && t.ahead {
			t.ahead, changed = false, true
		}
	}
	for t := range q.busy {
		if t.user == user {
			t.ahead = false
		}
	}
	if changed {
		q.sort()
		q.tell()
	}
}

// isAhead tells whether nobody waits for t.
func (q *queue) isAhead(t *turn) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return t.ahead
}

func (q *queue) sort() {
	slices.SortStableFunc(q.waiting, func(a, b *turn) int {
		if a.ahead != b.ahead {
			return order(b.ahead)
		}
		return cmp.Or(cmp.Compare(a.nth, b.nth), a.arrived.Compare(b.arrived))
	})
}

// order puts what is true last.
func order(bIsLast bool) int {
	if bIsLast {
		return -1
	}
	return 1
}

// admit gives turns as long as there are some.
func (q *queue) admit() {
	for len(q.waiting) > 0 && len(q.busy) < q.slots {
		t := q.waiting[0]
		q.waiting = q.waiting[1:]
		q.busy[t] = time.Now()
		close(t.ready)
	}
}

// leave takes t out, whether it has its turn or waits.
func (q *queue) leave(t *turn, measure bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if since, ok := q.busy[t]; ok {
		delete(q.busy, t)
		if measure {
			q.pace.took(time.Since(since))
		}
	}
	q.waiting = slices.DeleteFunc(q.waiting, func(w *turn) bool { return w == t })
	q.admit()
	q.tell()
}

// tell tells everybody whose spot has changed.
func (q *queue) tell() {
	waits := q.pace.waits(q.slots, q.running(), len(q.waiting))
	for i, t := range q.waiting {
		s := spot{i + 1, len(q.waiting), waits[i]}
		if s != t.last && t.say != nil {
			t.last = s
			t.say(s)
		}
	}
}

// running is how long each one that has a turn has had it.
func (q *queue) running() []time.Duration {
	var l []time.Duration
	for _, since := range q.busy {
		l = append(l, time.Since(since))
	}
	return l
}

// lasts is how long it takes until n more than those in the queue are ready.
func (q *queue) lasts(n int) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = max(n-len(q.busy), 1)
	return q.pace.waits(q.slots, q.running(), n)[n-1]
}
