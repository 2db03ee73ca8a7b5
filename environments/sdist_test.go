package environments

import (
	"context"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
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
	spec.Requirements = asks("uses", "old==1", "one")
	own, ran := x.b.c.Runner, users{Runner: x.b.c.Runner, seen: map[string]string{}}
	x.b.c.Runner = &ran
	if again, ok := x.use(t, spec).Manifest.Find("old"); !ok || again.URL != p.URL || ran.has("build") {
		t.Errorf("%+v after %v", again, ran.seen)
	}
	x.b.c.Runner = own

	spec.Requirements = asks("uses", "sick")
	_, err = x.b.Make(t.Context(), spec, progress.Discard)
	if l := notice.For(err); len(l) != 1 || l[0].Line != 2 || l[0].Code != "environment-not-built" || !strings.Contains(l[0].What, "sick") {
		t.Errorf("%v", err)
	}
}

// escapes is a build that names its wheel so that a line more is read.
const escapes = `
def build_wheel(directory, *_):
    open(os.path.join(directory, "evil-1-py3-none-any.whl\n-r other.whl"), "w").close()
    return "evil"
`

// users tells who ran what.
type users struct {
	Runner
	mu   sync.Mutex
	seen map[string]string // verb of source.py -> user
}

func (u *users) Run(ctx context.Context, c Command) (int, error) {
	u.mu.Lock()
	u.seen[c.Args[len(c.Args)-1]] = c.User
	u.mu.Unlock()
	return u.Runner.Run(ctx, c)
}

func (u *users) has(verb string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.seen[verb] != ""
}

// Code that builds a package is nobody's: it may not change what lies in the cache, and
// what it calls its wheel is no line for uv.
func TestSourceThatMeansHarm(t *testing.T) {
	srv := httptest.NewServer(wheeltest.Serve(wheeltest.Sdist{Name: "evil", Version: "1", Backend: escapes}))
	defer srv.Close()
	x := newBox(t, t.TempDir(), srv.URL+"/simple", "none")
	ran := users{Runner: x.b.c.Runner, seen: map[string]string{}}
	x.b.c.Runner = &ran
	_, err := x.b.Make(t.Context(), Spec{Env: Base, Image: "host", AllowBuild: true, Requirements: asks("evil")}, progress.Discard)
	if l := notice.For(err); len(l) != 1 || l[0].Code != "environment-not-built" || !strings.Contains(l[0].What, "made no wheel") {
		t.Errorf("%v", err)
	}
	if ran.seen["fetch"] != "0:0" || ran.seen["build"] != "65534:65534" {
		t.Errorf("%v", ran.seen)
	}
	if kept, _ := filepath.Glob(filepath.Join(x.store.Root(), "store/wheel/*/*")); len(kept) > 0 {
		t.Errorf("%q is kept", kept)
	}
}
