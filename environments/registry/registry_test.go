package registry

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// A wish is built, recorded, tagged and labelled next; settling promotes it.
func TestPrepareThenSettle(t *testing.T) {
	b := newBox(t, nil)
	w := wish("geo", "numpy", "shapely")
	o, err := b.Prepare(t.Context(), w, progress.Discard)
	if err != nil || o.Did != Deployed || o.Generation != 1 || o.Tag == "" {
		t.Fatalf("%+v, %v", o, err)
	}
	b.labels("geo", map[string]int{"next": 1})
	if len(b.moves) != 0 {
		t.Error("kernels moved before anything was promoted")
	}
	spec, err := b.git.Spec(t.Context(), "geo")
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := find(spec, "requirements.txt"); string(text) != "numpy\nshapely\n" {
		t.Errorf("the history has %q", text)
	}
	if _, ok := find(spec, "env.spec"); !ok {
		t.Error("no env.spec")
	}
	o, err = b.Settle(t.Context(), "geo")
	if err != nil || o.Did != Promoted || o.Tag == "" || o.Sentence != "Geo gets 2 new packages; nothing else changes" {
		t.Errorf("%+v, %v", o, err)
	}
	b.labels("geo", map[string]int{"current": 1})
	if len(b.moves) != 1 || b.moves[0].From.Number != 0 || b.moves[0].To.Number != 1 {
		t.Errorf("%+v", b.moves)
	}
}

// G1: what is there already costs nothing: no write on the disk, no question to the history,
// so no process, and no build.
func TestG1_unchangedWritesNothing(t *testing.T) {
	b := newBox(t, nil)
	for i := range 10 {
		w := wish(fmt.Sprintf("env%d", i), "numpy")
		b.wants = append(b.wants, w)
	}
	first, err := b.Update(t.Context(), nil, Options{}, progress.Discard)
	if err != nil || len(first) != 10 || first[9].Did != Promoted {
		t.Fatalf("%+v, %v", first, err)
	}
	b.shop.calls, b.past.reads, b.past.writes = 0, 0, 0
	b.store.Guard(func(step string) error { t.Errorf("wrote: %s", step); return nil })
	again, err := b.Update(t.Context(), nil, Options{}, progress.Discard)
	if err != nil || len(again) != 10 {
		t.Fatalf("%+v, %v", again, err)
	}
	for _, o := range again {
		if o.Did != Unchanged || o.Generation != 1 {
			t.Errorf("%+v", o)
		}
	}
	if b.shop.calls != 0 || b.past.reads != 0 || b.past.writes != 0 {
		t.Errorf("%d builds, %d reads and %d writes of the history", b.shop.calls, b.past.reads, b.past.writes)
	}
}

// A file that changes without changing what one gets is recorded, and nothing more.
func TestUnchangedPackagesOfAnotherSpec(t *testing.T) {
	b := newBox(t, nil)
	b.want("geo", "numpy")
	w := wish("geo", "numpy")
	w.History = []history.File{{Name: "requirements.txt", Data: []byte("numpy  # for maps\n")}}
	o, err := b.Prepare(t.Context(), w, progress.Discard)
	if err != nil || o.Did != Unchanged {
		t.Fatalf("%+v, %v", o, err)
	}
	spec, _ := b.git.Spec(t.Context(), "geo")
	if text, _ := find(spec, "requirements.txt"); !strings.Contains(string(text), "for maps") {
		t.Errorf("the history has %q", text)
	}
	tags, _ := b.git.Tags(t.Context(), "geo")
	if len(tags) != 1 {
		t.Errorf("tags %v", tags)
	}
	b.labels("geo", map[string]int{"current": 1})
}

// A wish that goes back to what is in use takes away what waited.
func TestWishTakenBack(t *testing.T) {
	b := newBox(t, func(c *Config) { c.Policy = Never })
	b.want("base", "numpy")
	if o := b.want("base", "numpy", "pandas"); o.Did != Waiting {
		t.Fatalf("%+v", o)
	}
	b.labels("base", map[string]int{"current": 1, "next": 2})
	if o := b.want("base", "numpy"); o.Did != Unchanged {
		t.Errorf("%+v", o)
	}
	b.labels("base", map[string]int{"current": 1})
}

// K8: what does not build reaches no label. One of ten that fails does not keep the nine from their packages.
func TestK8_oneOfTenFails(t *testing.T) {
	b := newBox(t, nil)
	for i := range 10 {
		b.wants = append(b.wants, wish(fmt.Sprintf("env%d", i), "numpy"))
	}
	broken := notice.List{{Code: "environment-no-such-package", Severity: notice.SeverityError, File: "environment-env4.yml", Line: 3, What: "w", Means: "m", Do: "d"}}
	b.shop.fail = map[environments.Name]error{"env4": broken}
	out, err := b.Update(t.Context(), nil, Options{}, progress.Discard)
	if err != nil || len(out) != 10 {
		t.Fatalf("%d, %v", len(out), err)
	}
	for i, o := range out {
		if want := (map[bool]Did{true: Failed, false: Promoted})[i == 4]; o.Did != want {
			t.Errorf("%s: %s", o.Env, o.Did)
		}
	}
	if out[4].Err == nil || code(out[4].Notices) != "environment-no-such-package" || out[4].Notices[0].Line != 3 {
		t.Errorf("%+v", out[4])
	}
}

func TestNamesOfUpdate(t *testing.T) {
	b := newBox(t, nil)
	twin := wish("geo", "other")
	twin.Display = "geo-"
	b.wants = []Wanted{wish("geo", "numpy"), twin, wish("bio", "numpy"), wish("system", "numpy")}
	out, err := b.Update(t.Context(), []string{"geo", "nobody", "system"}, Options{}, progress.Discard)
	if err != nil || len(out) != 4 {
		t.Fatalf("%+v, %v", out, err)
	}
	for i, want := range []string{"environment-not-wanted", "", "environment-twice", "environment-name"} {
		if code(out[i].Notices) != want {
			t.Errorf("%s: %+v, want %q", out[i].Env, out[i].Notices, want)
		}
	}
	g, err := b.store.Current("geo")
	if err != nil || g.Manifest.Packages[0].Name != "numpy" {
		t.Errorf("the second of two took the name: %+v, %v", g, err)
	}
	if _, err := b.store.Current("bio"); !errors.Is(err, environments.ErrNoGeneration) {
		t.Error("an environment that was not named was updated")
	}
}

func TestG1_upgrade(t *testing.T) {
	b := newBox(t, nil)
	b.want("geo", "numpy")
	b.shop.newer = map[string]string{"numpy": "2"}
	out, err := b.Update(t.Context(), []string{"geo"}, Options{Upgrade: true}, progress.Discard)
	if err != nil || out[0].Did != Promoted || out[0].Tag == "" || len(out[0].Changes.Upgraded) != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	b.labels("geo", map[string]int{"current": 2, "previous": 1})
}

// K2, K3: Resolve records and builds nothing; Tag names it; Deploy builds it; no label moves.
func TestK2_resolveTagDeploy(t *testing.T) {
	b := newBox(t, nil)
	b.want("geo", "numpy")
	b.wants = []Wanted{wish("geo", "numpy", "pandas")}
	out, err := b.Resolve(t.Context(), nil, Options{}, progress.Discard)
	if err != nil || out[0].Did != Resolved || out[0].Sentence != "Geo gets the new package pandas; nothing else changes" {
		t.Fatalf("%+v, %v", out, err)
	}
	if out, err := b.Resolve(t.Context(), nil, Options{}, progress.Discard); err != nil || out[0].Did != Unchanged {
		t.Errorf("again: %+v, %v", out, err)
	}
	tagged, err := b.Tag(t.Context(), "geo")
	if err != nil || tagged.Did != Tagged {
		t.Fatalf("%+v, %v", tagged, err)
	}
	if again, err := b.Tag(t.Context(), "geo"); err != nil || again.Did != Unchanged || again.Tag != tagged.Tag {
		t.Errorf("%+v, %v", again, err)
	}
	if gs, _ := b.store.Generations("geo"); len(gs) != 1 {
		t.Errorf("%d generations before deploy", len(gs))
	}
	o, err := b.Deploy(t.Context(), tagged.Tag, progress.Discard)
	if err != nil || o.Did != Deployed || o.Generation != 2 {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := b.Deploy(t.Context(), "geo", progress.Discard); err != nil || o.Did != Unchanged || o.Generation != 2 {
		t.Errorf("%+v, %v", o, err)
	}
	b.labels("geo", map[string]int{"current": 1})
	if o := b.want("geo", "numpy", "pandas"); o.Did != Promoted || o.Tag != tagged.Tag {
		t.Errorf("the same manifest got another tag: %+v", o)
	}
}

// K4: a tag whose generation is gone is built again from its manifest, or says exactly what
// is missing.
func TestK4_deployOfWhatIsGone(t *testing.T) {
	b := newBox(t, nil)
	first := b.want("geo", "numpy==1", "pandas==1")
	b.want("geo", "numpy==2")
	b.want("geo", "numpy==3")
	if err := os.RemoveAll(filepath.Join(b.store.Root(), "gen/geo/1")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Rollback(t.Context(), "geo", first.Tag); code(notice.For(err)) != "environment-not-deployed" {
		t.Errorf("%v", err)
	}
	b.shop.gone = []string{"pandas"}
	_, err := b.Deploy(t.Context(), first.Tag, progress.Discard)
	var missing *MissingError
	if !errors.As(err, &missing) || !slices.Equal(missing.Files, []string{"pandas==1"}) || missing.Tag != first.Tag {
		t.Fatalf("%v", err)
	}
	if l := notice.For(err); code(l) != "environment-files-missing" || !strings.Contains(l[0].What, "pandas==1") || strings.Contains(l[0].What, "numpy") {
		t.Errorf("%+v", l)
	}
	b.shop.gone = nil
	o, err := b.Deploy(t.Context(), first.Tag, progress.Discard)
	if err != nil || o.Did != Deployed || o.Generation != 4 {
		t.Fatalf("%+v, %v", o, err)
	}
	if o, err := b.Rollback(t.Context(), "geo", first.Tag); err != nil || o.Generation != 4 || o.Tag != first.Tag {
		t.Errorf("%+v, %v", o, err)
	}
}

// G2: the environment is built again beside the old one, which is previous then; the
// packages and the tag are the same. It works when the old one is gone, too.
func TestG2_reset(t *testing.T) {
	b := newBox(t, nil)
	tag := b.want("geo", "numpy").Tag
	o, err := b.Reset(t.Context(), "geo", progress.Discard)
	if err != nil || o.Did != WasReset || o.Generation != 2 || o.Tag != tag {
		t.Fatalf("%+v, %v", o, err)
	}
	b.labels("geo", map[string]int{"current": 2, "previous": 1})
	if tags, _ := b.git.Tags(t.Context(), "geo"); len(tags) != 1 {
		t.Errorf("%v", tags)
	}
	if o, err := b.Label(t.Context(), "geo", "exam", tag); err != nil || o.Generation != 2 { // the newest of the two
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := b.Label(t.Context(), "geo", "exam", ""); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(b.store.Root(), "gen/geo/2")); err != nil {
		t.Fatal(err)
	}
	if o, err = b.Reset(t.Context(), "geo", progress.Discard); err != nil || o.Tag != tag {
		t.Fatalf("%+v, %v", o, err)
	}
	b.labels("geo", map[string]int{"current": o.Generation, "previous": 1})
}

func TestDiff(t *testing.T) {
	b := newBox(t, func(c *Config) {
		c.Policy = Never
	})
	tag := b.want("base", "numpy==1").Tag
	b.want("base", "numpy==1", "pandas")
	c, err := b.Diff(t.Context(), "base", "", "")
	if err != nil || c.From.Asked != "current" || c.From.Generation != 1 || c.From.Tag != tag || c.To.Asked != "next" || c.To.Generation != 2 ||
		c.Changes.Class() != environments.AddOnly || c.Sentence != "Base gets the new package pandas; nothing else changes" {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := b.Diff(t.Context(), "base", "2", tag); err != nil || len(c.Changes.Removed) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := b.Promote(t.Context(), "base"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(b.store.Root(), "gen/base/1")); err != nil {
		t.Fatal(err)
	}
	if c, err := b.Diff(t.Context(), "base", tag, ""); err != nil || c.From.Generation != 0 || len(c.Changes.Added) != 1 {
		t.Errorf("of a tag without a generation: %+v, %v", c, err)
	}
}
