package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
	"github.com/conjuring/conjured/notice"
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
	if err := b.git.Check(t.Context()); err != nil {
		t.Errorf("%s: %v", what, err)
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

// A history that cannot be written costs a notice, and is made up for by the next verb.
func TestHistoryThatCannotBeWritten(t *testing.T) {
	b := newBox(t, nil)
	b.want("base", "numpy==1")
	b.past.broken = fmt.Errorf("cannot write: %w", syscall.ENOSPC)
	w := wish("base", "numpy==2")
	o, err := b.Prepare(t.Context(), w, progress.Discard)
	if err != nil || o.Did != Deployed || o.Tag != "" || len(o.Notices) != 1 || code(o.Notices) != "environment-history" {
		t.Fatalf("%+v, %v", o, err)
	}
	if o, err = b.Settle(t.Context(), "base"); err != nil || o.Did != Promoted || o.Generation != 2 {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err = b.Rollback(t.Context(), "base", ""); err != nil || o.Did != RolledBack {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err = b.Rollback(t.Context(), "base", "2"); err != nil || o.Did != RolledBack {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := b.Tag(t.Context(), "base"); code(notice.For(err)) != "environment-history" {
		t.Errorf("%v", err)
	}
	b.past.broken = nil
	o, err = b.Prepare(t.Context(), w, progress.Discard)
	if err != nil || o.Did != Unchanged || len(o.Notices) != 0 {
		t.Errorf("%+v, %v", o, err)
	}
	b.labels("base", map[string]int{"current": 2, "previous": 1})
	spec, _ := b.git.Spec(t.Context(), "base")
	if text, _ := find(spec, "requirements.txt"); string(text) != "numpy==2\n" {
		t.Errorf("the history has %q", text)
	}
}

// ENOSPC on the disk of labels: the verb fails, and current is what it was.
func TestDiskFull(t *testing.T) {
	b := newBox(t, nil)
	b.want("base", "numpy==1")
	b.store.Guard(func(string) error { return syscall.ENOSPC })
	if _, err := b.Prepare(t.Context(), wish("base", "numpy==2"), progress.Discard); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v", err)
	}
	b.store.Guard(func(string) error { return nil })
	b.labels("base", map[string]int{"current": 1})
	if o := b.want("base", "numpy==2"); o.Did != Promoted || o.Generation != 2 {
		t.Errorf("%+v", o)
	}
	b.labels("base", map[string]int{"current": 2, "previous": 1})
}

// Without the program git there is no history, and the class goes on.
func TestWithoutGit(t *testing.T) {
	var open func(context.Context) (History, error)
	b := newBox(t, func(c *Config) {
		c.History = nil
		c.Reopen = func(ctx context.Context) (History, error) { return open(ctx) }
	})
	open = func(context.Context) (History, error) { return nil, exec.ErrNotFound }
	if _, err := b.Repair(t.Context()); err != nil || len(b.told) != 1 || b.told[0].Code != "environment-history-gone" {
		t.Errorf("%v, %+v", err, b.told)
	}
	b.want("geo", "numpy==1")
	if o := b.want("geo", "numpy==2"); o.Did != Promoted || o.Tag != "" {
		t.Errorf("%+v", o)
	}
	if o, err := b.Rollback(t.Context(), "geo", "1"); err != nil || o.Generation != 1 {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := b.Rollback(t.Context(), "geo", "2026_01_01"); code(notice.For(err)) != "environment-no-history" {
		t.Errorf("%v", err)
	}
	if _, err := b.List(t.Context()); err != nil {
		t.Error(err)
	}
	open = func(context.Context) (History, error) { return b.git, nil }
	out, err := b.Repair(t.Context())
	if err != nil || len(out) != 1 || out[0].Did != Repaired {
		t.Errorf("%+v, %v", out, err)
	}
	b.labels("geo", map[string]int{"current": 1, "previous": 2})
}

// A repository that is gone or damaged is made again from the generations, with the
// names of its tags.
func TestRepositoryGone(t *testing.T) {
	for name, hurt := range map[string]func(dir string) error{
		"gone":   os.RemoveAll,
		"no git": func(dir string) error { return os.WriteFile(filepath.Join(dir, "HEAD"), nil, 0o644) },
		"objects": func(dir string) error {
			packs, _ := filepath.Glob(filepath.Join(dir, "objects/pack/*.pack"))
			for _, p := range packs {
				if err := errors.Join(os.Chmod(p, 0o600), os.Truncate(p, 20)); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t, nil)
			b.want("geo", "numpy==1")
			tag := b.want("geo", "numpy==2").Tag
			b.want("bio", "numpy==1")
			b.git.Close()
			if err := hurt(filepath.Join(b.root, "history.git")); err != nil {
				t.Fatal(err)
			}
			b = openBox(t, b.root, nil)
			if _, err := b.Repair(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(b.told, func(n notice.Notice) bool { return n.Code == "environment-history-again" }) {
				t.Errorf("told %+v", b.told)
			}
			b.labels("geo", map[string]int{"current": 2, "previous": 1})
			b.labels("bio", map[string]int{"current": 1})
			if o, err := b.Rollback(t.Context(), "geo", tag); err != nil || o.Did != Unchanged || o.Tag != tag {
				t.Errorf("the tag is not what it was: %+v, %v", o, err)
			}
			spec, err := b.git.Spec(t.Context(), "geo")
			if text, _ := find(spec, "requirements.txt"); err != nil || string(text) != "numpy==2\n" {
				t.Errorf("the history has %q, %v", text, err)
			}
			b.told = nil
			if out, err := b.Repair(t.Context()); err != nil || len(out) != 0 || len(b.told) != 0 {
				t.Errorf("again: %+v, %v, %+v", out, err, b.told)
			}
		})
	}
}

// That git cannot be run says nothing about the repository: it is left where it is.
func TestGitThatCannotRun(t *testing.T) {
	b := newBox(t, nil)
	tag := b.want("geo", "numpy==1").Tag
	for _, cause := range []error{syscall.ENOMEM, &os.PathError{Op: "fork/exec", Path: "git", Err: syscall.ENOENT}, exec.ErrNotFound} {
		b.past.broken, b.told = fmt.Errorf("cannot check: %w", cause), nil
		if _, err := b.Repair(t.Context()); err != nil {
			t.Error(err)
		}
		if len(b.told) != 1 || b.told[0].Code != "environment-history-gone" {
			t.Errorf("%v: told %+v", cause, b.told)
		}
	}
	b.past.broken = nil
	if out, err := b.Repair(t.Context()); err != nil || len(out) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
	if moved, _ := filepath.Glob(filepath.Join(b.root, "history.git.broken*")); len(moved) != 0 {
		t.Errorf("it was moved to %v", moved)
	}
	if o, err := b.Rollback(t.Context(), "geo", tag); err != nil || o.Did != Unchanged || o.Tag != tag {
		t.Errorf("%+v, %v", o, err)
	}
}

// A clock that goes back changes nothing about what is newer: tags of a later date are
// the older ones, and numbers order generations.
func TestClockGoesBack(t *testing.T) {
	b := newBox(t, nil)
	b.want("geo", "numpy==1")
	g, err := b.store.Current("geo")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.store.KeepTag(g, "env-geo-2099_12_31-4"); err != nil { // it was tagged by a clock that was ahead
		t.Fatal(err)
	}
	b.git.Close()
	if err := os.RemoveAll(filepath.Join(b.root, "history.git")); err != nil {
		t.Fatal(err)
	}
	b = openBox(t, b.root, nil)
	if _, err := b.Repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := b.want("geo", "numpy==2")
	if now.Did != Promoted || now.Tag == "" || now.Tag >= "env-geo-2099" {
		t.Fatalf("%+v", now)
	}
	if o, err := b.Deploy(t.Context(), "geo", progress.Discard); err != nil || o.Tag != now.Tag || o.Generation != 2 {
		t.Errorf("the newest is %+v, %v", o, err)
	}
	if o, err := b.Rollback(t.Context(), "geo", "latest"); err != nil || o.Did != Unchanged || o.Generation != 2 {
		t.Errorf("latest is %+v, %v", o, err)
	}
	if o, err := b.Rollback(t.Context(), "geo", "2099_12_31-4"); err != nil || o.Generation != 1 {
		t.Errorf("%+v, %v", o, err)
	}
	b.labels("geo", map[string]int{"current": 1, "previous": 2})
}

// Two applies at once queue, a rollback does not wait for a build, and who does not want
// to wait any longer does not.
func TestTwoAtOnce(t *testing.T) {
	b := newBox(t, nil)
	b.want("geo", "numpy==1")
	b.want("geo", "numpy==2")
	inside, leave := make(chan string, 2), make(chan struct{})
	b.shop.hold = func(env environments.Name) { inside <- string(env); <-leave }
	done := make(chan Outcome, 2)
	apply := func(ctx context.Context, env string) {
		o, _ := b.Prepare(ctx, wish(env, "new"), progress.Discard)
		done <- o
	}
	go apply(t.Context(), "geo")
	<-inside
	ctx, cancel := context.WithCancel(t.Context())
	go apply(ctx, "bio")
	if o, err := b.Rollback(t.Context(), "geo", ""); err != nil || o.Did != RolledBack {
		t.Errorf("%+v, %v", o, err)
	}
	cancel()
	if o := <-done; o.Env != "bio" || !errors.Is(o.Err, context.Canceled) {
		t.Errorf("%+v", o)
	}
	go apply(t.Context(), "bio")
	close(leave)
	for range 2 {
		if o := <-done; o.Did != Deployed {
			t.Errorf("%+v", o)
		}
	}
	b.labels("geo", map[string]int{"current": 1, "previous": 2, "next": 3})
	b.labels("bio", map[string]int{"next": 1})
}

// Who is told of a move may use the registry, and hears of moves one by one, in their order.
func TestMovedMayAsk(t *testing.T) {
	var b *box
	var heard []string
	b = newBox(t, func(c *Config) {
		c.Moved = func(m Move) {
			heard = append(heard, fmt.Sprintf("%s %d>%d", m.Env, m.From.Number, m.To.Number))
			defer func() { heard = append(heard, "heard") }()
			if m.To.Number == 2 {
				if _, err := b.Rollback(context.Background(), m.Env, ""); err != nil {
					t.Error(err)
				}
			}
		}
	})
	b.want("geo", "numpy==1")
	b.want("geo", "numpy==2")
	if got := strings.Join(heard, ", "); got != "geo 0>1, heard, geo 1>2, heard, geo 2>1, heard" {
		t.Error(got)
	}
}

// GC keeps what labels, pins and exports name and the newest three; a retired environment
// goes as a whole, and nothing goes while a lesson runs.
func TestGC(t *testing.T) {
	busy := true
	b := newBox(t, func(c *Config) { c.Busy = func() bool { return busy } })
	for i := range 8 {
		b.want("geo", fmt.Sprintf("numpy==%d", i+1))
	}
	b.want("bio", "numpy==1")
	if _, err := b.Label(t.Context(), "geo", "exam", "2"); err != nil {
		t.Fatal(err)
	}
	if o, err := b.Pin(t.Context(), "geo", "3"); err != nil || o.Did != Pinned {
		t.Fatalf("%+v, %v", o, err)
	}
	if o, err := b.Pin(t.Context(), "geo", "3"); err != nil || o.Did != Unchanged {
		t.Errorf("%+v, %v", o, err)
	}
	out, err := b.GC(t.Context())
	if err != nil || len(out) != 1 || out[0].Did != Waiting || code(out[0].Notices) != "environment-gc-later" {
		t.Fatalf("%+v, %v", out, err)
	}
	busy = false
	removed := func() (got []string) {
		out, err := b.GC(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range out {
			got = append(got, fmt.Sprint(o.Env, o.Generation))
		}
		return got
	}
	if got := removed(); !slices.Equal(got, []string{"geo1", "geo4", "geo5"}) {
		t.Errorf("%v", got)
	}
	if err := b.Retire(t.Context(), []environments.Name{"geo"}); err != nil {
		t.Fatal(err)
	}
	b.labels("bio", map[string]int{})
	if got := removed(); !slices.Equal(got, []string{"bio1"}) {
		t.Errorf("%v", got)
	}
	if o, err := b.Unpin(t.Context(), "geo", "3"); err != nil || o.Did != Unpinned {
		t.Errorf("%+v, %v", o, err)
	}
	if got := removed(); !slices.Equal(got, []string{"geo3"}) {
		t.Errorf("%v", got)
	}
	if o := b.want("bio", "numpy==1"); o.Did != Promoted || o.Generation != 1 && o.Generation != 2 {
		t.Errorf("it does not come back: %+v", o)
	}
	if got := removed(); len(got) != 0 {
		t.Errorf("what came back went: %v", got)
	}
}

// The class's own environment, and what is kept, is never retired; a teacher's label
// outlives it.
func TestRetire(t *testing.T) {
	b := newBox(t, nil)
	for _, env := range []string{"base", "geo", "bio"} {
		b.want(env, "numpy")
	}
	if _, err := b.Label(t.Context(), "bio", "exam", "1"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.Retire(t.Context(), []environments.Name{"geo"}); err != nil {
			t.Fatal(err)
		}
		b.labels("base", map[string]int{"current": 1})
		b.labels("geo", map[string]int{"current": 1})
		b.labels("bio", map[string]int{"exam": 1})
	}
	if out, err := b.GC(t.Context()); err != nil || len(out) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
	if out, err := b.Repair(t.Context()); err != nil || len(out) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
}
