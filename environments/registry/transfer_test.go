package registry

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// read makes a spec of an env.spec: each "- x" below env is asked of conda.
func read(_ context.Context, env environments.Name, files []history.File) (environments.Spec, error) {
	s := environments.Spec{Env: env, Image: "image"}
	text, _ := find(files, envSpec)
	_, list, _ := strings.Cut(string(text), "env:\n")
	for line := range strings.Lines(list) {
		s.Conda = append(s.Conda, environments.CondaRequirement{Spec: strings.Trim(strings.TrimSpace(line), "- '")})
	}
	return s, nil
}

// oldRepository is one as the old tool leaves it: lists without hashes.
func oldRepository(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "old.git")
	h, err := history.Open(t.Context(), history.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	put := func(env, spec string, versions ...string) []string {
		if _, err := h.PutSpec(t.Context(), env, []history.File{{Name: envSpec, Data: []byte(spec)}}, "spec"); err != nil {
			t.Fatal(err)
		}
		var tags []string
		for _, v := range versions {
			list := "https://conda.anaconda.org/conda-forge/linux-64\tnumpy-" + v + "-py312_0\n"
			if _, err := h.PutManifest(t.Context(), env, []history.File{{Name: envManifest, Data: []byte(list)}, {Name: envSpec, Data: []byte(spec)}}, "resolved"); err != nil {
				t.Fatal(err)
			}
			tag, err := h.Tag(t.Context(), env)
			if err != nil {
				t.Fatal(err)
			}
			tags = append(tags, tag.Name)
		}
		return tags
	}
	const spec = "channels:\n  - 'conda-forge'\nenv:\n  - 'numpy=9=x'\n"
	geo := put("geo", spec, "1.0", "2.0", "3.0")
	if _, err := h.SetLabels(t.Context(), "geo", map[string]string{"current": geo[1], "previous": geo[0], "next": geo[2], "exam": geo[0]}, "labels"); err != nil {
		t.Fatal(err)
	}
	put("bare", spec, "5.0")
	put("sick", spec, "6.0")
	return dir
}

// K5, K6: a repository of the old tool comes in with tags and labels, and every label is
// a generation with exactly the packages of its tag. One that cannot be built does not
// keep the others.
func TestK5_import(t *testing.T) {
	b := newBox(t, func(c *Config) { c.Read = read })
	b.shop.fail = map[environments.Name]error{"sick": errors.New("no")}
	from := oldRepository(t)
	out, err := b.Import(t.Context(), from, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Did{}
	for _, o := range out {
		got[o.Env] = o.Did
	}
	if d := cmp.Diff(map[string]Did{"geo": Imported, "bare": Promoted, "sick": Failed}, got); d != "" {
		t.Error(d)
	}
	labels, _ := b.store.Labels("geo")
	want := map[environments.Label]string{"current": "2.0", "previous": "1.0", "next": "3.0", "exam": "1.0"}
	for l, version := range want {
		g, err := b.store.Label("geo", l)
		if p, _ := g.Manifest.Find("numpy"); err != nil || p.Version != version || len(p.Hashes) == 0 || len(labels) != len(want) {
			t.Errorf("%s: %+v, %v of %v", l, p, err, labels)
		}
	}
	if w := b.waiting("geo"); w == nil || w.Generation != labels["next"] || b.store.Foreign("geo") != "geo" {
		t.Errorf("nobody would know that something waits: %+v", w)
	}
	recorded, err := b.git.Labels(t.Context(), "geo")
	tags, _ := b.git.Tags(t.Context(), "geo")
	if err != nil || len(tags) != 3 || recorded["current"] != tags[1].Name || recorded["exam"] != tags[0].Name {
		t.Errorf("the tags changed: %v, %v", recorded, tags)
	}
	if o, err := b.Rollback(t.Context(), "geo", ""); err != nil || o.Tag != tags[0].Name {
		t.Errorf("%+v, %v", o, err)
	}

	// Again: nothing. And nobody's folder asks for it, yet it stays.
	calls := b.shop.calls
	if err := b.Retire(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if labels, _ := b.store.Labels("geo"); len(labels) != 4 {
		t.Errorf("it was retired: %v", labels)
	}
	b.shop.fail = nil
	out, err = b.Import(t.Context(), from, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out {
		if want := (map[bool]Did{true: Promoted, false: Unchanged})[o.Env == "sick"]; o.Env != "" && o.Did != want {
			t.Errorf("again: %+v", o)
		}
	}
	if b.shop.calls != calls+2 { // sick: resolved and built
		t.Errorf("%d calls", b.shop.calls-calls)
	}
	ws, err := b.Registry.Wanted(t.Context())
	if err != nil || len(ws) != 3 {
		t.Errorf("%d wanted, %v", len(ws), err)
	}
	up, err := b.Update(t.Context(), []string{"bare"}, Options{}, progress.Discard)
	if g, _ := b.store.Current("bare"); err != nil || up[0].Did != Promoted || g.Manifest.Packages[0].Version != "9" {
		t.Errorf("%+v, %v", up, err)
	}
}

// What leaves can be read by another box, and stays deployable here.
func TestExport(t *testing.T) {
	b := newBox(t, nil)
	b.want("geo", "numpy==1")
	for i := range 5 {
		b.want("geo", "numpy=="+string(rune('2'+i)))
		if i == 0 {
			to := filepath.Join(t.TempDir(), "out.git")
			if err := b.Export(t.Context(), to); err != nil {
				t.Fatal(err)
			}
			if err := b.Export(t.Context(), to); code(notice.For(err)) != "environment-export-there" {
				t.Errorf("twice: %v", err)
			}
			other := newBox(t, func(c *Config) { c.Read = read })
			if _, err := other.Import(t.Context(), to, progress.Discard); err != nil {
				t.Error(err)
			}
			if g, err := other.store.Current("geo"); err != nil || g.Manifest.Packages[0].Version != "2" {
				t.Errorf("%+v, %v", g, err)
			}
		}
	}
	out, err := b.GC(t.Context(), false)
	if err != nil || len(out.Outcomes) != 1 || out.Outcomes[0].Generation != 3 {
		t.Errorf("%+v, %v", out, err) // 1 and 2 are labelled in the copy; 4, 5, 6 are the newest
	}
}
