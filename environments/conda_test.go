package environments

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/conjuring/conjured/environments/enginetest"
	"github.com/conjuring/conjured/internal/condatest"
	"github.com/conjuring/conjured/internal/wheeltest"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// condaBox is a box with a channel beside its index.
type condaBox struct {
	box
	channel *condatest.Server
	python  string // the version that the channel has, X.Y
}

// realPython packs this machine's interpreter.
func realPython(t *testing.T) condatest.Package {
	t.Helper()
	p, err := condatest.Python{}.Package()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newCondaBox(t *testing.T, index string, packages ...condatest.Package) condaBox {
	t.Helper()
	tools := enginetest.RealTools(t)
	py := realPython(t)
	channel := condatest.Serve(condatest.Channel{Name: "conda-forge", Packages: append([]condatest.Package{py}, packages...)})
	srv := httptest.NewServer(channel)
	t.Cleanup(srv.Close)
	root := t.TempDir()
	s, err := Open(root, root)
	if err != nil {
		t.Fatal(err)
	}
	run := &hostRunner{}
	b, err := New(Config{
		Store: s, Runner: run, UV: tools.UV, Python: tools.Python, Lab: "none", Index: index, Rattler: tools.Python, CondaMirror: srv.URL,
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	minor := strings.Join(strings.Split(py.Version, ".")[:2], ".")
	return condaBox{box{s, run, b}, channel, minor}
}

func condaAsks(lines ...string) []CondaRequirement {
	var out []CondaRequirement
	for i, l := range lines {
		out = append(out, CondaRequirement{Spec: l, File: "environment.yml", Line: i + 3})
	}
	return out
}

// A conda environment with packages of the index on top: exactly locked, linked from the
// store, changed as little as the lines allow, made again without network.
func TestE5_condaEnvironment(t *testing.T) {
	srv := httptest.NewServer(wheeltest.Index(
		wheeltest.Wheel{Name: "ipykernel", Version: "1"}, wheeltest.Wheel{Name: "extra", Version: "1", Requires: []string{"geo"}},
		wheeltest.Wheel{Name: "geo", Version: "9"}, wheeltest.Wheel{Name: "needs-nine", Version: "1", Requires: []string{"geo>=9"}},
		wheeltest.Wheel{Name: "more", Version: "1"},
	))
	defer srv.Close()
	geo := condatest.Package{Name: "geo", Version: "1.0", Noarch: "python", Depends: []string{"python"}}
	x := newCondaBox(t, srv.URL+"/simple", geo)
	spec := Spec{Env: "geo", Image: "host", Channels: []string{"conda-forge"}, Conda: condaAsks("geo"), Requirements: asks("extra")}
	g := x.use(t, spec)
	if g.Manifest.Python != x.python || len(g.Manifest.of(Conda)) != 2 || len(g.Manifest.of(Pip)) != 2 {
		t.Fatalf("%s", g.Manifest.Canonical())
	}
	dir := filepath.Join(x.store.Root(), g.Path())
	if out, err := exec.Command(filepath.Join(dir, "bin/python"), "-I", "-c", "import geo, extra, ipykernel; print(geo.__version__)").CombinedOutput(); err != nil || string(out) != "1.0\n" {
		t.Errorf("%s %v", out, err)
	}

	// What conda brings is not replaced: both lines are named, and nothing moves.
	for line, names := range map[string]string{"geo==9": "geo==9 (line 1", "needs-nine": "needs-nine (line 1"} {
		bad := spec
		bad.Requirements = asks(line)
		_, err := x.b.Make(t.Context(), bad, progress.Discard)
		l := notice.For(err)
		if len(l) != 1 || l[0].Code != "environment-pip-over-conda" || !strings.Contains(l[0].What, names) || !strings.Contains(l[0].What, "geo 1.0, which line 3 of environment.yml") {
			t.Errorf("%s: %v", line, err)
		}
	}

	// One line more shares everything that is the same.
	spec.Requirements = asks("extra", "more")
	second := x.use(t, spec)
	if !second.Alone || len(second.New) != 1 {
		t.Errorf("%+v", second)
	}
	if own, whole := alone(t, x.store.Root(), second); own*100 > whole*3 {
		t.Errorf("one line more takes %d of %d bytes", own, whole)
	}

	// Without network, from the store, whatever became of the generation.
	x.channel.Network.Offline(true)
	srv.Close()
	if err := os.RemoveAll(filepath.Join(x.store.Root(), second.Path(), "lib")); err != nil {
		t.Fatal(err)
	}
	if missing, err := x.b.Missing(t.Context(), second.Manifest); err != nil || missing != nil {
		t.Errorf("%v %v", missing, err)
	}
	made, err := x.b.Rebuild(t.Context(), spec, second.Manifest, progress.Discard)
	if err != nil || made.Generation.ID != second.ID {
		t.Fatalf("%+v %v %v", made, err, notice.For(err))
	}
	if l, err := x.b.Verify(t.Context(), made.Generation, progress.Discard); err != nil || l != nil {
		t.Errorf("%v %v", l, err)
	}
}

// alone is how many bytes of a generation no other path shares, and how many it has.
func alone(t *testing.T, root string, g Generation) (own, whole int64) {
	t.Helper()
	out, err := exec.Command("find", filepath.Join(root, g.Path()), "-type", "f", "-printf", "%n %s %P\n").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		var links int
		var size int64
		if _, err := fmt.Sscan(line, &links, &size); err != nil {
			t.Fatal(err)
		}
		whole += size
		if links == 1 {
			own += size
		}
	}
	return own, whole
}
