package hub

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// line is a queue and who came out of it, in order, in virtual time.
type line struct {
	q     *queue
	order []string
	said  map[string][]spot
}

func newLine(slots int) *line {
	return &line{q: newQueue(slots), said: map[string][]spot{}}
}

// join enters and, once it has its turn, takes so long.
func (l *line) join(ctx context.Context, name string, t turn, takes time.Duration) {
	if t.user == "" {
		t.user = name
	}
	if t.arrived.IsZero() {
		t.arrived = time.Now()
	}
	t.say = func(s spot) { l.said[name] = append(l.said[name], s) }
	go func() {
		leave, err := l.q.enter(ctx, &t)
		if err == nil {
			l.order = append(l.order, name)
			time.Sleep(takes)
			leave(true)
		}
	}()
	synctest.Wait()
}

func (l *line) want(t *testing.T, order ...string) {
	t.Helper()
	time.Sleep(time.Hour)
	synctest.Wait()
	if diff := cmp.Diff(order, l.order); diff != "" {
		t.Error(diff)
	}
	if len(l.q.busy) != 0 || len(l.q.waiting) != 0 {
		t.Errorf("left: %d have a turn, %d wait", len(l.q.busy), len(l.q.waiting))
	}
}

// A person goes before what is started ahead, a first server before a second, and
// whoever gave up leaves no hole.
func TestQueue_order(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(1)
		gone, giveUp := context.WithCancel(t.Context())
		l.join(t.Context(), "first", turn{}, time.Second)
		l.join(t.Context(), "ahead1", turn{ahead: true}, time.Second)
		l.join(t.Context(), "amira", turn{}, time.Second)
		l.join(t.Context(), "amira's second", turn{user: "amira"}, time.Second)
		l.join(gone, "gone", turn{}, time.Second)
		l.join(t.Context(), "ben", turn{}, time.Second)
		l.join(t.Context(), "ahead2", turn{ahead: true}, time.Second)
		l.join(t.Context(), "back after the daemon died", turn{arrived: time.Now().Add(-time.Minute)}, time.Second)
		giveUp()
		synctest.Wait()
		l.q.promote("ahead2")
		l.want(t, "first", "back after the daemon died", "amira", "ben", "ahead2", "amira's second", "ahead1")
	})
}

// Thirty at once over two slots: each is told place and time, the time holds, and
// both only fall.
func TestQueue_estimate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(2)
		const takes = 5 * time.Second
		for range 3 { // what a start takes is known
			l.q.pace.took(takes)
		}
		for i := range 30 {
			l.join(t.Context(), fmt.Sprint(i), turn{}, takes)
		}
		for i := 2; i < 30; i++ {
			said := l.said[fmt.Sprint(i)]
			first := said[0]
			if ready := time.Duration(i/2+1) * takes; first.place != i-1 || first.wait != ready {
				t.Errorf("%d: told %+v, wants place %d, ready in %v", i, first, i-1, ready)
			}
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		for i := 2; i < 30; i++ {
			said := l.said[fmt.Sprint(i)]
			if last := said[len(said)-1]; last.place > 2 {
				t.Errorf("%d: was told last %+v", i, last)
			}
			if !slices.IsSortedFunc(said, func(a, b spot) int { return b.place - a.place }) {
				t.Errorf("%d: fell back: %+v", i, said)
			}
		}
		if len(l.order) != 30 {
			t.Errorf("only %d came out", len(l.order))
		}
	})
}

// One that hangs does not make the others believe that they will.
func TestPace(t *testing.T) {
	var p pace
	if got := p.one(); got != firstPace {
		t.Errorf("before any: %v", got)
	}
	for _, s := range []int{4, 5, 180, 4, 5} {
		p.took(time.Duration(s) * time.Second)
	}
	if got := p.one(); got != 5*time.Second {
		t.Errorf("median %v", got)
	}
	want := []time.Duration{5 * time.Second, 9 * time.Second, 10 * time.Second}
	if diff := cmp.Diff(want, p.waits(2, []time.Duration{time.Second}, 3)); diff != "" {
		t.Error(diff)
	}
	for range paceOf {
		p.took(time.Second)
	}
	if p.one() != time.Second || len(p.last) != paceOf {
		t.Errorf("old ones still count: %v", p.last)
	}
	for d, want := range map[time.Duration]string{
		0: "a few seconds", 9 * time.Second: "about 10 seconds", 41 * time.Second: "about 45 seconds",
		70 * time.Second: "about a minute", 4 * time.Minute: "about 4 minutes",
	} {
		if got := about(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
