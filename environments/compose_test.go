package environments

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/conjuring/conjured/internal/wheeltest"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// box is a store with a builder that runs on this machine.
type box struct {
	store *Store
	run   *hostRunner
	b     *Builder
}

func newBox(t *testing.T, root, index, lab string) box {
	t.Helper()
	uv, python := realUV(t)
	s, err := Open(root, root)
	if err != nil {
		t.Fatal(err)
	}
	run := &hostRunner{}
	b, err := New(Config{Store: s, Runner: run, UV: uv, Python: python, Lab: lab, Index: index, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return box{s, run, b}
}

// use makes a spec the current generation.
func (x box) use(t *testing.T, s Spec) Generation {
	t.Helper()
	m, err := x.b.Make(t.Context(), s, progress.Discard)
	if err != nil {
		t.Fatalf("%v: %v", err, notice.For(err))
	}
	if err := x.store.Flip(Current, m.Generation); err != nil {
		t.Fatal(err)
	}
	return m.Generation
}

// tree is each file of a generation with its mode and content's hash. What names the
// time of building is left out.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		if err != nil || rel == "ok" || rel == "generation.json" {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		out[rel] = fi.Mode().String()
		if fi.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			out[rel] += fmt.Sprintf(" %x", sha256.Sum256(data))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func script(name, version string) wheeltest.Wheel {
	return wheeltest.Wheel{Name: name, Version: version, Modules: map[string]string{
		name + "/__init__.py": "def main(): print(" + version + ")\n", name + "/data.txt": "x",
		name + "-" + version + ".dist-info/entry_points.txt": "[console_scripts]\n" + name + " = " + name + ":main\n",
	}}
}

// A generation made from another one is the same, byte for byte, as one made from
// nothing; and the other one stays as it was.
func TestDifferenceIsAsFromScratch(t *testing.T) {
	shared := map[string]string{"both/__init__.py": "", "both/left.py": "a = 1\n"}
	srv := httptest.NewServer(wheeltest.Index(
		script("tool", "1"), script("tool", "2"), wheeltest.Wheel{Name: "one", Version: "1"},
		wheeltest.Wheel{Name: "bad", Version: "1", Modules: map[string]string{"bad.py": "x = 1\n", "bad_too.py": "no python here\n"}},
		wheeltest.Wheel{Name: "left", Version: "1", Modules: shared},
		wheeltest.Wheel{Name: "right", Version: "1", Modules: map[string]string{"both/__init__.py": "", "both/right.py": "b = 1\n"}},
	))
	defer srv.Close()
	dir := t.TempDir()
	newBox(t, filepath.Join(dir, "grown"), srv.URL+"/simple", "none")
	at := filepath.Join(dir, "s")
	var before Generation
	for _, lines := range [][]string{{"tool==1"}, {"tool==1", "one"}, {"tool==2", "one"}, {"one", "bad", "left", "right"}, {"bad", "right", "tool==1"}} {
		spec := Spec{Env: Base, Image: "host", Requirements: asks(lines...)}
		// The path is part of the files, so both stores live at the same one in turn.
		if err := os.Rename(filepath.Join(dir, "grown"), at); err != nil {
			t.Fatal(err)
		}
		var old map[string]string
		grown := newBox(t, at, srv.URL+"/simple", "none")
		if before.Number > 0 {
			old = tree(t, filepath.Join(at, before.Path()))
		}
		g := grown.use(t, spec)
		got := tree(t, filepath.Join(at, g.Path()))
		if before.Number > 0 {
			if d := cmp.Diff(old, tree(t, filepath.Join(at, before.Path()))); d != "" {
				t.Errorf("%q changed the generation before it: %s", lines, d)
			}
		}
		before = g
		if err := os.Rename(at, filepath.Join(dir, "grown")); err != nil {
			t.Fatal(err)
		}
		fresh := newBox(t, at, srv.URL+"/simple", "none")
		for range g.Number - 1 {
			if _, err := fresh.store.begin(Base); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(tree(t, filepath.Join(at, fresh.use(t, spec).Path())), got); d != "" {
			t.Errorf("%q is not as from scratch: %s", lines, d)
		}
		if err := os.RemoveAll(at); err != nil {
			t.Fatal(err)
		}
	}
}

// The image's own Lab set is taken over without an index, bytecode and programs too.
func TestLabOfTheImageIsTakenOver(t *testing.T) {
	uv, python := realUV(t)
	tool := script("tool", "1")
	srv := httptest.NewServer(wheeltest.Index(tool, wheeltest.Wheel{Name: "one", Version: "1", Requires: []string{"tool"}}))
	defer srv.Close()
	lab := filepath.Join(t.TempDir(), "lab")
	lock := "tool==1 \\\n    --hash=sha256:" + tool.SHA256() + "\nelsewhere==1 ; sys_platform == 'win32' \\\n    --hash=sha256:" + strings.Repeat("a", 64) + "\n"
	for _, args := range [][]string{
		{"venv", "-q", "--python", python, lab},
		{"pip", "install", "-q", "--no-cache", "--compile-bytecode", "--python", lab, "--default-index", srv.URL + "/simple", "tool==1"},
	} {
		if out, err := exec.Command(uv, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s", out)
		}
	}
	x := newBox(t, t.TempDir(), "http://127.0.0.1:9/simple", lab)
	spec := Spec{Env: Base, Image: "host", Core: []byte(lock)}
	g := x.use(t, spec)
	if len(g.Manifest.Packages) != 1 {
		t.Errorf("%+v", g.Manifest)
	}
	dir := filepath.Join(x.store.Root(), g.Path())
	out, err := exec.Command(filepath.Join(dir, "bin/tool")).CombinedOutput()
	if err != nil || string(out) != "1\n" {
		t.Errorf("%s %v", out, err)
	}
	program, err := os.ReadFile(filepath.Join(dir, "bin/tool"))
	if err != nil || strings.Contains(string(program), lab) {
		t.Errorf("%s", program)
	}
	if out, err := exec.Command(uv, "pip", "check", "--python", dir).CombinedOutput(); err != nil {
		t.Errorf("%s", out)
	}
	pyc, _ := filepath.Glob(filepath.Join(dir, "lib/python*/site-packages/tool/__pycache__/*.pyc"))
	if len(pyc) != 1 {
		t.Fatal(pyc)
	}
	if code, err := os.ReadFile(pyc[0]); err != nil || code[4] != 1 {
		t.Errorf("bytecode is bound to a date: %x", code[:16])
	}

	// A line that asks for something of the Lab set gets the Lab set's.
	x.b.c.Index = srv.URL + "/simple"
	spec.Requirements = asks("one")
	if g := x.use(t, spec); len(g.Manifest.Packages) != 2 || g.Tried != 1 {
		t.Errorf("%+v", g)
	}
}

// Lab is started again whenever a new distribution may change how it works.
func TestTried(t *testing.T) {
	with := func(name string, files map[string]string) wheeltest.Wheel {
		files[name+".py"] = ""
		return wheeltest.Wheel{Name: name, Version: "1", Modules: files}
	}
	srv := httptest.NewServer(wheeltest.Index(
		with("first", map[string]string{"ns/a.py": "try:\n  from os import path; import wished\nexcept ImportError: pass\n"}), script("second", "1"),
		with("plugin", map[string]string{"plugin-1.dist-info/entry_points.txt": "[jupyter_serverproxy_servers]\nx = plugin:x\n"}),
		with("startup", map[string]string{"startup.pth": "import startup\n"}),
		with("settings", map[string]string{"settings-1.data/data/etc/jupyter/jupyter_server_config.d/x.json": "{}"}),
		with("inside", map[string]string{"ns/b.py": ""}), with("wished", map[string]string{}),
	))
	defer srv.Close()
	x := newBox(t, t.TempDir(), srv.URL+"/simple", "none")
	base := Spec{Env: Base, Image: "host", Requirements: asks("first")}
	if g := x.use(t, base); g.Tried != g.Number {
		t.Errorf("the first one leans on %d", g.Tried)
	}
	for line, alone := range map[string]bool{"second": true, "plugin": false, "startup": false, "settings": false, "inside": false, "wished": false} {
		s := base
		s.Requirements = asks("first", line)
		m, err := x.b.Make(t.Context(), s, progress.Discard)
		if err != nil {
			t.Fatalf("%s: %v %v", line, err, notice.For(err))
		}
		if got := m.Generation.Tried != m.Generation.Number; got != alone {
			t.Errorf("%s: tried with %d of %d", line, m.Generation.Tried, m.Generation.Number)
		}
		s.Image = "another"
		if line == "second" {
			s.Requirements = asks("first", "second", "wished")
			if m, err := x.b.Make(t.Context(), s, progress.Discard); err != nil || m.Generation.Tried != m.Generation.Number {
				t.Errorf("in another image: %+v %v", m, err)
			}
		}
	}
}

// A list of files that somebody has forged, or that is not complete, is not followed.
func TestForgedListIsNotFollowed(t *testing.T) {
	srv := httptest.NewServer(wheeltest.Index(script("tool", "1"), wheeltest.Wheel{Name: "one", Version: "1"}, wheeltest.Wheel{Name: "two", Version: "1"}))
	defer srv.Close()
	for what, forge := range map[string]func(dir, record string) error{
		"outside": func(_, record string) error { return add(record, "../../../../../../../secret,,\n") },
		"link": func(dir, record string) error {
			return errors.Join(os.Symlink("/etc/passwd", filepath.Join(dir, "stolen")), add(record, "stolen,,\n"))
		},
		"missing":  func(_, record string) error { return add(record, "nothing.py,,\n") },
		"unlisted": func(dir, _ string) error { return os.WriteFile(filepath.Join(dir, "unlisted.py"), nil, 0o444) },
		"damaged":  func(_, record string) error { return add(record, "../../../bin/tool\n\xff\xfe\n") },
	} {
		root := t.TempDir()
		if err := os.WriteFile(filepath.Join(root, "secret"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		x := newBox(t, filepath.Join(root, "env"), srv.URL+"/simple", "none")
		spec := Spec{Env: Base, Image: "host", Requirements: asks("tool", "one")}
		old := filepath.Join(x.store.Root(), x.use(t, spec).Path())
		records, _ := filepath.Glob(filepath.Join(old, "lib/python*/site-packages/tool-1.dist-info/RECORD"))
		if len(records) != 1 {
			t.Fatal(records)
		}
		if err := forge(filepath.Dir(filepath.Dir(records[0])), records[0]); err != nil {
			t.Fatal(err)
		}
		spec.Requirements = asks("tool", "one", "two")
		g := x.use(t, spec)
		for path := range tree(t, filepath.Join(x.store.Root(), g.Path())) {
			if base := filepath.Base(path); base == "secret" || base == "stolen" || base == "unlisted.py" {
				t.Errorf("%s: took over %s", what, path)
			}
		}
		out, err := exec.Command(filepath.Join(x.store.Root(), g.Path(), "bin/tool")).CombinedOutput()
		if err != nil || string(out) != "1\n" {
			t.Errorf("%s: %s %v", what, out, err)
		}
	}
}

// add appends to a file that nobody may write.
func add(path, text string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return errors.Join(os.Remove(path), os.WriteFile(path, append(old, text...), 0o444))
}
