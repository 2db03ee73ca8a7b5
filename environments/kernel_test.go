package environments

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// put writes a file below the store.
func put(t *testing.T, s *Store, path, text string) {
	t.Helper()
	path = filepath.Join(s.Root(), path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, e := range es {
		out = append(out, e.Name())
	}
	return out
}

func TestKernelOf(t *testing.T) {
	for _, x := range []struct{ env, display, dir, shown string }{
		{"base", "base", "python3", "Python 3 (ipykernel)"},
		{"geo_101", "geo-101", "geo-101", "geo-101"},
		{"geo", "Geo", "geo", "Geo"},
		{"geo", "", "geo", "geo"},
		{"python3", "python3", "env-python3", "python3"},
		{"umlaut", "Über uns", "env-umlaut", "Über uns"},
		{"up", "../up", "env-up", "../up"},
	} {
		if k := KernelOf(Name(x.env), x.display, nil); k.Dir != x.dir || k.Display != x.shown {
			t.Errorf("%s %s: %+v", x.env, x.display, k)
		}
	}
}

// kernels/ is exactly what it was set to, and nothing is written twice.
func TestE5_setKernels(t *testing.T) {
	s := open(t)
	g := generation(t, s)
	if err := s.Flip(Current, g); err != nil {
		t.Fatal(err)
	}
	share := g.Path() + "/share/jupyter/kernels/"
	put(t, s, share+"python3/kernel.json", `{"argv": ["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"], "language": "python"}`)
	put(t, s, share+"python3/logo-svg.svg", "<svg></svg>")
	put(t, s, share+"python3/logo-64x64.png", "small")
	put(t, s, share+"python3/kernel.js", "alert(1)")
	put(t, s, share+"ir/kernel.json", `{"argv": ["/prefix/lib/R/bin/R", "--slave", "--args", "{connection_file}"], "language": "R", "interrupt_mode": "message"}`)
	put(t, s, share+"ir/logo-64x64.png", strings.Repeat("x", maxKernelFile+1))
	if err := os.Symlink("/etc/passwd", filepath.Join(s.Root(), share, "ir/logo-svg.svg")); err != nil {
		t.Fatal(err)
	}
	r := Kernel{Dir: "stats", Display: "stats", Env: Base, Label: Current, Argv: []string{"R", "--slave", "--args", "{connection_file}"}}
	for _, set := range [][]Kernel{{PythonKernel(), {Dir: "old", Env: "old", Label: Current}}, {PythonKernel(), r}} {
		if err := s.SetKernels(set); err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(s.Root(), "kernels")
	if d := cmp.Diff([]string{"python3", "stats"}, names(t, dir)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"kernel.json", "logo-64x64.png"}, names(t, filepath.Join(dir, "python3"))); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"kernel.json"}, names(t, filepath.Join(dir, "stats"))); d != "" {
		t.Error("a file that is too large, or outside, was taken: " + d)
	}
	var got kernelSpec
	b, err := os.ReadFile(filepath.Join(dir, "stats/kernel.json"))
	if err != nil || json.Unmarshal(b, &got) != nil {
		t.Fatal(err)
	}
	want := kernelSpec{
		Argv:    []string{LaunchPath, "base@current", "R", "--slave", "--args", "{connection_file}"},
		Display: "stats", Language: "R", Interrupt: "message", Metadata: map[string]any{}, // Jupyter takes no null
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	s.step = func(what string) error { return fmt.Errorf("wrote: %s", what) }
	if err := s.SetKernels([]Kernel{PythonKernel(), r}); err != nil {
		t.Error(err)
	}
}

// One bad kernel stands in no other's way, and none leaves the directory.
func TestSetKernels_refuses(t *testing.T) {
	s := open(t)
	err := s.SetKernels([]Kernel{
		{Dir: "../x", Env: Base, Label: Current},
		{Dir: "a/b", Env: Base, Label: Current},
		{Dir: "a", Env: "../x", Label: Current},
		{Dir: "b", Env: Base, Label: "../x"},
		PythonKernel(), PythonKernel(),
	})
	if err == nil || strings.Count(err.Error(), "cannot write kernel") != 5 {
		t.Error(err)
	}
	if d := cmp.Diff([]string{"python3"}, names(t, filepath.Join(s.Root(), "kernels"))); d != "" {
		t.Error(d)
	}
}

// A course's kernel is in the list of its students only.
func TestShowKernels(t *testing.T) {
	s := open(t)
	if err := s.SetKernels([]Kernel{PythonKernel(), KernelOf("geo", "geo-101", nil)}); err != nil {
		t.Fatal(err)
	}
	show := func(user string, dirs ...string) {
		t.Helper()
		if err := s.ShowKernels(user, dirs); err != nil {
			t.Fatal(err)
		}
		list := filepath.Join(s.Root(), ShownPath(user), "kernels")
		if d := cmp.Diff(dirs, names(t, list)); d != "" {
			t.Error(d)
		}
		for _, k := range dirs {
			if _, err := os.Stat(filepath.Join(list, k, "kernel.json")); err != nil {
				t.Error(err)
			}
		}
	}
	show("amira", "python3")
	show("amira", "geo-101", "python3")
	show("ünal", "python3")
	show("amira", "python3")
	put(t, s, ShownPath("amira")+"/kernels/junk/kernel.json", "{}")
	show("amira", "geo-101", "python3")
	if fi, err := os.Stat(filepath.Join(s.Root(), "users")); err != nil || fi.Mode().Perm() != 0o711 {
		t.Errorf("%v %v", fi, err)
	}
	s.step = func(what string) error { return fmt.Errorf("wrote: %s", what) }
	show("amira", "geo-101", "python3")
	s.step = func(string) error { return nil }
	for _, user := range []string{"", ".", "..", ".x", "-x", "a/b", "a:b", "a\x00", "a\nb", "\xff", strings.Repeat("a", 129)} {
		if err := s.ShowKernels(user, nil); err == nil {
			t.Errorf("%q was taken", user)
		}
	}
	if err := s.ShowKernels("amira", []string{"../.."}); err == nil {
		t.Error("a kernel outside was taken")
	}
	if err := s.ShowOnly([]string{"amira"}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"amira"}, names(t, filepath.Join(s.Root(), "users"))); d != "" {
		t.Error(d)
	}
}

// Whatever moment the list is read at, a kernel that stays is in it.
func TestShowKernels_cut(t *testing.T) {
	for cut := range 3 {
		s := open(t)
		if err := s.ShowKernels("amira", []string{"a", "python3"}); err != nil {
			t.Fatal(err)
		}
		n := 0
		s.step = func(string) error {
			if n++; n > cut {
				return errCut
			}
			return nil
		}
		_ = s.ShowKernels("amira", []string{"b", "c", "python3"})
		s.step = func(string) error { return nil }
		list := filepath.Join(s.Root(), ShownPath("amira"), "kernels")
		if fi, err := os.Lstat(filepath.Join(list, "python3")); err != nil || fi.Mode()&fs.ModeSymlink == 0 {
			t.Errorf("cut %d: %v", cut, err)
		}
		if err := s.ShowKernels("amira", []string{"b", "c", "python3"}); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"b", "c", "python3"}, names(t, list)); d != "" {
			t.Errorf("cut %d: %s", cut, d)
		}
	}
}
