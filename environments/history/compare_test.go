package history

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/conjuring/conjured/internal/gitenvtest"
)

func TestCompare(t *testing.T) {
	r := open(t)
	for _, fs := range [][]File{
		{file("requirements.txt", "numpy\npandas==2.0\n")},
		{file("requirements.txt", "scipy\npandas==2.1\nnumpy\n"), file("apt.txt", "tree\n")},
	} {
		if _, err := r.PutSpec(t.Context(), "geo", fs, "x"); err != nil {
			t.Fatal(err)
		}
	}
	es, err := r.Log(t.Context(), "geo", 0)
	if err != nil || len(es) != 2 {
		t.Fatal(es, err)
	}
	want := []FileChange{{Name: "apt.txt", Added: []string{"tree"}}, {Name: "requirements.txt", Added: []string{"scipy", "pandas==2.1"}, Removed: []string{"pandas==2.0"}}}
	for _, from := range []string{"", es[1].Commit} {
		got, err := r.Compare(t.Context(), "geo", from, es[0].Commit)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Error(d, err)
		}
	}
	if got, err := r.Compare(t.Context(), "geo", "", es[1].Commit); err != nil || len(got) != 2 { // with env.spec
		t.Errorf("%v, %v", got, err)
	}
	one, two := putManifest(t, r, "geo", "a-1-0"), putManifest(t, r, "geo", "a-2-0")
	if got, err := r.Compare(t.Context(), "geo", one.Name, two.Name); err != nil || len(got) != 1 || got[0].Name != "env.manifest" {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"HEAD", "--all", "env-bio-2026_01_01", one.Name + "^"} {
		if _, err := r.Compare(t.Context(), "geo", "", bad); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
	if _, err := r.Compare(t.Context(), "geo", "", "env-geo-2001_01_01"); !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
}

// A bundle is a repository in a file: cloned and imported, it is the same history.
func TestBundle(t *testing.T) {
	r := open(t)
	if err := r.Bundle(t.Context(), filepath.Join(t.TempDir(), "x")); !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
	tag := putManifest(t, r, "geo", "a-1-0")
	if _, err := r.SetLabels(t.Context(), "geo", map[string]string{"current": tag.Name}, "x"); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "history.bundle")
	if err := r.Bundle(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	back := open(t)
	if got, err := back.Import(t.Context(), gitenvtest.Clone(t, to).Dir); err != nil || len(got.Environments) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if state(t, back) != state(t, r) {
		t.Error("differs")
	}
}
