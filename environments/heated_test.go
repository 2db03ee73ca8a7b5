package environments

import (
	"bufio"
	"fmt"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/conjuring/conjured/internal/wheeltest"
)

// What the builder adds to a generation can be imported by a Python that runs in the one
// before, though it asked in vain a moment ago; and only then.
func TestHeat_built(t *testing.T) {
	srv := httptest.NewServer(wheeltest.Index(
		wheeltest.Wheel{Name: "one", Version: "1"}, script("second", "1"), script("third", "1"),
		wheeltest.Wheel{Name: "plugin", Version: "1", Modules: map[string]string{
			"plugin.py": "", "plugin-1.dist-info/entry_points.txt": "[jupyter_serverproxy_servers]\nx = plugin:x\n",
		}},
	))
	defer srv.Close()
	x := newBox(t, t.TempDir(), srv.URL+"/simple", "none")
	spec := Spec{Env: Base, Image: "host", Requirements: asks("one")}
	one := x.use(t, spec)
	cmd := exec.Command(filepath.Join(x.store.Root(), one.Path(), "bin/python"), "-u", "-c",
		"import importlib, sys\nfor line in sys.stdin:\n  try: print('has', importlib.import_module(line.strip()).__file__)\n  except ImportError: print('no')")
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	asked := func(name string) string {
		fmt.Fprintln(in, name)
		lines.Scan()
		return lines.Text()
	}
	hot := filepath.Join(x.store.Root(), hotPath(Base, one.Number))
	for _, step := range []struct {
		lines  []string
		heated Heated
		module string
		want   string
	}{
		{[]string{"one", "second"}, Heated{[]int{1}, []string{"second"}}, "second", "has " + hot + "/second/__init__.py"},
		{[]string{"one", "second", "third"}, Heated{[]int{2, 1}, []string{"third"}}, "third", "has " + hot + "/third/__init__.py"},
		{[]string{"one", "second", "third", "plugin"}, Heated{}, "plugin", "no"},
		{[]string{"one", "third"}, Heated{}, "second", "has " + hot + "/second/__init__.py"}, // it was imported before
	} {
		if got := asked(step.module); step.module != "second" && got != "no" {
			t.Fatalf("%s is there already: %s", step.module, got)
		}
		spec.Requirements = asks(step.lines...)
		if d := cmp.Diff(step.heated, heat(t, x.store, x.use(t, spec))); d != "" {
			t.Errorf("%s: %s", step.module, d)
		}
		if got := asked(step.module); got != step.want {
			t.Errorf("%s: %s, want %s", step.module, got, step.want)
		}
	}
}
