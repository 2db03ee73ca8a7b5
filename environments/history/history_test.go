package history

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func open(t *testing.T) *Repository {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "history.git"))
}

func openAt(t *testing.T, dir string) *Repository {
	t.Helper()
	r, err := Open(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func file(name, data string) File { return File{Name: name, Data: []byte(data)} }

// putManifest records a manifest with one package and tags it.
func putManifest(t *testing.T, r *Repository, env, pkg string) Tag {
	t.Helper()
	if _, err := r.PutManifest(t.Context(), env, []File{file("env.manifest", "https://conda.anaconda.org/conda-forge/linux-64\t"+pkg+"\n")}, "Resolved."); err != nil {
		t.Fatal(err)
	}
	tag, err := r.Tag(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

// sane fails t unless every object is there and every label names a tag.
func sane(t *testing.T, r *Repository) {
	t.Helper()
	if err := r.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestSpecReadsBack(t *testing.T) {
	r := open(t)
	spec := []File{file("binder/apt.txt", "tree\n"), file("env.spec", "channels: []\nenv: []\n"), file("requirements.txt", "numpy\n")}
	changed, err := r.PutSpec(t.Context(), "geo", spec, "Geo asks for numpy.")
	if err != nil || !changed {
		t.Fatalf("%v, %v", changed, err)
	}
	got, err := r.Spec(t.Context(), "geo")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(spec, got); d != "" {
		t.Error(d)
	}
	if changed, err := r.PutSpec(t.Context(), "geo", spec, "Again."); err != nil || changed {
		t.Errorf("%v, %v", changed, err)
	}
	if envs, err := r.Environments(t.Context()); err != nil || cmp.Diff([]string{"geo"}, envs) != "" {
		t.Errorf("%v, %v", envs, err)
	}
	sane(t, r)
}

// What nobody asked for adds nothing: no file in the directory is touched.
func TestNoChangeWritesNothing(t *testing.T) {
	r := open(t)
	files := []File{file("requirements.txt", "numpy\n")}
	touch := func() {
		for _, env := range []string{"base", "geo", "bio"} {
			if _, err := r.PutSpec(t.Context(), env, files, "Asked."); err != nil {
				t.Fatal(err)
			}
			tag := putManifest(t, r, env, "a-1-0")
			if _, err := r.SetLabels(t.Context(), env, map[string]string{"current": tag.Name}, "Labelled."); err != nil {
				t.Fatal(err)
			}
		}
	}
	touch()
	before := stamps(t, r.c.Dir)
	touch()
	if d := cmp.Diff(before, stamps(t, r.c.Dir)); d != "" {
		t.Error(d)
	}
}

// stamps gives the moment of the last change of everything below dir.
func stamps(t *testing.T, dir string) map[string]time.Time {
	t.Helper()
	out := map[string]time.Time{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err == nil {
			out[path] = fi.ModTime()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestNothingThere(t *testing.T) {
	r := open(t)
	if _, err := r.Spec(t.Context(), "geo"); !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
	if _, err := r.Manifest(t.Context(), "geo", ""); !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
	if _, err := r.Tag(t.Context(), "geo"); !errors.Is(err, ErrNothing) {
		t.Error(err)
	}
	if l, err := r.Labels(t.Context(), "geo"); err != nil || len(l) != 0 {
		t.Errorf("%v, %v", l, err)
	}
}

// K5: the labels are files of the spec's branch, the whole set in one commit.
func TestK5_labels(t *testing.T) {
	r := open(t)
	if _, err := r.PutSpec(t.Context(), "geo", []File{file("requirements.txt", "a\n")}, "Asked."); err != nil {
		t.Fatal(err)
	}
	one, two := putManifest(t, r, "geo", "a-1-0"), putManifest(t, r, "geo", "a-2-0")
	want := map[string]string{"current": two.Name, "previous": one.Name, "exam.2026": one.Name}
	if changed, err := r.SetLabels(t.Context(), "geo", want, "Promoted."); err != nil || !changed {
		t.Fatalf("%v, %v", changed, err)
	}
	got, err := r.Labels(t.Context(), "geo")
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(d, err)
	}
	if fs, err := r.Spec(t.Context(), "geo"); err != nil || len(fs) != 2 {
		t.Errorf("a spec with labels: %v, %v", fs, err)
	}
	if fs, err := r.Manifest(t.Context(), "geo", one.Name); err != nil || string(fs[0].Data) != "https://conda.anaconda.org/conda-forge/linux-64\ta-1-0\n" {
		t.Errorf("%v, %v", fs, err)
	}
	for label, tag := range map[string]string{"latest": one.Name, "../x": one.Name, "next": "env-geo-2001_01_01", "other": "env-bio-2026_01_01", "A": one.Name} {
		if _, err := r.SetLabels(t.Context(), "geo", map[string]string{label: tag}, ""); err == nil {
			t.Errorf("%s=%s was taken", label, tag)
		}
	}
	sane(t, r)
}

func TestLog(t *testing.T) {
	r := open(t)
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	r.now = func() time.Time { at = at.Add(time.Minute); return at }
	if _, err := r.PutSpec(t.Context(), "geo", []File{file("requirements.txt", "a\n")}, "Geo asks for a."); err != nil {
		t.Fatal(err)
	}
	tag := putManifest(t, r, "geo", "a-1-0")
	if _, err := r.SetLabels(t.Context(), "geo", map[string]string{"current": tag.Name}, "Put into use."); err != nil {
		t.Fatal(err)
	}
	es, err := r.Log(t.Context(), "geo", 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range es {
		got = append(got, e.Sentence())
	}
	want := []string{
		"2026-03-01 09:03: Put into use; current is geo-2026_03_01",
		"2026-03-01 09:02: Resolved (env-geo-2026_03_01)",
		"2026-03-01 09:01: Geo asks for a",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if es, err := r.Log(t.Context(), "geo", 1); err != nil || len(es) != 1 || es[0].Did != Labelled {
		t.Errorf("%v, %v", es, err)
	}
}

// Whoever gives up waits no longer, and what was there stays.
func TestCancelled(t *testing.T) {
	r := open(t)
	putManifest(t, r, "geo", "a-1-0")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Manifest(ctx, "geo", ""); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := r.PutSpec(ctx, "geo", []File{file("apt.txt", "x\n")}, ""); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	sane(t, r)
}
