package appliance

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// box is a world and the appliance that runs in it.
type box struct {
	*Appliance
	w    *world
	stop func() error
}

// start runs an appliance in w. It must be called in a synctest bubble.
func start(t *testing.T, w *world, change func(*Config)) *box {
	t.Helper()
	w.mu.Lock()
	w.off, w.over = false, false
	clear(w.running)
	w.mu.Unlock()
	c := w.config()
	if change != nil {
		change(&c)
	}
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	return &box{a, w, func() error {
		cancel()
		err := <-done
		w.mu.Lock()
		defer w.mu.Unlock()
		for k, n := range w.running {
			if n > 0 {
				w.problem("%s outlives Run", k)
			}
		}
		w.off, w.over = true, true
		return err
	}}
}

// wish wishes for s and notes it for the world's rules.
func (b *box) wish(t *testing.T, s Setup) error {
	b.w.mu.Lock()
	b.w.wishes = append(b.w.wishes, s)
	b.w.mu.Unlock()
	err := b.Wish(t.Context(), s)
	if err != nil {
		b.w.mu.Lock()
		b.w.wishes = b.w.wishes[:len(b.w.wishes)-1]
		b.w.mu.Unlock()
	}
	return err
}

func setup(roster, image, environment string) Setup {
	return Setup{ID: roster + "-" + image + "-" + environment, Roster: roster, Content: "c" + roster, Image: image, Environment: environment}
}

func drawSetup(t *rapid.T, label string) Setup {
	s := setup(
		rapid.SampledFrom([]string{"r1", "r2", "r3"}).Draw(t, label+" roster"),
		rapid.SampledFrom([]string{"i1", "i2", "i3", "bad"}).Draw(t, label+" image"),
		rapid.SampledFrom([]string{"e1", "e2", "bad"}).Draw(t, label+" environment"),
	)
	s.Kernels = rapid.SampledFrom([]string{"", "k1", "k2", "bad"}).Draw(t, label+" kernels")
	s.ID += "-" + s.Kernels
	return s
}

// turnOfEvents is one thing that happens in a random schedule.
type turnOfEvents struct {
	after time.Duration
	what  string
	setup Setup
}

func drawSchedule(t *rapid.T, whats ...string) []turnOfEvents {
	n := rapid.IntRange(1, 7).Draw(t, "events")
	out := make([]turnOfEvents, n)
	for i := range out {
		label := fmt.Sprint(i)
		out[i].after = time.Duration(rapid.IntRange(0, 150_000).Draw(t, label+" ms")) * time.Millisecond
		out[i].what = rapid.SampledFrom(whats).Draw(t, label+" what")
		if out[i].what == "wish" {
			out[i].setup = drawSetup(t, label)
		}
	}
	return out
}

func drawFaults(t *rapid.T, w *world) {
	for _, k := range append(wished(), Collect, Seal) {
		w.faults[k] = rapid.SliceOfN(rapid.SampledFrom([]fault{works, works, passing, hangs, panics, breaks}), 0, 5).Draw(t, string(k))
	}
	w.blind = rapid.IntRange(0, 4).Draw(t, "blind")
	w.ended["broken"] = 1 // with failing deploys the rule "restore first" has exceptions
}

// settled checks what must hold when nothing has happened for a day.
func settled(t *rapid.T, b *box, wish Setup) {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	s := b.Snapshot()
	bad := wish.Image == "bad" || wish.Environment == "bad"
	phase := Serving
	if wish.Kernels == "bad" {
		phase = Held // the class as wished, without one of its kernels
	}
	if wish.ID != "" && !bad && (b.w.serving.ID != wish.ID || s.Phase != phase) {
		t.Errorf("serves %q in phase %s, want %q in %s", b.w.serving.ID, s.Phase, wish.ID, phase)
	}
	if s := b.w.serving; !bad && phase == Serving && wish.Kernels != "" && b.w.kernels != s.KernelsKey() {
		t.Errorf("kernels are %q, want %q", b.w.kernels, s.KernelsKey())
	}
	if bad {
		want := "fallback"
		if n := len(b.w.served); n > 0 {
			want = b.w.served[n-1].ID
		}
		if b.w.serving.ID != want || s.Phase != Held || len(s.Notices) == 0 {
			t.Errorf("serves %q in phase %s with %d notices, want %q held", b.w.serving.ID, s.Phase, len(s.Notices), want)
		}
	}
	if b.w.roster != wish.Roster || b.w.content != wish.Content {
		t.Errorf("roster %q and content %q, want those of %q", b.w.roster, b.w.content, wish.ID)
	}
	if wish.ID != "" && b.w.sealed != b.w.serving.SealKey() {
		t.Errorf("latest holds %q, want %q", b.w.sealed, b.w.serving.SealKey())
	}
	if wish != s.Desired {
		t.Errorf("wish is %q, want %q", s.Desired.ID, wish.ID)
	}
	for _, p := range b.w.problems {
		t.Errorf("rule broken: %s", p)
	}
}

// Whatever is wished and whatever fails for a while, the last wish that can work serves
// in the end, its roster is applied, latest is sealed, and no rule is broken on the way.
func TestSchedules(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld()
		if rapid.Bool().Draw(rt, "faults") {
			drawFaults(rt, w)
		}
		events := drawSchedule(rt, "wish", "wish", "wish", "recheck", "hub dies", "disk full", "disk free", "restart")
		synctest.Test(t, func(t *testing.T) {
			b := start(t, w, nil)
			var wish Setup
			for _, e := range events {
				time.Sleep(e.after)
				switch e.what {
				case "wish":
					if b.wish(t, e.setup) == nil {
						wish = e.setup
					}
				case "recheck":
					_ = b.Recheck(t.Context())
				case "hub dies":
					w.mu.Lock()
					if w.running[Deploy] == 0 {
						w.serving = Setup{}
						w.ended["broken"] = 1 // the owner cannot know before it has looked
					}
					w.mu.Unlock()
					_ = b.Recheck(t.Context())
				case "disk full", "disk free":
					w.store.fail(e.what == "disk full")
				case "restart":
					_ = b.stop()
					b = start(t, w, nil)
				}
			}
			w.store.fail(false)
			time.Sleep(48 * time.Hour)
			settled(rt, b, wish)
			if err := b.stop(); err != nil {
				rt.Error(err)
			}
		})
	})
}

// The power goes at random instants: what was accepted is still wished, what served
// serves again before anything is built, and no goroutine outlives Run.
func TestPowerCuts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld()
		w.store.slow = 30 * time.Millisecond
		events := drawSchedule(rt, "wish", "cut", "cut and loss", "wish and cut")
		lag := time.Duration(rapid.IntRange(0, 60).Draw(rt, "lag")) * time.Millisecond
		synctest.Test(t, func(t *testing.T) {
			b := start(t, w, nil)
			var wish Setup
			for _, e := range events {
				time.Sleep(e.after)
				switch e.what {
				case "wish":
					if err := b.wish(t, e.setup); err != nil {
						rt.Fatal(err)
					}
					wish = e.setup
				case "cut", "cut and loss", "wish and cut":
					if e.what == "wish and cut" {
						next := setup("r1", "i1", "e1")
						w.mu.Lock()
						w.wishes = append(w.wishes, next)
						w.mu.Unlock()
						accepted := make(chan error, 1)
						before := b
						go func() { accepted <- before.Wish(t.Context(), next) }()
						time.Sleep(lag)
						select {
						case err := <-accepted:
							if err == nil {
								wish = next
							}
						default:
						}
					}
					w.cut()
					_ = b.stop()
					if e.what == "cut and loss" { // what is saved is a hint only
						clear(w.images)
						clear(w.envs)
						w.roster = ""
					}
					b = start(t, w, nil)
					if d := b.Snapshot().Desired; d != wish && d != setup("r1", "i1", "e1") {
						rt.Errorf("after a cut the wish is %q, want %q", d.ID, wish.ID)
					}
					wish = b.Snapshot().Desired
					w.mu.Lock()
					w.wishes = []Setup{wish}
					w.mu.Unlock()
				}
			}
			time.Sleep(48 * time.Hour)
			settled(rt, b, wish)
			if err := b.stop(); err != nil {
				rt.Error(err)
			}
		})
	})
}

// The roster of a wish is there within seconds, however its builds fare.
func TestRosterAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.faults[Image] = []fault{hangs, hangs}
		b := start(t, w, nil)
		for i, s := range []Setup{setup("r1", "i1", "e1"), setup("r2", "bad", "e1"), setup("r3", "i1", "bad")} {
			if err := b.wish(t, s); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2500 * time.Millisecond)
			var got string
			if w.look(func() { got = w.roster }); got != s.Roster {
				t.Errorf("wish %d: roster %q, want %q", i, got, s.Roster)
			}
		}
		if err := b.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A build that the newer wish does not need is cancelled; one that it needs goes on.
func TestSupersededBuilds(t *testing.T) {
	for name, tt := range map[string]struct {
		second    Setup
		cancelled int
	}{
		"other image":      {setup("r1", "i2", "e1"), 1},
		"same image":       {setup("r2", "i1", "e2"), 0},
		"same image twice": {setup("r1", "i1", "e1"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				b := start(t, w, nil)
				began := time.Now()
				for _, s := range []Setup{setup("r1", "i1", "e1"), tt.second} {
					if err := b.wish(t, s); err != nil {
						t.Fatal(err)
					}
					time.Sleep(10 * time.Second)
				}
				if got := w.count("image context canceled"); got != tt.cancelled {
					t.Errorf("%d image builds cancelled, want %d", got, tt.cancelled)
				}
				if out, err := b.await(t, tt.second.ID); err != nil || out.Verdict != Served {
					t.Errorf("outcome %+v, %v", out, err)
				}
				if out, err := b.await(t, "another"); err != nil || out.Verdict != Superseded {
					t.Errorf("outcome of another wish %+v, %v", out, err)
				}
				if took := time.Since(began); tt.cancelled == 0 && took > 70*time.Second {
					t.Errorf("took %s: the image was built again", took)
				}
				if err := b.stop(); err != nil {
					t.Error(err)
				}
				if !slices.Equal(w.problems, nil) {
					t.Error(w.problems)
				}
			})
		})
	}
}
