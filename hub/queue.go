package hub

import (
	"context"
	"sync"
)

// queue lets a few starts run at once, first come first served: thirty students who
// log in together would otherwise starve each other and all be late.
type queue struct {
	mu      sync.Mutex
	free    int
	waiting []*turn
}

type turn struct {
	ready chan struct{}
	place func(int)
}

func newQueue(n int) *queue { return &queue{free: max(n, 1)} }

// enter waits for a turn and tells place, each time it changes, how many are
// before (1 is next). The error is ctx's.
func (q *queue) enter(ctx context.Context, place func(int)) error {
	q.mu.Lock()
	if q.free > 0 && len(q.waiting) == 0 {
		q.free--
		q.mu.Unlock()
		return nil
	}
	t := &turn{ready: make(chan struct{}), place: place}
	q.waiting = append(q.waiting, t)
	place(len(q.waiting))
	q.mu.Unlock()
	select {
	case <-t.ready:
		return nil
	case <-ctx.Done():
		q.give(t)
		return ctx.Err()
	}
}

// give takes t out of the queue, or passes on the turn it was just given.
func (q *queue) give(t *turn) {
	q.mu.Lock()
	for i, w := range q.waiting {
		if w == t {
			q.waiting = append(q.waiting[:i:i], q.waiting[i+1:]...)
			q.tell()
			q.mu.Unlock()
			return
		}
	}
	q.mu.Unlock()
	q.leave()
}

// leave ends a turn.
func (q *queue) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.free++
		return
	}
	close(q.waiting[0].ready)
	q.waiting = q.waiting[1:]
	q.tell()
}

func (q *queue) tell() {
	for i, w := range q.waiting {
		w.place(i + 1)
	}
}
