package environments

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/conjuring/conjured/internal/wheeltest"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// Wheels that would be more than packages: what says that a generation is whole is ours,
// and nothing goes to another place than a new generation.
func TestWheelsThatMeanHarm(t *testing.T) {
	files := func(paths ...string) map[string]string {
		out := map[string]string{"fine.py": "x = 1\n"}
		for _, p := range paths {
			out[p] = "harm\n"
		}
		return out
	}
	away := "../../../../../../../../../.."
	outside := filepath.Join(t.TempDir(), "outside")
	refused := map[string]map[string]string{
		"whole":    files("whole-1.data/data/ok", "whole-1.data/data/generation.json"),
		"leased":   files("leased-1.data/data/lease/file"),
		"conda":    files("conda-1.data/data/conda-meta/x.json"),
		"program":  files("program-1.data/data/bin/python"),
		"line":     files("a\nb.py"),
		"unknown":  files("unknown-1.data/elsewhere/x"),
		"through":  files("through.py/x", "through.py"),
		"commands": {"commands.py": "x = 1\n", "commands-1.dist-info/entry_points.txt": "[console_scripts]\n" + away + outside + " = commands:x\n"},
	}
	harmless := map[string]map[string]string{
		"hot":    files("conjured_hot.pth"),
		"climbs": files(away+outside, "climbs-1.data/scripts/"+away+outside, "climbs-1.data/data/"+away+outside),
		"root":   files(outside, "root-1.data/data/"+outside),
	}
	var wheels []wheeltest.Wheel
	for name, modules := range refused {
		wheels = append(wheels, wheeltest.Wheel{Name: name, Version: "1", Modules: modules})
	}
	for name, modules := range harmless {
		wheels = append(wheels, wheeltest.Wheel{Name: name, Version: "1", Modules: modules})
	}
	srv := httptest.NewServer(wheeltest.Index(wheels...))
	defer srv.Close()
	x := newBox(t, t.TempDir(), srv.URL+"/simple", "none")
	try := func(name string) (Generation, error) {
		m, err := x.b.Make(t.Context(), Spec{Env: Base, Image: "host", Requirements: asks(name)}, progress.Discard)
		if _, there := os.Lstat(outside); there == nil {
			t.Errorf("%s wrote outside", name)
		}
		return m.Generation, err
	}
	for name := range refused {
		_, err := try(name)
		if l := notice.For(err); len(l) == 0 || l[0].Code == "unexpected" {
			t.Errorf("%s: %v", name, err)
		}
		if gs, err := x.store.Generations(Base); err != nil || len(gs) > 0 {
			t.Fatalf("%s left %v, %v", name, gs, err)
		}
	}
	for name := range harmless {
		g, err := try(name)
		if err != nil {
			t.Errorf("%s: %v", name, notice.For(err))
			continue
		}
		pth, err := os.ReadFile(filepath.Join(x.store.Root(), g.Path(), packagesOf(g), hotPth))
		if want := filepath.Join(x.store.Mount(), hotPath(g.Env, g.Number)); err != nil || strings.TrimSpace(string(pth)) != want {
			t.Errorf("%s: new packages are looked for in %q, not %q: %v", name, pth, want, err)
		}
	}
}
