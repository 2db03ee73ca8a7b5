package registry

import (
	"fmt"
	"strings"
	"testing"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
	"github.com/conjuring/conjured/notice"
)

// K6: previous is dropped, current becomes previous, next current, in one commit.
func TestK6_promote(t *testing.T) {
	b := newBox(t, func(c *Config) { c.Policy = Never })
	b.want("base", "a")
	for i, line := range []string{"b", "c"} {
		b.want("base", line)
		before, _ := b.git.Log(t.Context(), "base", 100)
		o, err := b.Promote(t.Context(), "base")
		if err != nil || o.Did != Promoted || o.Generation != i+2 {
			t.Fatalf("%+v, %v", o, err)
		}
		after, _ := b.git.Log(t.Context(), "base", 100)
		if len(after) != len(before)+1 || after[0].Did != history.Labelled || len(after[0].Labels) != 3 {
			t.Errorf("%d commits: %+v", len(after)-len(before), after[0])
		}
		b.labels("base", map[string]int{"current": i + 2, "previous": i + 1})
	}
	o, err := b.Promote(t.Context(), "base")
	if err != nil || o.Did != Unchanged || o.Generation != 3 {
		t.Errorf("twice: %+v, %v", o, err)
	}
	if _, err := b.Promote(t.Context(), "nothing"); code(notice.For(err)) != "environment-unknown" {
		t.Errorf("%v", err)
	}
}

// The policies: who waits, and what is said about it.
func TestPolicy(t *testing.T) {
	for _, x := range []struct {
		policy Policy
		lines  []string
		want   Did
	}{
		{"", []string{"numpy==2.0", "new"}, Promoted},
		{Tested, []string{"numpy==3.0"}, Promoted},
		{AddOnly, []string{"numpy==2.0", "new"}, Promoted},
		{AddOnly, []string{"numpy==2.1"}, Waiting},
		{AddOnly, []string{"numpy==2.1", "new"}, Waiting},
		{AddOnly, []string{"new"}, Waiting},
		{Never, []string{"numpy==2.0", "new"}, Waiting},
	} {
		b := newBox(t, func(c *Config) { c.Policy = x.policy })
		b.want("base", "numpy==2.0") // the first one never waits: there is no class without it
		b.labels("base", map[string]int{"current": 1})
		o := b.want("base", x.lines...)
		if o.Did != x.want {
			t.Errorf("%s %v: %s, want %s", x.policy, x.lines, o.Did, x.want)
		}
		if x.want == Waiting {
			b.labels("base", map[string]int{"current": 1, "next": 2})
			if len(o.Notices) != 1 || o.Notices[0].Code != "environment-waiting" || !strings.Contains(o.Notices[0].What, o.Sentence) ||
				!strings.Contains(o.Notices[0].Do, "conjured env promote base") {
				t.Errorf("%+v", o.Notices)
			}
		}
	}
	if _, err := New(Config{}); err == nil {
		t.Error("an empty Config was taken")
	}
}

// Never also holds back an environment's first generation, unless it is the class's own.
func TestNeverHoldsBackWhatIsNew(t *testing.T) {
	b := newBox(t, func(c *Config) { c.Policy = Never })
	if o := b.want("geo", "numpy"); o.Did != Waiting {
		t.Errorf("%+v", o)
	}
	b.c.Policy = AddOnly
	r, err := New(b.c)
	if err != nil {
		t.Fatal(err)
	}
	if o, err := r.Settle(t.Context(), "geo"); err != nil || o.Did != Promoted {
		t.Errorf("%+v, %v", o, err)
	}
}

// A rollback needs no build, swaps, and holds: the wish in the folder does not undo it.
func TestRollbackHolds(t *testing.T) {
	b := newBox(t, nil)
	b.want("geo", "numpy==1")
	b.want("geo", "numpy==2")
	calls := b.shop.calls
	o, err := b.Rollback(t.Context(), "geo", "")
	if err != nil || o.Did != RolledBack || o.Generation != 1 || b.shop.calls != calls {
		t.Fatalf("%+v, %v", o, err)
	}
	b.labels("geo", map[string]int{"current": 1, "previous": 2})
	if m := b.moves[len(b.moves)-1]; m.From.Number != 2 || m.To.Number != 1 {
		t.Errorf("%+v", m)
	}
	if o := b.want("geo", "numpy==2"); o.Did != Waiting || code(o.Notices) != "environment-waiting" || !strings.Contains(o.Notices[0].Means, "rolled back") {
		t.Errorf("the folder undid it: %+v", o)
	}
	b.labels("geo", map[string]int{"current": 1, "previous": 2, "next": 2})
	if o := b.want("geo", "numpy==3"); o.Did != Promoted { // another wish
		t.Errorf("%+v", o)
	}
	b.labels("geo", map[string]int{"current": 3, "previous": 1})

	// The folder was changed to what is in use: what it asks for after that is a new wish.
	if _, err := b.Rollback(t.Context(), "geo", ""); err != nil {
		t.Fatal(err)
	}
	b.want("geo", "numpy==1")
	if o := b.want("geo", "numpy==3"); o.Did != Promoted {
		t.Errorf("%+v", o)
	}

	// Promoting is somebody's word: it ends what the rollback began.
	if _, err := b.Rollback(t.Context(), "geo", ""); err != nil {
		t.Fatal(err)
	}
	b.want("geo", "numpy==3")
	if o, err := b.Promote(t.Context(), "geo"); err != nil || o.Did != Promoted || b.store.Held("geo") != "" {
		t.Errorf("%+v, %v, held %q", o, err, b.store.Held("geo"))
	}
}

func TestRollbackTo(t *testing.T) {
	b := newBox(t, nil)
	var tags []string
	for i := range 4 {
		tags = append(tags, b.want("geo", fmt.Sprintf("numpy==%d", i+1)).Tag)
	}
	for _, ref := range []string{tags[0], strings.TrimPrefix(tags[0], "env-geo-"), "1"} {
		o, err := b.Rollback(t.Context(), "geo", ref)
		if err != nil || o.Did != RolledBack || o.Generation != 1 || o.Tag != tags[0] {
			t.Errorf("%s: %+v, %v", ref, o, err)
		}
		b.labels("geo", map[string]int{"current": 1, "previous": 4})
		if o, err := b.Rollback(t.Context(), "geo", ref); err != nil || o.Did != Unchanged {
			t.Errorf("%s again: %+v, %v", ref, o, err)
		}
		if o, err := b.Rollback(t.Context(), "geo", "latest"); err != nil || o.Generation != 4 {
			t.Errorf("latest: %+v, %v", o, err)
		}
	}
	for ref, want := range map[string]string{"9": "environment-no-generation", "nothing": "environment-no-generation", "env-geo-1999_01_01": "environment-no-generation", "../x": "environment-no-generation"} {
		if _, err := b.Rollback(t.Context(), "geo", ref); code(notice.For(err)) != want {
			t.Errorf("%s: %v", ref, err)
		}
	}
	b.labels("geo", map[string]int{"current": 4, "previous": 1})
	b.want("one", "x")
	if _, err := b.Rollback(t.Context(), "one", ""); code(notice.For(err)) != "environment-no-previous" {
		t.Errorf("%v", err)
	}
}

func TestLabelsOfTheTeacher(t *testing.T) {
	b := newBox(t, nil)
	tag := b.want("geo", "numpy==1").Tag
	b.want("geo", "numpy==2")
	o, err := b.Label(t.Context(), "geo", "exam.2026", tag)
	if err != nil || o.Did != Labelled || o.Generation != 1 {
		t.Fatalf("%+v, %v", o, err)
	}
	b.labels("geo", map[string]int{"current": 2, "previous": 1, "exam.2026": 1})
	if o, err := b.Label(t.Context(), "geo", "exam.2026", "1"); err != nil || o.Did != Unchanged {
		t.Errorf("again: %+v, %v", o, err)
	}
	if o, err := b.Label(t.Context(), "geo", "exam.2026", ""); err != nil || o.Did != Labelled {
		t.Errorf("%+v, %v", o, err)
	}
	b.labels("geo", map[string]int{"current": 2, "previous": 1})
	if o, err := b.Label(t.Context(), "geo", "exam.2026", ""); err != nil || o.Did != Unchanged {
		t.Errorf("gone already: %+v, %v", o, err)
	}
	for _, l := range []string{"current", "previous", "latest", "Exam", "a-b", ".x", "../x", "12", ""} {
		if _, err := b.Label(t.Context(), "geo", l, "1"); code(notice.For(err)) != "environment-label" {
			t.Errorf("label %q: %v", l, err)
		}
	}
	if o, err := b.Label(t.Context(), "geo", "next", tag); err != nil || o.Did != Labelled { // the old tool's --next-only
		t.Errorf("%+v, %v", o, err)
	}
	b.labels("geo", map[string]int{"current": 2, "previous": 1, "next": 1})
}

// What adds nothing does not wait either: the index lists one more file of a package.
func TestAddOnlyLetsNothingPass(t *testing.T) {
	b := newBox(t, func(c *Config) { c.Policy = AddOnly })
	now := environments.Generation{Env: "geo", Number: 1, ID: "a"}
	next := environments.Generation{Env: "geo", Number: 2, ID: "b"}
	if n, waits := b.waits(now, next, Outcome{Changes: &environments.Changes{}}); waits {
		t.Errorf("%+v", n)
	}
}

// Packages that come back are a new state of the history with the generation of before:
// labels name the newest tag.
func TestBackToWhatWas(t *testing.T) {
	b := newBox(t, nil)
	first := b.want("geo", "numpy==1")
	b.want("geo", "numpy==2")
	again := b.want("geo", "numpy==1")
	if again.Did != Promoted || again.Generation != 1 || again.Tag == first.Tag {
		t.Errorf("%+v", again)
	}
	if l, err := b.git.Labels(t.Context(), "geo"); err != nil || l["current"] != again.Tag {
		t.Errorf("%v, %v; want %s", l, err, again.Tag)
	}
	b.labels("geo", map[string]int{"current": 1, "previous": 2})
}
