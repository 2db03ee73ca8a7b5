package registry

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// foreignBox is a box with an environment that nobody's folder asks for: geo, with a
// generation of each version, the label exam on the first and a pin on the second.
func foreignBox(t *testing.T, versions ...string) *box {
	t.Helper()
	b := newBox(t, func(c *Config) {
		c.Read = func(_ context.Context, env environments.Name, _ []history.File) (environments.Spec, error) {
			return wish(string(env), "numpy").Spec, nil
		}
	})
	for _, v := range versions {
		b.want("geo", "numpy=="+v)
	}
	_, err := b.Label(t.Context(), "geo", "exam", "1")
	_, pinErr := b.Pin(t.Context(), "geo", "2")
	if err := errors.Join(err, pinErr, b.store.Adopt("geo", "Geo-Old")); err != nil {
		t.Fatal(err)
	}
	b.wants = []Wanted{wish("base", "numpy==1")}
	return b
}

// What nobody's folder asks for is taken out of use by a word, and comes back by deploying
// its tag, with its name: its history stays, and what a label or a pin keeps.
func TestRemove(t *testing.T) {
	b := foreignBox(t, "1", "2", "3", "4", "5")
	before := map[string]int{"current": 5, "previous": 4, "exam": 1}
	b.labels("geo", before)
	dry, err := b.Remove(t.Context(), "geo", true)
	if err != nil || dry.Did != Removable || dry.Tag == "" || code(dry.Notices) != "environment-removed" ||
		!strings.Contains(dry.Notices[0].What, "3 generations go") || !strings.Contains(dry.Notices[0].What, "2 stay") || !strings.HasSuffix(dry.Notices[0].Do, "conjured env deploy geo "+dry.Tag) {
		t.Errorf("%+v, %v", dry, err)
	}
	b.labels("geo", before)
	o, err := b.Remove(t.Context(), "geo", false)
	if err != nil || o.Did != Removed || o.Tag != dry.Tag || b.store.Imported("geo") {
		t.Fatalf("%+v, %v", o, err)
	}
	b.labels("geo", map[string]int{"exam": 1})
	if again, err := b.Remove(t.Context(), "geo", false); err != nil || again.Did != Unchanged {
		t.Errorf("%+v, %v", again, err)
	}
	if out, err := b.Repair(t.Context()); err != nil || len(out) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
	if out, err := b.GC(t.Context(), false); err != nil || len(out.Outcomes) != 3 {
		t.Errorf("%+v, %v", out, err)
	}
	if tags, err := b.git.Tags(t.Context(), "geo"); err != nil || len(tags) != 5 || !b.Recorded(t.Context(), "geo") {
		t.Errorf("%v, %v", tags, err)
	}
	back, err := b.Deploy(t.Context(), o.Tag, progress.Discard)
	if err != nil || back.Did != Promoted || back.Tag != o.Tag || !b.store.Imported("geo") || b.store.Foreign("geo") != "Geo-Old" {
		t.Errorf("%+v, %v; imported: %v", back, err, b.store.Imported("geo"))
	}
	b.labels("geo", map[string]int{"exam": 1, "current": back.Generation})
	if err := b.Retire(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	b.labels("geo", map[string]int{"exam": 1, "current": back.Generation})
}

// The class's own environment, what the folder asks for and what nobody knows stay as
// they are; the answer says which file to delete.
func TestRemoveRefuses(t *testing.T) {
	b := foreignBox(t, "1", "2")
	b.wants = append(b.wants, wish("geo", "numpy==2"))
	for env, want := range map[environments.Name]string{
		"base": "environment-remove-base", "geo": "environment-remove-wanted", "none": "environment-unknown", "system": "environment-name",
	} {
		o, err := b.Remove(t.Context(), env, false)
		if l := notice.For(err); err == nil || o.Did != Failed || len(l) != 1 || l[0].Code != want {
			t.Errorf("%s: %+v, %v", env, o, err)
		}
		if env == "geo" && !strings.Contains(o.Notices[0].Do, "delete requirements.txt from") {
			t.Errorf("%+v", o.Notices)
		}
	}
	b.labels("geo", map[string]int{"current": 2, "previous": 1, "exam": 1})
	if _, err := b.Prepare(t.Context(), b.wants[1], progress.Discard); err != nil || b.store.Imported("geo") {
		t.Errorf("the folder has it now: %v", err)
	}
	b.wants = nil
	if o, err := b.Remove(t.Context(), "geo", false); err != nil || o.Did != Unchanged || len(o.Notices) != 1 {
		t.Errorf("what came from the folder goes with it: %+v, %v", o, err)
	}
}

// A cut at any step of a removal leaves the environment in use or removed, never between;
// then it can be removed, and brought back.
func TestRemoveSurvivesCuts(t *testing.T) {
	cut := errors.New("power cut")
	for at := 1; ; at++ {
		b := foreignBox(t, "1", "2")
		steps := 0
		b.store.Guard(func(string) error {
			if steps++; steps >= at {
				return cut
			}
			return nil
		})
		_, err := b.Remove(t.Context(), "geo", false)
		b.store.Guard(func(string) error { return nil })
		if _, err := b.Repair(t.Context()); err != nil {
			t.Fatal(err)
		}
		if b.store.Imported("geo") {
			b.labels("geo", map[string]int{"current": 2, "previous": 1, "exam": 1})
		} else {
			b.labels("geo", map[string]int{"exam": 1})
		}
		if _, err := b.Remove(t.Context(), "geo", false); err != nil {
			t.Fatalf("cut %d: %v", at, err)
		}
		b.labels("geo", map[string]int{"exam": 1})
		if o, err := b.Rollback(t.Context(), "geo", "2"); err != nil || !b.store.Imported("geo") {
			t.Errorf("cut %d: %+v, %v", at, o, err)
		}
		if err == nil {
			if steps == 0 {
				t.Error("there was no step")
			}
			return
		}
	}
}
