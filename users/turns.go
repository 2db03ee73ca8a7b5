package users

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"
)

const (
	mostWaiting = 96 // of one address; a class behind one router is less
	mostSlow    = 8  // of one address that is served last
	restFactor  = 3  // those served last leave the processor free this much longer than they take
)

// errCrowded means that too many tries of one address wait already.
var errCrowded = errors.New("too many tries from this address at once")

// turns decides whose password is looked at next. Addresses take turns, so that one
// that sends hundreds of tries delays the others by one of its own at most. Within
// an address, accounts that are used from there come first. An address that has
// tried many names is served last: one of them at a time, with rests, so that
// guessing cannot take the processor from the students' kernels.
//
// Safe for concurrent use.
type turns struct {
	atOnce int

	mu      sync.Mutex
	busy    int
	slow    bool // one of those served last is busy or resting
	normal  ring
	crowded ring
}

// turn is a try that waits.
type turn struct {
	from  netip.Prefix
	usual bool
	ready chan struct{}
}

// take waits for a turn. The caller calls done at the end; on an error there is none.
func (t *turns) take(ctx context.Context, from netip.Prefix, a admission) (done func(), err error) {
	w := &turn{from, a.usual, make(chan struct{})}
	t.mu.Lock()
	r, limit := &t.normal, mostWaiting
	if a.sprayed {
		r, limit = &t.crowded, mostSlow
	}
	if r.waiting(w.from) >= limit && !a.usual {
		t.mu.Unlock()
		return nil, errCrowded
	}
	r.add(w)
	t.next()
	t.mu.Unlock()
	select {
	case <-w.ready:
	case <-ctx.Done():
		t.mu.Lock()
		defer t.mu.Unlock()
		if r.drop(w) {
			return nil, ctx.Err()
		}
		<-w.ready // it came at the same moment
		t.end(a.sprayed, 0)
		return nil, ctx.Err()
	}
	began := time.Now()
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.end(a.sprayed, time.Since(began))
	}, nil
}

// end gives a place back; t.mu is held.
func (t *turns) end(slow bool, took time.Duration) {
	t.busy--
	if slow {
		time.AfterFunc(restFactor*took, func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.slow = false
			t.next()
		})
	}
	t.next()
}

// next lets in whom there is a place for; t.mu is held.
func (t *turns) next() {
	for t.busy < t.atOnce {
		w := t.normal.pop()
		if w == nil && !t.slow {
			w = t.crowded.pop()
			t.slow = w != nil
		}
		if w == nil {
			return
		}
		t.busy++
		close(w.ready)
	}
}

// ring is a queue in which addresses take turns.
type ring struct {
	order []netip.Prefix // those with somebody waiting, the next one first
	lines map[netip.Prefix][]*turn
}

func (r *ring) waiting(from netip.Prefix) int { return len(r.lines[from]) }

// add puts w behind those of its address, or before the first that is not usual.
func (r *ring) add(w *turn) {
	if r.lines == nil {
		r.lines = map[netip.Prefix][]*turn{}
	}
	l := r.lines[w.from]
	if len(l) == 0 {
		r.order = append(r.order, w.from)
	}
	at := len(l)
	for w.usual && at > 0 && !l[at-1].usual {
		at--
	}
	l = append(l, nil)
	copy(l[at+1:], l[at:])
	l[at] = w
	r.lines[w.from] = l
}

// pop takes the next one, nil when nobody waits.
func (r *ring) pop() *turn {
	if len(r.order) == 0 {
		return nil
	}
	from := r.order[0]
	r.order = r.order[1:]
	l := r.lines[from]
	w := l[0]
	if len(l) == 1 {
		delete(r.lines, from)
	} else {
		r.lines[from] = l[1:]
		r.order = append(r.order, from)
	}
	return w
}

// drop takes out one that does not wait any more; false when it had its turn.
func (r *ring) drop(w *turn) bool {
	l := r.lines[w.from]
	for i, o := range l {
		if o != w {
			continue
		}
		if len(l) > 1 {
			r.lines[w.from] = append(l[:i:i], l[i+1:]...)
			return true
		}
		delete(r.lines, w.from)
		for j, from := range r.order {
			if from == w.from {
				r.order = append(r.order[:j:j], r.order[j+1:]...)
				break
			}
		}
		return true
	}
	return false
}
