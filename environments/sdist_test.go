package environments

import (
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/conjuring/conjured/internal/wheeltest"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// Source code is refused, until a teacher allows it: then it is built without network,
// once, and locked by the hash of what was made.
func TestSourceIsBuiltWhenAllowed(t *testing.T) {
	srv := httptest.NewServer(wheeltest.Serve(
		wheeltest.Sdist{Name: "old", Version: "1"}, wheeltest.Sdist{Name: "old", Version: "2"}, wheeltest.Sdist{Name: "sick", Version: "1", Fails: true},
		wheeltest.Wheel{Name: "one", Version: "1"}, wheeltest.Wheel{Name: "uses", Version: "1", Requires: []string{"old"}},
	))
	defer srv.Close()
	x := newBox(t, t.TempDir(), srv.URL+"/simple", "none")
	spec := Spec{Env: Base, Image: "host", Requirements: asks("uses", "old==1")}
	_, err := x.b.Make(t.Context(), spec, progress.Discard)
	if l := notice.For(err); len(l) != 1 || l[0].Code != "environment-no-wheel" {
		t.Fatalf("%v", err)
	}
	spec.AllowBuild = true
	g := x.use(t, spec)
	p, ok := g.Manifest.Find("old")
	if !ok || !strings.HasPrefix(p.URL, "file://"+x.store.Mount()+"/store/wheel/") || !strings.Contains(p.URL, "old-1-") || len(p.Hashes) == 0 {
		t.Errorf("%+v", p)
	}
	if out, err := exec.Command(filepath.Join(x.store.Root(), g.Path(), "bin/python"), "-c", "import uses, old").CombinedOutput(); err != nil {
		t.Errorf("%s", out)
	}
	if missing, err := x.b.Missing(t.Context(), g.Manifest); err != nil || missing != nil {
		t.Errorf("%v %v", missing, err)
	}

	// It is not built again for another line.
	spec.Requirements, x.run.runs = asks("uses", "old==1", "one"), 0
	if again, ok := x.use(t, spec).Manifest.Find("old"); !ok || again.URL != p.URL || x.run.runs != 3 {
		t.Errorf("%+v after %d runs", again, x.run.runs)
	}

	spec.Requirements = asks("uses", "sick")
	_, err = x.b.Make(t.Context(), spec, progress.Discard)
	if l := notice.For(err); len(l) != 1 || l[0].Line != 2 || l[0].Code != "environment-not-built" || !strings.Contains(l[0].What, "sick") {
		t.Errorf("%v", err)
	}
}
