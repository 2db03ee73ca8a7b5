package environments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/conjuring/conjured/internal/wheeltest"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// A misspelt line fails the change, which the original project did not: there the
// class came up without the package. The line is named, and nothing moves.
func TestA11_requirements(t *testing.T) {
	srv := httptest.NewServer(wheeltest.Index(wheeltest.Wheel{Name: "one", Version: "1"}))
	defer srv.Close()
	x := newBox(t, t.TempDir(), srv.URL+"/simple", "none")
	spec := Spec{Env: Base, Image: "host", Requirements: asks("one")}
	g := x.use(t, spec)
	spec.Requirements = asks("one", "nunpy")
	_, err := x.b.Make(t.Context(), spec, progress.Discard)
	l := notice.For(err)
	if err == nil || len(l) != 1 || l[0].File != "requirements.txt" || l[0].Line != 2 || l[0].Severity != notice.SeverityError ||
		!strings.Contains(l[0].What, "nunpy") || !strings.Contains(l[0].Do, "numpy") || l[0].Means == "" {
		t.Errorf("%v: %+v", err, l)
	}
	if now, err := x.store.Current(Base); err != nil || now.Number != g.Number {
		t.Errorf("current moved to %d: %v", now.Number, err)
	}
	if gs, _ := x.store.numbers(Base); len(gs) != 1 {
		t.Errorf("left generations %v", gs)
	}
}

func TestDiskLow(t *testing.T) {
	x := newBox(t, t.TempDir(), "http://127.0.0.1:9/simple", "none")
	x.store.free = func() (uint64, error) { return 2*firstSize - 1, nil }
	_, err := x.b.Make(t.Context(), Spec{Env: Base, Image: "host", Requirements: asks("one")}, progress.Discard)
	if l := notice.For(err); len(l) != 1 || l[0].Code != "disk-low" || x.run.runs != 0 {
		t.Errorf("%v, %d runs", err, x.run.runs)
	}
}

// slowIndex serves one wheel, whose file never comes. asked is told when it is wanted.
func slowIndex(t *testing.T) (url string, asked <-chan struct{}) {
	t.Helper()
	index := wheeltest.Index(wheeltest.Wheel{Name: "one", Version: "1"}, wheeltest.Wheel{Name: "slow", Version: "1"})
	wanted, end := make(chan struct{}, 100), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/files/slow") {
			wanted <- struct{}{}
			select {
			case <-end:
			case <-r.Context().Done():
			}
			return
		}
		index.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { close(end); srv.Close() })
	return srv.URL + "/simple", wanted
}

func TestCancelInTheMiddle(t *testing.T) {
	url, asked := slowIndex(t)
	x := newBox(t, t.TempDir(), url, "none")
	spec := Spec{Env: Base, Image: "host", Requirements: asks("one")}
	g := x.use(t, spec)
	ctx, cancel := context.WithCancel(t.Context())
	spec.Requirements = asks("one", "slow")
	done := make(chan error, 1)
	go func() {
		_, err := x.b.Make(ctx, spec, progress.Discard)
		done <- err
	}()
	<-asked
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	case <-time.After(2 * time.Second): // the limit that everything has
		t.Fatal("no end")
	}
	if ns, _ := x.store.numbers(Base); len(ns) != 1 || ns[0] != g.Number {
		t.Errorf("left %v", ns)
	}
}

// buildIn makes this test's program build there, until it is killed.
const buildIn = "CONJURED_TEST_BUILD_IN"

func buildUntilKilled(root string) {
	s, err := Open(root, root)
	if err == nil {
		var b *Builder
		b, err = New(Config{Store: s, Runner: &hostRunner{}, UV: os.Getenv("TEST_UV"), Python: os.Getenv("TEST_PYTHON"), Lab: "none", Index: os.Getenv("TEST_INDEX"), Log: slog.Default()})
		if err == nil {
			_, err = b.Make(context.Background(), Spec{Env: Base, Image: "host", Requirements: asks("one", "slow")}, progress.Discard)
		}
	}
	fmt.Println("ended by itself:", err)
	os.Exit(1)
}

// Whoever builds is killed in the middle; the next start has what was there before.
func TestKilledInTheMiddle(t *testing.T) {
	url, asked := slowIndex(t)
	x := newBox(t, t.TempDir(), url, "none")
	spec := Spec{Env: Base, Image: "host", Requirements: asks("one")}
	g := x.use(t, spec)
	before := tree(t, filepath.Join(x.store.Root(), g.Path()))
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), buildIn+"="+x.store.Root(), "TEST_UV="+x.b.c.UV, "TEST_PYTHON="+x.b.c.Python, "TEST_INDEX="+url)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
	s, err := Open(x.store.Root(), x.store.Root())
	if err != nil {
		t.Fatal(err)
	}
	if now, err := s.Current(Base); err != nil || now.Number != g.Number {
		t.Errorf("before the repair current is %d: %v", now.Number, err)
	}
	r, err := s.Repair(t.Context())
	if err != nil || len(r.Generations) != 1 || r.Scratch != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	after := tree(t, filepath.Join(s.Root(), g.Path()))
	for path, was := range before {
		if after[path] != was {
			t.Errorf("%s changed", path)
		}
	}
	spec.Requirements = nil
	if next := x.use(t, spec); next.Number <= g.Number {
		t.Errorf("%+v", next)
	}
}
