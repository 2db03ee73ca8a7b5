package registry

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/internal/wheeltest"
	"github.com/conjuring/conjured/progress"
)

// Nobody attaches a keyboard: what a disk forgot is found and made again by the box, and
// only what it has nothing to make from is left to somebody.
func TestInspect(t *testing.T) {
	srv := httptest.NewServer(wheeltest.Index(wheeltest.Wheel{Name: "one", Version: "1"}, wheeltest.Wheel{Name: "two", Version: "1"}))
	defer srv.Close()
	b, _ := realBox(t, srv.URL+"/simple", "")
	b.want("base", "one", "two")
	inspect := func() []Outcome {
		t.Helper()
		out, err := b.Inspect(t.Context(), progress.Discard)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if out := inspect(); out != nil || b.told != nil {
		t.Fatalf("nothing is wrong: %+v %+v", out, b.told)
	}
	empty := func() {
		t.Helper()
		g, err := b.store.Current("base")
		if err != nil {
			t.Fatal(err)
		}
		found, _ := filepath.Glob(filepath.Join(b.store.Root(), g.Path(), "lib/python*/site-packages/one.py"))
		if len(found) != 1 {
			t.Fatal(found)
		}
		if err := os.Chmod(found[0], 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(found[0], 0); err != nil {
			t.Fatal(err)
		}
	}

	empty()
	out := inspect()
	if len(out) != 1 || out[0].Env != "base" || out[0].Did != WasReset || out[0].Generation != 2 {
		t.Fatalf("%+v", out)
	}
	if len(b.told) != 1 || b.told[0].Code != "environment-made-again" || !strings.Contains(b.told[0].What, "one in base") {
		t.Errorf("%+v", b.told)
	}
	imports(t, b, "import one; one.__file__")
	if d, err := b.store.Damage(t.Context(), mustCurrent(t, b)); d != nil || err != nil {
		t.Errorf("%+v %v", d, err)
	}

	srv.Close()
	empty()
	if out := inspect(); len(out) != 1 || out[0].Did != Failed || out[0].Err == nil {
		t.Errorf("%+v", out)
	}
	if len(b.told) != 2 || b.told[1].Code != "environment-still-damaged" || !strings.Contains(b.told[1].Do, "conjured env reset base") {
		t.Errorf("%+v", b.told)
	}
}

func mustCurrent(t *testing.T, b *box) environments.Generation {
	t.Helper()
	g, err := b.store.Current("base")
	if err != nil {
		t.Fatal(err)
	}
	return g
}
