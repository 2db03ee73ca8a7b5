package environments

import (
	"errors"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/conjuring/conjured/internal/wheeltest"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// plant makes a tree of files; a path that ends with a slash is a directory.
func plant(t *testing.T, dir string, paths ...string) {
	t.Helper()
	for _, p := range paths {
		full := filepath.Join(dir, p)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(p, "/") {
			if err := os.MkdirAll(full, 0o755); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(full, []byte(p), 0o444); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLinked(t *testing.T) {
	own, added := map[string]bool{"bin/own": true, "ok": true}, []string{"lib/new/m.py", "lib/x.py"}
	for what, c := range map[string]struct {
		change func(t *testing.T, b string)
		unlike bool
	}{
		"as it should be": {func(t *testing.T, b string) { plant(t, b, "bin/own", "lib/new/m.py", "lib/x.py") }, false},
		"one more":        {func(t *testing.T, b string) { plant(t, b, "lib/deep/er/more.py") }, true},
		"one more beside": {func(t *testing.T, b string) { plant(t, b, "lib/new/m.py", "lib/new/more.py") }, true},
		"a directory":     {func(t *testing.T, b string) { plant(t, b, "lib/else/") }, true},
		"one less":        {func(t *testing.T, b string) { _ = os.Remove(filepath.Join(b, "lib/deep/a.py")) }, true},
		"a link":          {func(t *testing.T, b string) { _ = os.Symlink("/etc/passwd", filepath.Join(b, "lib/x.py")) }, true},
		"written anew": {func(t *testing.T, b string) {
			_ = os.Remove(filepath.Join(b, "lib/deep/a.py"))
			plant(t, b, "lib/deep/a.py")
		}, true},
	} {
		a, b := t.TempDir(), t.TempDir()
		plant(t, a, "bin/own", "lib/deep/a.py", "lib/deep/er/b.py", "lib/empty/", "ok")
		if _, err := link(t.Context(), a, b, own); err != nil {
			t.Fatal(err)
		}
		c.change(t, b)
		if _, err := linked(t.Context(), a, b, own, added); errors.Is(err, errUnlike) != c.unlike || err != nil && !c.unlike {
			t.Errorf("%s: %v", what, err)
		}
	}
	a := t.TempDir()
	if err := os.Symlink("/etc", filepath.Join(a, "etc")); err != nil {
		t.Fatal(err)
	}
	if _, err := link(t.Context(), a, t.TempDir(), nil); !errors.Is(err, errUnlike) {
		t.Errorf("a link was followed: %v", err)
	}
}

// A line more is added to what is linked ahead, a changed one is not; and what the one
// gives is what the other gives.
func TestLinkedAhead(t *testing.T) {
	srv := httptest.NewServer(wheeltest.Index(
		script("tool", "1"), script("tool", "2"), script("more", "1"), wheeltest.Wheel{Name: "one", Version: "1"},
	))
	defer srv.Close()
	root := t.TempDir()
	x := newBox(t, root, srv.URL+"/simple", "none")
	var log strings.Builder
	x.b.c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	make := func(lines ...string) Generation {
		t.Helper()
		log.Reset()
		m, err := x.b.Make(t.Context(), Spec{Env: Base, Image: "host", Requirements: asks(lines...)}, progress.Discard)
		if err != nil {
			t.Fatalf("%v: %v", err, notice.For(err))
		}
		return m.Generation
	}
	use := func(g Generation) {
		t.Helper()
		if err := x.store.Flip(Current, g); err != nil {
			t.Fatal(err)
		}
	}
	use(make("tool==1"))
	if strings.Contains(log.String(), "ahead=true") {
		t.Errorf("the first one was linked ahead: %s", &log)
	}
	ahead := make("tool==1", "one", "more")
	if !strings.Contains(log.String(), "ahead=true") || !ahead.Alone {
		t.Errorf("not linked ahead: %s", &log)
	}
	// The same once more, the plain way: at the same path, since that is part of it.
	dir := filepath.Join(root, ahead.Path())
	got := tree(t, dir)
	if err := x.store.remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		os.WriteFile(filepath.Join(root, "gen/base/.last"), []byte("1\n"), 0o644),
		os.Rename(x.store.inventoryDir(Base), x.store.inventoryDir(Base)+".away"),
	); err != nil {
		t.Fatal(err)
	}
	plain := make("tool==1", "one", "more")
	if strings.Contains(log.String(), "ahead=true") || plain.Number != ahead.Number || plain.Alone != ahead.Alone {
		t.Errorf("%+v %+v: %s", plain, ahead, &log)
	}
	if d := cmp.Diff(tree(t, dir), got); d != "" {
		t.Errorf("linked ahead it is another one: %s", d)
	}
	use(plain)

	if g := make("tool==2", "one", "more"); strings.Contains(log.String(), "ahead=true") || g.Alone {
		t.Errorf("%+v %s", g, &log)
	}
	if !maps.Equal(got, tree(t, dir)) {
		t.Error("a generation in use was changed")
	}
}

// What is stored is a guess: the index decides when it answers, and only what is stored can
// when it does not.
func TestIndexDecides(t *testing.T) {
	index := wheeltest.Serve(wheeltest.Wheel{Name: "one", Version: "1"}, wheeltest.Wheel{Name: "more", Version: "1"}, wheeltest.Wheel{Name: "last", Version: "1"})
	srv := httptest.NewServer(index)
	defer srv.Close()
	root := t.TempDir()
	x := newBox(t, root, srv.URL+"/simple", "none")
	var log strings.Builder
	x.b.c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	spec := func(lines ...string) Spec { return Spec{Env: Base, Image: "host", Requirements: asks(lines...)} }
	x.use(t, spec("one"))
	made := func(lines ...string) (Made, string) {
		t.Helper()
		log.Reset()
		m, err := x.b.Make(t.Context(), spec(lines...), progress.Discard)
		if err != nil {
			t.Fatalf("%v: %v", err, notice.For(err))
		}
		p, _ := m.Generation.Manifest.Find("more")
		return m, p.Version
	}
	if m, version := made("one", "more", "last"); version != "1" || m.Notices != nil {
		t.Errorf("%q %v", version, m.Notices)
	}
	index.Set(wheeltest.Wheel{Name: "one", Version: "1"}, wheeltest.Wheel{Name: "more", Version: "1"}, wheeltest.Wheel{Name: "more", Version: "2"}, wheeltest.Wheel{Name: "last", Version: "1"})
	m, version := made("one", "more")
	if version != "2" || !strings.Contains(log.String(), "does not hold") {
		t.Errorf("the index has 2, and it is %q\n%s", version, &log)
	}
	if again, version := made("one", "more"); again.Generation.Number != m.Generation.Number || version != "2" {
		t.Errorf("remembered %q, generation %d", version, again.Generation.Number)
	}
	srv.Close()
	if m, _ := made("one", "last"); len(m.Notices) != 1 || m.Notices[0].Code != "environment-offline" || !strings.Contains(log.String(), "ahead=true") || strings.Contains(log.String(), "does not hold") {
		t.Errorf("%v\n%s", m.Notices, &log)
	}
	if r, err := x.store.Repair(t.Context()); err != nil || r.Scratch != 0 || r.Generations != nil {
		t.Errorf("left %+v %v", r, err)
	}
}
