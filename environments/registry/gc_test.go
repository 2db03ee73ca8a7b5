package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
	"github.com/conjuring/conjured/progress"
)

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
	out, err := b.GC(t.Context(), false)
	if err != nil || len(out.Outcomes) != 1 || out.Outcomes[0].Did != Waiting || code(out.Outcomes[0].Notices) != "environment-gc-later" {
		t.Fatalf("%+v, %v", out, err)
	}
	if out, err := b.GC(t.Context(), true); err != nil || len(out.Outcomes) != 3 || out.Outcomes[0].Did != Removable || len(out.Freed) == 0 {
		t.Errorf("a dry run disturbs nobody: %+v, %v", out, err)
	}
	busy = false
	removed := func() (got []string) {
		out, err := b.GC(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range out.Outcomes {
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

// G5: an environment goes with its directory. The class's own, and what is kept, is never retired; a teacher's label
// outlives it.
func TestG5_retire(t *testing.T) {
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
	if out, err := b.GC(t.Context(), false); err != nil || len(out.Outcomes) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
	if out, err := b.Repair(t.Context()); err != nil || len(out) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
}

// A lesson that begins while old packages are removed ends that, and says so.
func TestGCEndsForALesson(t *testing.T) {
	asked := 0
	b := newBox(t, func(c *Config) { c.Busy = func() bool { asked++; return asked > 1 } })
	for i := range 5 {
		b.want("geo", fmt.Sprintf("numpy==%d", i+1))
	}
	out, err := b.GC(t.Context(), false)
	if err != nil || len(out.Outcomes) != 1 || out.Outcomes[0].Did != Waiting || len(out.Freed) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
	if l, err := b.store.Generations("geo"); err != nil || len(l) != 5 {
		t.Errorf("%v, %v", l, err)
	}
}

// What a label of the history names and the newest ten tags can be built without network
// after GC; when the history cannot be read, everything can be wanted.
func TestDeployable(t *testing.T) {
	b := newBox(t, nil)
	for i := range 13 {
		b.want("geo", fmt.Sprintf("numpy==%d", i+1))
		if i == 0 {
			if _, err := b.Label(t.Context(), "geo", "exam", "1"); err != nil {
				t.Fatal(err)
			}
		}
	}
	ms, known := b.deployable(t.Context())
	got := map[string]bool{}
	for _, m := range ms {
		p, _ := m.Find("numpy")
		got[p.Version] = true
	}
	if !known || len(got) != 11 || !got["1"] || got["2"] || got["3"] || !got["4"] || !got["13"] {
		t.Errorf("%v, %v", got, known)
	}
	b.past.broken = errors.New("cannot read")
	if _, known := b.deployable(t.Context()); known {
		t.Error("a history that cannot be read needs nothing")
	}
	m, ok := manifestIn([]history.File{{Name: envManifest, Data: []byte("https://conda.anaconda.org/conda-forge/linux-64\tnumpy-1.26.4-py312_0\n")}})
	if p, has := m.Find("numpy"); !ok || !has || p.Version != "1.26.4" || p.Build != "py312_0" {
		t.Errorf("%+v, %v", m, ok)
	}
}

// The system's images are written through the registry, whichever history it has now.
func TestRecordSystem(t *testing.T) {
	b := newBox(t, func(c *Config) {
		h := c.History
		c.History, c.Reopen = nil, func(context.Context) (History, error) { return h, nil }
	})
	files := []history.File{{Name: "apt.manifest", Data: []byte("tree=2.1:amd64 - - -\n")}}
	if err := b.RecordSystem(t.Context(), files, "system 1"); err != nil {
		t.Errorf("without a history: %v", err)
	}
	if err := b.Pack(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := b.Repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.RecordSystem(t.Context(), files, "system 1"); err != nil {
		t.Fatal(err)
	}
	if tags, err := b.git.Tags(t.Context(), "system"); err != nil || len(tags) != 1 {
		t.Errorf("%v, %v", tags, err)
	}
	if err := b.Pack(t.Context()); err != nil {
		t.Error(err)
	}
}
