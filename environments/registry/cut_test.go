package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
	"github.com/conjuring/conjured/progress"
)

var errCut = errors.New("power cut")

// cutter lets so many steps through and then none: the machine is off. Steps are the
// writes of the store, and the calls of the history, once before and once after each.
type cutter struct {
	left int
	die  func() // instead of an error
	off  bool
}

func (c *cutter) step(string) error {
	if c.left--; c.left < 0 || c.off {
		if c.die != nil {
			c.die()
		}
		c.off = true
		return errCut
	}
	return nil
}

// fragile is a history with a cut before and after every write.
type fragile struct {
	History
	c *cutter
}

func (f fragile) around(do func() error) error {
	if err := f.c.step("git"); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return f.c.step("git done")
}

func (f fragile) PutSpec(ctx context.Context, env string, fs []history.File, why string) (ok bool, err error) {
	err = f.around(func() (err error) { ok, err = f.History.PutSpec(ctx, env, fs, why); return err })
	return ok, err
}

func (f fragile) PutManifest(ctx context.Context, env string, fs []history.File, why string) (ok bool, err error) {
	err = f.around(func() (err error) { ok, err = f.History.PutManifest(ctx, env, fs, why); return err })
	return ok, err
}

func (f fragile) Tag(ctx context.Context, env string) (tag history.Tag, err error) {
	err = f.around(func() (err error) { tag, err = f.History.Tag(ctx, env); return err })
	return tag, err
}

func (f fragile) SetLabels(ctx context.Context, env string, set map[string]string, why string) (ok bool, err error) {
	err = f.around(func() (err error) { ok, err = f.History.SetLabels(ctx, env, set, why); return err })
	return ok, err
}

// deed is something that a cut may come into: from the state that before makes to one of
// the two states of the labels. Versions stand for generations.
type deed struct {
	before   func(*box)
	do       func(context.Context, *Registry) error
	old, new map[string]string // label: version of numpy
}

func deeds() map[string]deed {
	prepare := func(version string) func(context.Context, *Registry) error {
		return func(ctx context.Context, r *Registry) error {
			_, err := r.Prepare(ctx, wish("base", "numpy=="+version), progress.Discard)
			return err
		}
	}
	three := func(b *box) {
		b.want("base", "numpy==1")
		b.want("base", "numpy==2")
		if err := prepare("3")(b.t.Context(), b.Registry); err != nil {
			b.t.Fatal(err)
		}
	}
	two := map[string]string{"current": "2", "previous": "1"}
	all := map[string]string{"current": "2", "previous": "1", "next": "3"}
	return map[string]deed{
		"prepare": {func(b *box) { b.want("base", "numpy==1"); b.want("base", "numpy==2") }, prepare("3"), two, all},
		"promote": {
			three, func(ctx context.Context, r *Registry) error { _, err := r.Promote(ctx, "base"); return err },
			all,
			map[string]string{"current": "3", "previous": "2"},
		},
		"rollback": {
			three, func(ctx context.Context, r *Registry) error { _, err := r.Rollback(ctx, "base", ""); return err },
			all,
			map[string]string{"current": "1", "previous": "2", "next": "3"},
		},
		"label": {
			three, func(ctx context.Context, r *Registry) error { _, err := r.Label(ctx, "base", "exam", "1"); return err },
			all,
			map[string]string{"current": "2", "previous": "1", "next": "3", "exam": "1"},
		},
		"reset": {
			three, func(ctx context.Context, r *Registry) error {
				_, err := r.Reset(ctx, "base", progress.Discard)
				return err
			},
			all,
			map[string]string{"current": "2", "previous": "2", "next": "3"},
		},
		"resolve, tag and deploy": {three, func(ctx context.Context, r *Registry) error {
			if _, err := r.Resolve(ctx, nil, Options{Upgrade: true}, progress.Discard); err != nil {
				return err
			}
			tag, err := r.Tag(ctx, "base")
			if err != nil {
				return err
			}
			_, err = r.Deploy(ctx, tag.Tag, progress.Discard)
			return err
		}, all, all},
	}
}

// versions gives the version that each label of base stands for; it fails t when current
// stands for none, as at no moment it may.
func versions(t *testing.T, s *environments.Store) map[string]string {
	t.Helper()
	labels, err := s.Labels("base")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for l := range labels {
		g, err := s.Label("base", l)
		if err != nil {
			t.Errorf("%s: %v", l, err)
			continue
		}
		p, _ := g.Manifest.Find("numpy")
		out[string(l)] = p.Version
	}
	if out["current"] == "" {
		t.Error("there is no current")
	}
	return out
}

// after looks at a box that was switched on again: before the repair there is a current,
// after it the old or the new state, the history agrees, and the deed can be done.
func after(t *testing.T, what string, b *box, d deed, finished bool) {
	t.Helper()
	versions(t, b.store)
	b.wants = []Wanted{wish("base", "numpy==3")}
	start := time.Now()
	if _, err := b.Repair(t.Context()); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if d := time.Since(start); d > time.Minute { // 5 s on the box; here others work too
		t.Errorf("%s: the repair took %s", what, d)
	}
	got := versions(t, b.store)
	if !maps.Equal(got, d.new) && (finished || !maps.Equal(got, d.old)) {
		t.Errorf("%s: %v is neither %v nor %v", what, got, d.old, d.new)
	}
	b.recorded("base")
	if len(b.told) != 0 { // the repair looks at the whole history first
		t.Errorf("%s: told %+v", what, b.told)
	}
	gs, _ := b.store.Generations("base")
	for _, g := range gs {
		if b.tagFor(t.Context(), g) == "" {
			t.Errorf("%s: generation %d has no tag", what, g.Number)
		}
	}
	if again, err := b.Repair(t.Context()); err != nil || len(again) != 0 {
		t.Errorf("%s: a second repair found %+v, %v", what, again, err)
	}
	if maps.Equal(got, d.old) {
		if err := d.do(t.Context(), b.Registry); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got := versions(t, b.store); !maps.Equal(got, d.new) {
			t.Errorf("%s: then %v, want %v", what, got, d.new)
		}
		b.recorded("base")
	}
}

// copyTree copies a box that is switched off.
func copyTree(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if out, err := exec.Command("cp", "-a", from+"/.", to).CombinedOutput(); err != nil {
		t.Fatalf("%s %v", out, err)
	}
	return to
}

// A cut before any step of any verb leaves the old or the new state, never neither.
func TestCutAtEveryStep(t *testing.T) {
	for name, d := range deeds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they wait for the disk
			begin := newBox(t, nil)
			begin.wants = []Wanted{wish("base", "numpy==3")}
			d.before(begin)
			begin.wants = nil
			begin.git.Close()
			for cut := 0; ; cut++ {
				root, c := copyTree(t, begin.root), &cutter{left: cut}
				b := openBox(t, root, func(conf *Config) { conf.History = fragile{conf.History, c} })
				b.wants = []Wanted{wish("base", "numpy==3")}
				b.store.Guard(c.step)
				err := d.do(t.Context(), b.Registry)
				b.git.Close()
				finished := !c.off
				if finished && err != nil {
					t.Fatal(err)
				}
				after(t, fmt.Sprintf("cut %d", cut), openBox(t, root, nil), d, finished)
				if finished {
					break
				}
			}
		})
	}
}

// killedIn makes this test's program do one deed there and kill itself at a step.
const killedIn = "CONJURED_TEST_KILLED_IN"

func TestMain(m *testing.M) {
	if root := os.Getenv(killedIn); root != "" {
		os.Exit(untilKilled(root))
	}
	os.Exit(m.Run())
}

func untilKilled(root string) int {
	var t testing.T
	cut, _ := strconv.Atoi(os.Getenv("TEST_CUT"))
	c := &cutter{left: cut, die: func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} }}
	store, err := environments.Open(filepath.Join(root, "env"), "")
	if err != nil {
		return 1
	}
	git, err := history.Open(context.Background(), history.Config{Dir: filepath.Join(root, "history.git")})
	if err != nil {
		return 1
	}
	b := &box{t: &t, root: root, store: store, shop: &workshop{store: store}, git: git}
	r, err := New(config(b, fragile{git, c}))
	if err != nil {
		return 1
	}
	b.wants = []Wanted{wish("base", "numpy==3")}
	store.Guard(c.step)
	if err := deeds()[os.Getenv("TEST_DEED")].do(context.Background(), r); err != nil {
		return 1
	}
	return 0
}

// The same with a process that is killed, at some of the steps.
func TestKilled(t *testing.T) {
	for _, name := range []string{"prepare", "promote"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deeds()[name]
			begin := newBox(t, nil)
			d.before(begin)
			begin.git.Close()
			for cut := 1; ; cut += 5 {
				root := copyTree(t, begin.root)
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), killedIn+"="+root, "TEST_DEED="+name, "TEST_CUT="+strconv.Itoa(cut))
				err := cmd.Run()
				var x *exec.ExitError
				if err != nil && (!errors.As(err, &x) || x.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL) {
					t.Fatalf("cut %d: %v", cut, err)
				}
				after(t, fmt.Sprintf("killed at %d", cut), openBox(t, root, nil), d, err == nil)
				if err == nil {
					break
				}
			}
		})
	}
}
