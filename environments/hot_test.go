package environments

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const site = "lib/python3.13/site-packages"

// warm completes a generation that is its parent and these distributions, as files by
// their path below the directory of packages; nil for a parent that has one package.
func warm(t *testing.T, s *Store, parent int, dists map[string]map[string]string) Generation {
	t.Helper()
	n, err := s.begin(Base)
	if err != nil {
		t.Fatal(err)
	}
	g := Generation{Env: Base, Number: n, Parent: parent, Alone: parent > 0, State: Ready, Manifest: Manifest{Python: "3.13", Platform: "linux-x86_64"}}
	dir := g.Path() + "/" + site + "/"
	if err := os.MkdirAll(filepath.Join(s.Root(), hotPath(Base, n)), 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, s, dir+hotPth, s.Mount()+"/"+hotPath(Base, n)+"\n")
	put(t, s, dir+"old/__init__.py", "")
	for name, files := range dists {
		g.New = append(g.New, name)
		g.Manifest.Packages = append(g.Manifest.Packages, Package{Name: name, Version: "1", Hashes: []string{"sha256:" + strings.Repeat("a", 64)}})
		record := name + "-1.dist-info/RECORD"
		rows := []string{record + ",,", name + "-1.dist-info/METADATA,,", "../../../bin/" + name + ",,"}
		for path, text := range files {
			put(t, s, dir+path, text)
			if !strings.HasSuffix(path, ".pyc") {
				rows = append(rows, path+",sha256=x,1")
			}
		}
		put(t, s, dir+name+"-1.dist-info/METADATA", "Name: "+name)
		put(t, s, dir+record, strings.Join(rows, "\n")+"\n")
	}
	slices.Sort(g.New)
	g.ID = g.Manifest.ID()
	if err := s.complete(g); err != nil {
		t.Fatal(err)
	}
	if err := s.Flip(Current, g); err != nil {
		t.Fatal(err)
	}
	return g
}

type dists = map[string]map[string]string

func heat(t *testing.T, s *Store, g Generation) Heated {
	t.Helper()
	h, err := s.Heat(g)
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(s.Root(), "hot/*/.*")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	return h
}

// What is added goes to the kernels of every older generation that it was added to, as
// the same files, and no program and no second time.
func TestHeat(t *testing.T) {
	s := open(t)
	hot := func(n int) string { return filepath.Join(s.Root(), hotPath(Base, n)) }
	one := warm(t, s, 0, nil)
	two := warm(t, s, one.Number, dists{"cow": {"cow/__init__.py": "x = 1", "cow/__pycache__/__init__.cpython-313.pyc": "code", "cow/data.txt": "moo"}})
	if d := cmp.Diff(Heated{[]int{1}, []string{"cow"}}, heat(t, s, two)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"cow", "cow-1.dist-info"}, names(t, hot(1))); d != "" {
		t.Error(d)
	}
	three := warm(t, s, two.Number, dists{"hen": {"hen.py": "y = 2", "__pycache__/hen.cpython-313.pyc": "code"}})
	put(t, s, three.Path()+"/"+site+"/cow-1.dist-info/RECORD", "cow-1.dist-info/RECORD,,\n")
	for _, f := range []string{"cow/__init__.py", "cow/__pycache__/__init__.cpython-313.pyc", "cow/data.txt", "cow-1.dist-info/METADATA"} {
		to := filepath.Join(s.Root(), three.Path(), site, f)
		_ = os.MkdirAll(filepath.Dir(to), 0o755)
		_ = os.Remove(to)
		if err := os.Link(filepath.Join(s.Root(), two.Path(), site, f), to); err != nil {
			t.Fatal(err)
		}
	}
	three.Manifest.Packages = append(three.Manifest.Packages, two.Manifest.Packages...)
	for range 2 {
		if d := cmp.Diff(Heated{[]int{2, 1}, []string{"hen"}}, heat(t, s, three)); d != "" {
			t.Error(d)
		}
	}
	if d := cmp.Diff([]string{"cow", "cow-1.dist-info", "hen-1.dist-info", "hen.py"}, names(t, hot(1))); d != "" {
		t.Error(d)
	}
	for _, f := range []string{"cow/__init__.py", "cow/__pycache__/__init__.cpython-313.pyc", "hen.py"} {
		a, err := os.Stat(filepath.Join(s.Root(), three.Path(), site, f))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.Stat(filepath.Join(hot(1), f)); err != nil || !os.SameFile(a, b) {
			t.Errorf("%s is not the same file: %v", f, err)
		}
	}
}

// New kernels of a generation that is current again have what its manifest says.
func TestHeat_rollback(t *testing.T) {
	s := open(t)
	one := warm(t, s, 0, nil)
	two := warm(t, s, one.Number, dists{"cow": {"cow/__init__.py": ""}})
	heat(t, s, two)
	if err := s.Flip(Current, one); err != nil {
		t.Fatal(err)
	}
	if h := heat(t, s, one); len(h.Generations) > 0 || len(names(t, filepath.Join(s.Root(), hotPath(Base, 1)))) > 0 {
		t.Errorf("%+v", h)
	}
}

// Whatever is more than files beside the others stays out of running kernels.
func TestHeat_refuses(t *testing.T) {
	cow := func(more ...string) dists {
		files := map[string]string{"cow/__init__.py": ""}
		for _, m := range more {
			files[m] = "x"
		}
		return dists{"cow": files}
	}
	for name, x := range map[string]struct {
		dists  dists
		change func(s *Store, g *Generation)
	}{
		"not alone":      {cow(), func(_ *Store, g *Generation) { g.Alone = false }},
		"other python":   {cow(), func(_ *Store, g *Generation) { g.Manifest.Python = "3.12" }},
		"other image":    {cow(), func(_ *Store, g *Generation) { g.Image = "other" }},
		"start-up file":  {cow("cow.pth"), nil},
		"elsewhere":      {cow("../../../share/jupyter/x.json"), nil},
		"in the old one": {cow("old/more.py"), nil},
		"module of it":   {cow("old.py"), nil},
		"plug-in": {cow(), func(s *Store, g *Generation) {
			put(t, s, g.Path()+"/"+site+"/cow-1.dist-info/entry_points.txt", "[pytest11]\nx = cow")
		}},
		"conda":   {cow(), func(_ *Store, g *Generation) { g.Manifest.Packages[0].Kind = Conda }},
		"unknown": {cow(), func(_ *Store, g *Generation) { g.New = []string{"cow", "hen"} }},
		"no record": {cow(), func(s *Store, g *Generation) {
			_ = os.Remove(filepath.Join(s.Root(), g.Path(), site, "cow-1.dist-info/RECORD"))
		}},
		"missing": {cow(), func(s *Store, g *Generation) {
			_ = os.Remove(filepath.Join(s.Root(), g.Path(), site, "cow/__init__.py"))
		}},
		"link":      {cow(), func(s *Store, g *Generation) { swap(t, filepath.Join(s.Root(), g.Path(), site, "cow/__init__.py")) }},
		"no hot":    {cow(), func(s *Store, _ *Generation) { _ = os.Remove(filepath.Join(s.Root(), hotPath(Base, 1))) }},
		"no pth":    {cow(), func(s *Store, _ *Generation) { _ = os.Remove(filepath.Join(s.Root(), "gen/base/1", site, hotPth)) }},
		"another's": {cow(), func(s *Store, _ *Generation) { put(t, s, hotPath(Base, 1)+"/cow/other.py", "") }},
	} {
		s := open(t)
		g := warm(t, s, warm(t, s, 0, nil).Number, x.dists)
		if x.change != nil {
			x.change(s, &g)
		}
		if h := heat(t, s, g); len(h.Generations)+len(h.Packages) > 0 {
			t.Errorf("%s: %+v", name, h)
		}
		if exists(filepath.Join(s.Root(), hotPath(Base, 1), "cow/__init__.py")) {
			t.Errorf("%s: it is there", name)
		}
	}
}

// swap puts a link in a file's place.
func swap(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", path); err != nil {
		t.Fatal(err)
	}
}

// Programs alone do not make a plug-in.
func TestPlugsIn(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "[console_scripts]\ncow = cow:main\n": false, " [gui_scripts]\r\nx=y": false,
		"[console_scripts]\na=b\n[jupyter.kernel]\nx=y": true, "[ console_scripts ]": true,
	} {
		if got := plugsIn([]byte(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
