package environments

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/conjuring/conjured/internal/wheeltest"
	"github.com/conjuring/conjured/progress"
)

// countingRunner counts the builds that are started, and tells of the first one before it
// begins.
type countingRunner struct {
	Runner
	mu     sync.Mutex
	builds int
	began  chan struct{}
}

func (r *countingRunner) Run(ctx context.Context, c Command) (int, error) {
	if strings.HasSuffix(strings.Join(c.Args, " "), "build.py") {
		r.mu.Lock()
		if r.builds++; r.builds == 1 {
			close(r.began)
		}
		r.mu.Unlock()
	}
	return r.Runner.Run(ctx, c)
}

// G6: who asks for the same while it is being built waits for that build and gets what
// came of it: one container is started for all of them.
func TestG6_oneBuildForSeveralConsumers(t *testing.T) {
	uv, python := realUV(t)
	srv := httptest.NewServer(wheeltest.Index(wheeltest.Wheel{Name: "one", Version: "1"}, wheeltest.Wheel{Name: "two", Version: "1"}))
	root := t.TempDir()
	s, err := Open(root, root)
	if err != nil {
		t.Fatal(err)
	}
	run := &countingRunner{Runner: &hostRunner{}, began: make(chan struct{})}
	b, err := New(Config{Store: s, Runner: run, UV: uv, Python: python, Index: srv.URL + "/simple", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	spec := Spec{Env: Base, Image: "host", Requirements: asks("one")}
	type answer struct {
		made Made
		err  error
	}
	answers := make(chan answer)
	consumer := func() {
		m, err := b.Make(t.Context(), spec, progress.Discard)
		answers <- answer{m, err}
	}
	go consumer()
	<-run.began
	for range 2 {
		go consumer()
	}
	built := 0
	for range 3 {
		a := <-answers
		if a.err != nil || a.made.Generation.Number != 1 {
			t.Errorf("%+v", a)
		}
		if a.made.New {
			built++
		}
	}
	if run.builds != 1 || built != 1 {
		t.Errorf("%d builds were started, and %d consumers were told of a new one", run.builds, built)
	}
	t.Run("collect", func(t *testing.T) { uvCacheIsCollected(t, b, srv, spec) })
}

// uvCacheIsCollected removes what the real uv keeps of packages that nobody needs, and
// builds the rest anew without the index.
func uvCacheIsCollected(t *testing.T, b *Builder, srv *httptest.Server, spec Spec) {
	s := b.c.Store
	kept, err := s.Generation(Base, 1)
	if err != nil {
		t.Fatal(err)
	}
	spec.Requirements = asks("one", "two")
	made, err := b.Make(t.Context(), spec, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if l, err := s.Collect(t.Context(), Roots{Known: true}); err != nil || len(l.Freed) != 0 {
		t.Errorf("all is needed: %+v, %v", l, err)
	}
	err = errors.Join(s.remove(filepath.Join(s.Root(), made.Generation.Path())), os.Remove(b.resolvedPath(spec)))
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Collect(t.Context(), Roots{Known: true})
	if err != nil || len(l.Freed) != 1 || l.Freed[0].Kind != OldIndex || l.Freed[0].Count != 1 || l.Freed[0].Bytes == 0 {
		t.Errorf("%+v, %v", l, err)
	}
	if gone, err := b.Missing(t.Context(), made.Generation.Manifest); err != nil || len(gone) != 1 || gone[0].Name != "two" {
		t.Errorf("%v, %v", gone, err)
	}
	srv.Close()
	spec.Requirements = asks("one")
	if again, err := b.Rebuild(t.Context(), spec, kept.Manifest, progress.Discard); err != nil || again.Generation.ID != kept.ID {
		t.Errorf("%+v, %v", again, err)
	}
}
