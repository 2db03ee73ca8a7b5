package environments

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// K6: a cut before any step of a promotion leaves the old or the new labels once they are
// repaired, and at no moment is there no current.
func TestK6_promoteSurvivesCutAtEveryStep(t *testing.T) {
	for cut := 0; ; cut++ {
		s := open(t)
		a, b, c := generation(t, s), generation(t, s), generation(t, s)
		for _, err := range []error{s.Flip(Current, a), s.Flip(Current, b), s.Flip(Next, c), s.Hold(Base, c.ID)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		steps := 0
		s.Guard(func(string) error {
			if _, err := s.Current(Base); err != nil {
				t.Errorf("cut %d: no current", cut)
			}
			if steps++; steps > cut {
				return errCut
			}
			return nil
		})
		_, err := s.Promote(Base)
		s.Guard(func(string) error { return nil })
		if _, left := s.Label(Base, Next); err == nil && left == nil {
			t.Error("next is still there")
		}
		if _, err := s.Repair(t.Context()); err != nil {
			t.Fatal(err)
		}
		labels, _ := s.Labels(Base)
		old := map[Label]int{Current: b.Number, Previous: a.Number, Next: c.Number}
		done := map[Label]int{Current: c.Number, Previous: b.Number}
		if !cmp.Equal(labels, done) && (err == nil || !cmp.Equal(labels, old)) {
			t.Fatalf("cut %d: %v", cut, labels)
		}
		if err == nil {
			if s.Held(Base) != "" {
				t.Error("a promotion is somebody's word, and it is held back still")
			}
			if _, err := s.Promote(Base); !errors.Is(err, ErrNoGeneration) {
				t.Errorf("without a next: %v", err)
			}
			break
		}
	}
}

// A damaged generation does not become previous: nobody could go back to it.
func TestFlipKeepsPreviousWhenCurrentIsDamaged(t *testing.T) {
	s := open(t)
	a, b, c := generation(t, s), generation(t, s), generation(t, s)
	for _, g := range []Generation{a, b} {
		if err := s.Flip(Current, g); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(s.Root(), b.Path())); err != nil {
		t.Fatal(err)
	}
	if err := s.Flip(Current, c); err != nil {
		t.Fatal(err)
	}
	labels, _ := s.Labels(Base)
	if d := cmp.Diff(map[Label]int{Current: c.Number, Previous: a.Number}, labels); d != "" {
		t.Error(d)
	}
}

func TestRollbackIsHeld(t *testing.T) {
	s := open(t)
	a, b := generation(t, s), generation(t, s)
	for _, g := range []Generation{a, b} {
		if err := s.Flip(Current, g); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Rollback(Base); err != nil || s.Held(Base) != b.ID {
		t.Errorf("held %q, %v", s.Held(Base), err)
	}
	twin := b // the same packages, built again
	var err error
	if twin.Number, err = s.begin(Base); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.complete(twin), s.Flip(Current, b), s.Hold(Base, ""), s.RollbackTo(twin)); err != nil || s.Held(Base) != "" {
		t.Errorf("the same packages are held back: %v", err)
	}
	if err := s.Hold(Base, a.ID); err != nil || s.Held(Base) != a.ID {
		t.Error(err)
	}
	if err := s.Hold(Base, "x"); err == nil {
		t.Error("what is no manifest was held")
	}
	if err := s.Hold(Base, ""); err != nil || s.Held(Base) != "" {
		t.Errorf("held %q, %v", s.Held(Base), err)
	}
}

// A cut before any step of retiring is finished by the repair; somebody's next wish takes
// the mark away.
func TestRetireSurvivesCutAtEveryStep(t *testing.T) {
	for cut := 0; ; cut++ {
		s := open(t)
		a, b := generation(t, s), generation(t, s)
		for _, err := range []error{s.Flip(Current, a), s.Flip(Current, b), s.Flip(Next, a), s.Flip("exam", a)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		steps := 0
		s.Guard(func(string) error {
			if steps++; steps > cut {
				return errCut
			}
			return nil
		})
		err := s.Retire(Base)
		s.Guard(func(string) error { return nil })
		if _, err := s.Repair(t.Context()); err != nil {
			t.Fatal(err)
		}
		labels, _ := s.Labels(Base)
		if gone := cmp.Equal(labels, map[Label]int{"exam": a.Number}); gone != s.Retired(Base) || !gone && (err == nil || labels[Current] != b.Number || len(labels) != 4) {
			t.Fatalf("cut %d: %v, retired %t", cut, labels, s.Retired(Base))
		}
		if err == nil {
			if err := s.Flip(Next, b); err != nil || s.Retired(Base) {
				t.Errorf("it is retired still: %v", err)
			}
			break
		}
	}
}

func TestUnlabel(t *testing.T) {
	s := open(t)
	g := generation(t, s)
	for _, l := range []Label{Current, "exam"} {
		if err := s.Flip(l, g); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := s.Unlabel(Base, "exam"); err != nil {
			t.Error(err)
		}
	}
	for _, l := range []Label{Current, ".retired", "../x"} {
		if err := s.Unlabel(Base, l); err == nil {
			t.Errorf("%s was taken away", l)
		}
	}
	if labels, _ := s.Labels(Base); !cmp.Equal(labels, map[Label]int{Current: g.Number}) {
		t.Errorf("%v", labels)
	}
}

// What is pinned or exported stays; without that it goes, with all that lay beside it.
func TestGCHonoursPinsAndExports(t *testing.T) {
	s := open(t)
	var gs []Generation
	for range 7 {
		g := generation(t, s)
		if err := errors.Join(s.KeepSpec(g, map[string][]byte{"requirements.txt": []byte("x")}), s.KeepTag(g, "t")); err != nil {
			t.Fatal(err)
		}
		gs = append(gs, g)
	}
	if err := s.Flip(Current, gs[6]); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Pin(Base, 2); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Pin(Base, 99); !errors.Is(err, ErrNoGeneration) {
		t.Errorf("pinned nothing: %v", err)
	}
	if err := s.Export(map[string]bool{gs[2].ID: true}); err != nil {
		t.Fatal(err)
	}
	gone, err := s.Collect(t.Context(), Roots{IDs: s.Exported()})
	if d := cmp.Diff([]Collected{{Base, 1}, {Base, 4}}, gone.Generations); err != nil || d != "" {
		t.Errorf("%s %v", d, err)
	}
	if s.Spec(Base, 1) != nil || s.KeptTag(gs[0]) != "" || s.Spec(Base, 2) == nil {
		t.Error("what was asked for did not go with its generation")
	}
	l, err := s.List()
	if err != nil || len(l) != 1 || !l[0].Generations[0].Pinned || l[0].Generations[1].Pinned {
		t.Errorf("%+v, %v", l, err)
	}
	for range 2 {
		if err := s.Unpin(Base, 2); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Retire(Base); err != nil {
		t.Fatal(err)
	}
	gone, err = s.Collect(t.Context(), Roots{})
	if err != nil || len(gone.Generations) != 5 {
		t.Errorf("of a retired environment: %v, %v", gone, err)
	}
	if l, _ := s.List(); len(l) != 0 {
		t.Errorf("%+v", l)
	}
	if n, err := s.begin(Base); err != nil || n != 8 {
		t.Errorf("number %d was used before: %v", n, err)
	}
}

// What a generation was asked for with is written once, bounded, and read back.
func TestKeepSpec(t *testing.T) {
	s := open(t)
	g := generation(t, s)
	want := map[string][]byte{"binder/apt.txt": []byte("tree\n"), "requirements.txt": {}}
	if err := errors.Join(s.KeepSpec(g, want), s.KeepTag(g, "env-base-2026_11_21")); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, s.Spec(Base, g.Number)); d != "" || s.KeptTag(g) != "env-base-2026_11_21" {
		t.Errorf("%s, tag %q", d, s.KeptTag(g))
	}
	if fi, err := os.Stat(filepath.Join(s.Root(), "store/spec/base")); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", fi, err)
	}
	s.Guard(func(what string) error { return fmt.Errorf("wrote: %s", what) })
	if err := errors.Join(s.KeepSpec(g, want), s.KeepTag(g, "env-base-2026_11_21")); err != nil {
		t.Error(err)
	}
	if err := s.KeepSpec(g, map[string][]byte{"x": []byte(strings.Repeat("x", maxAsked+1))}); err == nil {
		t.Error("too much was kept")
	}
}

// Adopting is remembered until the folder asks for the environment itself.
func TestAdopt(t *testing.T) {
	s := open(t)
	for range 2 {
		if err := s.Adopt("geo", "Geo-1"); err != nil || !s.Imported("geo") || s.Foreign("geo") != "Geo-1" {
			t.Errorf("%v", err)
		}
	}
	if err := s.Disown("geo"); err != nil || s.Imported("geo") || s.Foreign("geo") != "" {
		t.Errorf("%v", err)
	}
	if err := s.Adopt("../x", "x"); err == nil {
		t.Error("a name that leaves the directory was taken")
	}
}
