package appliance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conjuring/conjured/notice"
)

// inBox runs f with a fresh world and an appliance in virtual time, and checks the
// world's rules at the end.
func inBox(t *testing.T, prepare func(*world), f func(t *testing.T, b *box)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		if prepare != nil {
			prepare(w)
		}
		b := start(t, w, nil)
		f(t, b)
		if err := b.stop(); err != nil {
			t.Error(err)
		}
		for _, p := range w.problems {
			t.Errorf("rule broken: %s", p)
		}
	})
}

// try wishes for s and waits for what becomes of it.
func (b *box) try(t *testing.T, s Setup) Outcome {
	t.Helper()
	if err := b.wish(t, s); err != nil {
		t.Fatal(err)
	}
	out, err := b.await(t, s.ID)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// await is Wait for at most a week of virtual time.
func (b *box) await(t *testing.T, id string) (Outcome, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 7*24*time.Hour)
	defer cancel()
	return b.Wait(ctx, id)
}

func TestRetriesWithBackoff(t *testing.T) {
	inBox(t, func(w *world) { w.faults[Image] = []fault{passing, passing} }, func(t *testing.T, b *box) {
		began := time.Now()
		if out := b.try(t, setup("r1", "i1", "e1")); out.Verdict != Served {
			t.Errorf("verdict %q", out.Verdict)
		}
		// three builds of 40 s, waits of 10 s and 20 s, environment, deploy
		if took := time.Since(began); took < 150*time.Second || took > 200*time.Second {
			t.Errorf("served after %s", took)
		}
	})
}

func TestGivesUpAfterThreeUntilResync(t *testing.T) {
	inBox(t, func(w *world) { w.faults[Environment] = []fault{works, passing, passing, passing, passing} }, func(t *testing.T, b *box) {
		first, second := setup("r1", "i1", "e1"), setup("r1", "i1", "e2")
		b.try(t, first)
		if out := b.try(t, second); out.Verdict != Failed || len(out.Notices) == 0 {
			t.Errorf("outcome %+v", out)
		}
		if s := b.Snapshot(); s.Phase != Held || s.Serving.ID != first.ID {
			t.Errorf("phase %s serving %s", s.Phase, s.Serving.ID)
		}
		time.Sleep(50 * time.Minute)
		if n := b.w.count("environment injected"); n != 3 {
			t.Errorf("%d tries before the resync, want 3", n)
		}
		time.Sleep(3 * time.Hour) // one more try each resync
		if s := b.Snapshot(); s.Phase != Serving || s.Serving.ID != second.ID {
			t.Errorf("phase %s serving %s", s.Phase, s.Serving.ID)
		}
	})
}

func TestPermanentErrorsAreNotRetried(t *testing.T) {
	inBox(t, nil, func(t *testing.T, b *box) {
		good, bad := setup("r1", "i1", "e1"), setup("r2", "i1", "bad")
		b.try(t, good)
		for n := 1; n <= 2; n++ { // the same wish again is a new one
			if out := b.try(t, bad); out.Verdict != Failed || out.Notices[0].Code != "misspelt" {
				t.Errorf("outcome %+v", out)
			}
			time.Sleep(24 * time.Hour)
			if got := b.w.count("environment no such package"); got != n {
				t.Errorf("%d tries in %d wishes", got, n)
			}
		}
		if s := b.Snapshot(); s.Serving.ID != good.ID || !s.Sealed || b.w.accounts() != "r2" {
			t.Errorf("serving %s, sealed %t, roster %s", s.Serving.ID, s.Sealed, b.w.accounts())
		}
	})
}

func TestFallbackOnFirstBoot(t *testing.T) {
	for _, bad := range []Setup{setup("r1", "bad", "e1"), setup("r1", "i1", "bad")} {
		inBox(t, nil, func(t *testing.T, b *box) {
			if out := b.try(t, bad); out.Verdict != Failed {
				t.Errorf("verdict %q", out.Verdict)
			}
			time.Sleep(5 * time.Minute)
			s := b.Snapshot()
			if !s.Fallback || s.Serving.ID != "fallback" || s.Desired != bad || b.w.accounts() != "r1" {
				t.Errorf("fallback %t serving %q desired %q", s.Fallback, s.Serving.ID, s.Desired.ID)
			}
			if codes := codes(s); !strings.Contains(codes, "serving-fallback") || !strings.Contains(codes, "misspelt") {
				t.Errorf("notices %s", codes)
			}
			if out := b.try(t, setup("r1", "i1", "e1")); out.Verdict != Served || b.Snapshot().Fallback {
				t.Errorf("outcome %+v", out)
			}
			if _, err := b.Undo(t.Context()); !errors.Is(err, ErrNoPrevious) {
				t.Errorf("undo to the fallback: %v", err)
			}
		})
	}
}

func codes(s Snapshot) string {
	var out []string
	for _, n := range s.Notices {
		out = append(out, n.Code)
	}
	return strings.Join(out, " ")
}

// A setup whose parts are all built still waits for its accounts.
func TestDeployWaitsForTheRoster(t *testing.T) {
	inBox(t, func(w *world) { w.faults[Roster] = []fault{works, passing, passing} }, func(t *testing.T, b *box) {
		one, two := setup("r1", "i1", "e1"), setup("r2", "i1", "e1")
		b.try(t, one)
		if err := b.wish(t, two); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Second)
		if s := b.Snapshot(); s.Serving != one || len(s.Running) > 0 && s.Running[0].Kind == Deploy {
			t.Errorf("serving %q, running %v before the roster", s.Serving.ID, s.Running)
		}
		if out, err := b.await(t, two.ID); err != nil || out.Verdict != Served {
			t.Errorf("outcome %+v, %v", out, err)
		}
	})
}

// What was collected is built again when it is wished again.
func TestCollectedIsBuiltAgain(t *testing.T) {
	inBox(t, nil, func(t *testing.T, b *box) {
		for i := range keepGood + 1 {
			b.try(t, setup("r1", fmt.Sprint("i", i), "e1"))
			time.Sleep(30 * time.Second) // collected, not yet sealed
		}
		b.try(t, setup("r1", "i0", "e1"))
		if n := b.w.count("image <nil>"); n != keepGood+2 {
			t.Errorf("%d images built", n)
		}
	})
}

func TestUndo(t *testing.T) {
	inBox(t, nil, func(t *testing.T, b *box) {
		if _, err := b.Undo(t.Context()); !errors.Is(err, ErrNoPrevious) {
			t.Errorf("undo of nothing: %v", err)
		}
		one, two, bad := setup("r1", "i1", "e1"), setup("r1", "i2", "e1"), setup("r1", "bad", "e1")
		b.try(t, one)
		b.try(t, two)
		for _, want := range []Setup{one, two} {
			b.w.look(func() { b.w.wishes = append(b.w.wishes, want) })
			got, err := b.Undo(t.Context())
			if err != nil || got != want {
				t.Errorf("undo gives %q, %v, want %q", got.ID, err, want.ID)
			}
			if out, err := b.await(t, want.ID); err != nil || out.Verdict != Served {
				t.Errorf("outcome %+v, %v", out, err)
			}
		}
		b.try(t, bad)
		if got, err := b.Undo(t.Context()); err != nil || got != two {
			t.Errorf("undo of a failed wish gives %q, %v", got.ID, err)
		}
	})
}

func TestDockerNotUpYet(t *testing.T) {
	inBox(t, func(w *world) { w.blind = 5 }, func(t *testing.T, b *box) {
		if err := b.wish(t, setup("r1", "i1", "e1")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if s := b.Snapshot(); s.Phase != Starting || codes(s) != "docker-stopped" {
			t.Errorf("phase %s, notices %s", s.Phase, codes(s))
		}
		if out, err := b.await(t, "r1-i1-e1"); err != nil || out.Verdict != Served {
			t.Errorf("outcome %+v, %v", out, err)
		}
		if c := codes(b.Snapshot()); strings.Contains(c, "docker-stopped") {
			t.Errorf("notices %s", c)
		}
	})
}

// A full disk changes nothing: wishes are refused in words, nothing starts, and after a
// restart what served still serves.
func TestStoreFull(t *testing.T) {
	inBox(t, nil, func(t *testing.T, b *box) {
		one, two := setup("r1", "i1", "e1"), setup("r2", "i2", "e1")
		b.try(t, one)
		time.Sleep(5 * time.Minute)
		b.w.store.fail(true)
		err := b.wish(t, two)
		if l := notice.For(err); len(l) != 1 || l[0].Code != "state-not-saved" {
			t.Errorf("wish answers %v", err)
		}
		time.Sleep(3 * time.Hour)
		if s := b.Snapshot(); !s.ReadOnly || s.Desired != one || b.w.count("image <nil>") != 1 || codes(s) == "" {
			t.Errorf("read-only %t, desired %q, %d images", s.ReadOnly, s.Desired.ID, b.w.count("image <nil>"))
		}
		_ = b.stop()
		b.w.look(func() { b.w.serving = Setup{} })
		*b = *start(t, b.w, nil)
		time.Sleep(time.Minute)
		if s := b.Snapshot().Serving; s != one {
			t.Errorf("with a full disk %q serves", s.ID)
		}
		b.w.store.fail(false)
		time.Sleep(time.Minute)
		if out := b.try(t, two); out.Verdict != Served {
			t.Errorf("verdict %q", out.Verdict)
		}
	})
}

// A build that takes the machine down is not begun for ever.
func TestCrashLoopEnds(t *testing.T) {
	inBox(t, nil, func(t *testing.T, b *box) {
		b.try(t, setup("r1", "i1", "e1"))
		if err := b.wish(t, setup("r1", "i2", "e1")); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			time.Sleep(20 * time.Second) // in the middle of the image
			b.w.cut()
			_ = b.stop()
			*b = *start(t, b.w, nil)
		}
		time.Sleep(30 * time.Minute)
		if s := b.Snapshot(); s.Phase != Held || b.w.count("image <nil>") != 1 || !strings.Contains(codes(s), "interrupted") {
			t.Errorf("phase %s, %d images, notices %s", s.Phase, b.w.count("image <nil>"), codes(s))
		}
	})
}

func TestWatchSkips(t *testing.T) {
	inBox(t, nil, func(t *testing.T, b *box) {
		ctx, cancel := context.WithCancel(t.Context())
		live := b.Watch(ctx)
		if s := <-live; s.Phase != Starting {
			t.Errorf("first phase %s", s.Phase)
		}
		b.try(t, setup("r1", "i1", "e1"))
		if s := <-live; s.Phase != Serving {
			t.Errorf("a slow reader sees phase %s", s.Phase)
		}
		cancel()
		synctest.Wait()
		if _, open := <-live; open {
			t.Error("still open")
		}
	})
}

// A worker that does not stop is named, and does not keep Run from ending.
func TestStopIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		release := make(chan struct{})
		b := start(t, w, func(c *Config) { c.Workers[Image] = stubborn{release} })
		if err := b.Wish(t.Context(), setup("r1", "i1", "e1")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		began := time.Now()
		if err := b.stop(); err == nil || !strings.Contains(err.Error(), "image") || time.Since(began) > stopWithin {
			t.Errorf("stop answers %v after %s", err, time.Since(began))
		}
		close(release)
		if err := b.Wish(t.Context(), setup("r1", "i1", "e1")); !errors.Is(err, ErrStopped) {
			t.Errorf("a wish after the end: %v", err)
		}
	})
}

type stubborn struct{ release chan struct{} }

func (s stubborn) Do(context.Context, Action) (Result, error) {
	<-s.release
	return Result{}, nil
}

func TestPermanentWraps(t *testing.T) {
	cause := errors.New("cause")
	err := fmt.Errorf("cannot build: %w", Permanent(cause))
	if !IsPermanent(err) || !errors.Is(err, cause) || IsPermanent(cause) || Permanent(nil) != nil {
		t.Error("Permanent does not wrap")
	}
}

func TestNewRefuses(t *testing.T) {
	c := newWorld().config()
	delete(c.Workers, Seal)
	if _, err := New(c); err == nil || !strings.Contains(err.Error(), "seal") {
		t.Errorf("without a worker: %v", err)
	}
	c = newWorld().config()
	c.Store = nil
	if _, err := New(c); err == nil {
		t.Error("without a store: no error")
	}
	if err := (&Appliance{}).Wish(t.Context(), Setup{ID: "x"}); err == nil {
		t.Error("a wish for half a setup: no error")
	}
}

// The package promises to have one owner; this keeps the promise.
func TestNoMutex(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		src, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(src), `"sync"`) {
			t.Errorf("%s imports sync", f.Name())
		}
	}
}
