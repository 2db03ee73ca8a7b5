package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// busy is a student at work: a cell runs again and again over one websocket, and
// counts in the kernel's memory. Who kills something looks at what that did to it.
type busy struct {
	*student
	kernel *kernel
	stop   func()

	mu   sync.Mutex
	seen int     // the counter's last value
	runs int     // cells that ran
	cuts int     // sockets that broke
	bad  []error // cells that failed, or whose counter jumped
}

// work logs a student in, starts their server and a kernel, and lets them work.
func work(t *testing.T, base, name, password string) *busy {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	p := &busy{student: newStudent(base, name, password)}
	if err := p.login(ctx); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := p.spawn(ctx); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	p.begin(t)
	return p
}

// begin starts a kernel and works in it until stop.
func (p *busy) begin(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	k, err := p.student.kernel(ctx)
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	p.kernel, p.seen = k, 0
	life, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	p.stop = func() { end(); <-done; k.close() }
	go func() {
		defer close(done)
		for life.Err() == nil {
			p.once(life)
		}
	}()
	t.Cleanup(p.stop)
}

// once runs the cell. A broken socket is opened again, with the login there is; the
// kernel must be the same one.
func (p *busy) once(ctx context.Context) {
	one, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	got, err := p.kernel.run(one, "count = globals().get('count', 0) + 1; print(count)")
	var n int
	_, scan := fmt.Sscan(got, &n)
	p.mu.Lock()
	switch {
	case ctx.Err() != nil:
		p.mu.Unlock()
		return
	case err == nil && scan == nil && (n == p.seen+1 || n == p.seen+2 && p.cuts > 0):
		p.seen, p.runs = n, p.runs+1
	case websocket.CloseStatus(err) != -1 || err != nil && !strings.Contains(err.Error(), "Error: "):
		p.cuts++
	default:
		p.bad = append(p.bad, fmt.Errorf("after %d: %q, %w", p.seen, got, err))
		p.seen = n
	}
	p.mu.Unlock()
	if err == nil {
		time.Sleep(50 * time.Millisecond) // somebody types
		return
	}
	p.kernel.close()
	for ctx.Err() == nil && p.redial(ctx) != nil {
		time.Sleep(50 * time.Millisecond)
	}
}

// redial opens the socket to the same kernel again.
func (p *busy) redial(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	u := *p.base
	u.Scheme, u.Path = "ws", "/user/"+p.name+"/api/kernels/"+p.kernel.id+"/channels"
	ws, _, err := websocket.Dial(ctx, u.String(), &websocket.DialOptions{
		HTTPClient: p.http, HTTPHeader: http.Header{"Origin": {p.base.String()}},
	})
	if err == nil {
		p.kernel.attach(ws)
	}
	return err
}

// tally is what a pupil has seen so far.
type tally struct {
	runs, cuts int
	bad        []error
}

func (p *busy) tally() tally {
	p.mu.Lock()
	defer p.mu.Unlock()
	return tally{p.runs, p.cuts, p.bad}
}

// busyClass is a class at work.
type busyClass []*busy

// during runs do while everybody works, and waits until each has run cells after it.
// It fails when a cell failed or a kernel forgot, or when more sockets broke than
// allowed, and gives the time from the beginning until the last one was at work again.
func (ps busyClass) during(t *testing.T, cuts int, do func()) time.Duration {
	t.Helper()
	ps.ready(t)
	before := make([]tally, len(ps))
	for i, p := range ps {
		before[i] = p.tally()
	}
	began := time.Now()
	do()
	ps.ready(t)
	took := time.Since(began)
	for i, p := range ps {
		now := p.tally()
		if n := now.cuts - before[i].cuts; n > cuts {
			t.Errorf("%s: %d sockets broke, at most %d may", p.name, n, cuts)
		}
		if bad := now.bad[len(before[i].bad):]; len(bad) > 0 {
			t.Errorf("%s: %d cells failed, the first: %v", p.name, len(bad), bad[0])
		}
	}
	return took
}

// ready waits until everybody has run two more cells.
func (ps busyClass) ready(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for _, p := range ps {
		for want := p.tally().runs + 2; p.tally().runs < want; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s does not work any more: %+v", p.name, p.tally())
			}
		}
	}
}
