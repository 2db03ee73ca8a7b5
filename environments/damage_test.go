package environments

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/conjuring/conjured/internal/wheeltest"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// A disk that forgot what a file had in it: the generation and uv's store share that
// file, so a reset gets the package from the index again, and nothing else from there.
func TestResetOfChangedFile(t *testing.T) {
	srv := httptest.NewServer(wheeltest.Index(wheeltest.Wheel{Name: "one", Version: "1"}, wheeltest.Wheel{Name: "two", Version: "1", Requires: []string{"one"}}))
	defer srv.Close()
	x := newBox(t, t.TempDir(), srv.URL+"/simple", "none")
	spec := Spec{Env: Base, Image: "host", Requirements: asks("one", "two")}
	g := x.use(t, spec)
	damage := func() []Damage {
		t.Helper()
		d, err := x.store.Damage(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if d := damage(); d != nil {
		t.Fatalf("a new generation is damaged: %+v", d)
	}
	dir := filepath.Join(x.store.Root(), g.Path())
	file := func(name string) string {
		found, err := filepath.Glob(filepath.Join(dir, "lib/python*/site-packages", name))
		if err != nil || len(found) != 1 {
			t.Fatal(name, found, err)
		}
		return found[0]
	}
	whole, lost, record := file("one.py"), file("two.py"), file("two-1.dist-info/RECORD")
	good, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, whole, make([]byte, len(good))) // as after a power cut, with every link
	if err := os.Remove(lost); err != nil {
		t.Fatal(err)
	}
	short := func(path string) string { rel, _ := filepath.Rel(dir, path); return rel }
	if d := cmp.Diff([]Damage{{Package: "one", Changed: []string{short(whole)}}, {Package: "two", Missing: []string{short(lost)}}}, damage()); d != "" {
		t.Errorf("damage (-want +got):\n%s", d)
	}

	x.run.online = 0
	made, err := x.b.Rebuild(t.Context(), spec, g.Manifest, progress.Discard)
	if err != nil {
		t.Fatalf("%v %v", err, notice.For(err))
	}
	if x.run.online != 1 {
		t.Errorf("the network was used %d times", x.run.online)
	}
	got, err := os.ReadFile(filepath.Join(x.store.Root(), made.Generation.Path(), short(whole)))
	if err != nil || string(got) != string(good) {
		t.Errorf("%q %v", got, err)
	}

	// A list of files that cannot be read says nothing good about them.
	overwrite(t, record, []byte("\x00\x00"))
	if d := damage(); len(d) != 2 || d[1].Package != "two" || len(d[1].Changed) != 1 {
		t.Errorf("%+v", d)
	}

	// Without the index there is nothing to make it from, and that is said.
	srv.Close()
	overwrite(t, record, []byte("no list"))
	if _, err := x.b.Rebuild(t.Context(), spec, g.Manifest, progress.Discard); err == nil || len(notice.For(err)) == 0 {
		t.Errorf("%v", err)
	}
}

// overwrite gives a file other content in place, which nothing of ours ever does.
func overwrite(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}
