package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/conjuring/conjured/engine"
)

// fakeEngine runs "containers" that are goroutines of this process: a hub or a
// server that listens where its spec says. What it does differently from the real
// one is set in break.
type fakeEngine struct {
	mu     sync.Mutex
	all    map[string]*fakeContainer // by name
	next   int
	heard  []chan engine.Event
	hub    http.Handler                 // what a hub answers; nil: only an echo
	broken func(s engine.Spec) *fakeEnd // nil or nil result: it comes up
}

// fakeEnd is how a container ends instead of answering.
type fakeEnd struct {
	code   int
	oom    bool
	log    string
	report string // of the config loader
	hang   bool   // runs, and never answers
}

type fakeContainer struct {
	engine.Container
	spec engine.Spec
	stop context.CancelFunc
	done chan struct{}
	log  string
}

func newFakeEngine() *fakeEngine {
	return &fakeEngine{all: map[string]*fakeContainer{}}
}

func (f *fakeEngine) find(id string) *fakeContainer {
	for _, c := range f.all {
		if c.ID == id || c.Name == id {
			return c
		}
	}
	return nil
}

func (f *fakeEngine) Create(_ context.Context, s engine.Spec) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all[s.Name] != nil {
		return "", engine.ErrInUse
	}
	for _, m := range s.Mounts {
		if _, err := os.Stat(m.Source); m.NoCreate && err != nil {
			return "", fmt.Errorf("no mount source: %w", err)
		}
	}
	f.next++
	c := &fakeContainer{spec: s, done: make(chan struct{})}
	c.ID, c.Name, c.Image, c.Labels, c.State = fmt.Sprintf("id%d", f.next), s.Name, s.Image, s.Labels, "created"
	f.all[s.Name] = c
	return c.ID, nil
}

func (f *fakeEngine) Start(_ context.Context, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.find(id)
	if c == nil {
		return engine.ErrNotFound
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.State, c.stop, c.Started = "running", cancel, time.Now()
	f.happen("start", c)
	var end *fakeEnd
	if f.broken != nil {
		end = f.broken(c.spec)
	}
	go f.live(ctx, c, end)
	return nil
}

func (f *fakeEngine) Weigh(_ context.Context, id string, shares int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.find(id)
	if c == nil {
		return engine.ErrNotFound
	}
	c.spec.CPUShares = shares
	return nil
}

func (f *fakeEngine) live(ctx context.Context, c *fakeContainer, end *fakeEnd) {
	defer close(c.done)
	code, oom := 0, false
	switch {
	case end != nil && end.hang:
		<-ctx.Done()
	case end != nil:
		code, oom, c.log = end.code, end.oom, end.log
		if end.report != "" {
			os.WriteFile(filepath.Join(c.spec.Mounts[0].Source, "report.json"), []byte(end.report), 0o600)
		}
	default:
		f.answer(ctx, c.spec)
	}
	f.mu.Lock()
	c.State, c.ExitCode, c.OOMKilled = "exited", code, oom
	f.happen("die", c)
	f.mu.Unlock()
}

// answer is what a hub or a server does.
func (f *fakeEngine) answer(ctx context.Context, s engine.Spec) {
	path := filepath.Join(s.Mounts[0].Source, "hub.sock")
	for _, a := range s.Cmd {
		if v, ok := strings.CutPrefix(a, "--ServerApp.sock="); ok {
			path = v
		}
	}
	l, err := listen(path, 0o666, 0)
	if err != nil {
		return
	}
	if f.hub != nil && strings.HasSuffix(path, "hub.sock") {
		serve(ctx, l, f.hub, 0)
		return
	}
	serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hub/api/echo" {
			w.Header().Set("X-Cookies", r.Header.Get("Cookie")+r.Header.Get("X-Forwarded-For"))
			io.Copy(w, r.Body)
		}
	}), 0)
}

func (f *fakeEngine) Stop(_ context.Context, id string, _ time.Duration) error {
	f.mu.Lock()
	c := f.find(id)
	f.mu.Unlock()
	if c != nil && c.stop != nil {
		c.stop()
		<-c.done
	}
	return nil
}

func (f *fakeEngine) Remove(ctx context.Context, id string) error {
	f.Stop(ctx, id, 0)
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.find(id); c != nil {
		delete(f.all, c.Name)
	}
	return nil
}

func (f *fakeEngine) Inspect(_ context.Context, id string) (engine.Container, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.find(id); c != nil {
		return c.Container, nil
	}
	return engine.Container{}, fmt.Errorf("cannot inspect %s: %w", id, engine.ErrNotFound)
}

func (f *fakeEngine) List(_ context.Context, labels map[string]string) ([]engine.Container, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var l []engine.Container
next:
	for _, c := range f.all {
		for k, v := range labels {
			if c.Labels[k] != v {
				continue next
			}
		}
		l = append(l, c.Container)
	}
	return l, nil
}

func (f *fakeEngine) Logs(_ context.Context, id string, _ int) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.find(id); c != nil {
		return c.log, nil
	}
	return "", errors.New("no such container")
}

func (f *fakeEngine) Events(ctx context.Context) (<-chan engine.Event, error) {
	ch := make(chan engine.Event, 1000)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard = append(f.heard, ch)
	return ch, nil
}

// happen tells everybody who listens.
func (f *fakeEngine) happen(action string, c *fakeContainer) {
	for _, ch := range f.heard {
		ch <- engine.Event{ID: c.ID, Action: action, Labels: c.Labels, Time: time.Now()}
	}
}
