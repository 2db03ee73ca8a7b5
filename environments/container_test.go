package environments

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/conjuring/conjured/internal/condatest"
	"github.com/conjuring/conjured/internal/needs"
	"github.com/conjuring/conjured/internal/wheeltest"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// dockerRunner runs commands in the class image, as the class does, but for the network:
// that of this machine, where the fixtures are.
type dockerRunner struct {
	mu   sync.Mutex
	seen []Command
}

func (d *dockerRunner) Run(ctx context.Context, c Command) (int, error) {
	d.mu.Lock()
	d.seen = append(d.seen, c)
	d.mu.Unlock()
	args := []string{
		"run", "--rm", "--init", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", c.User,
		"--tmpfs", "/tmp:mode=1777,size=1g,exec", "--label", "conjured.test=build", "--entrypoint", c.Args[0],
	}
	network := "none"
	if c.Network {
		network = "host"
	}
	args = append(args, "--network", network)
	for _, m := range c.Mounts {
		bind := "type=bind,source=" + m.Host + ",target=" + m.Container
		if m.ReadOnly {
			bind += ",readonly"
		}
		args = append(args, "--mount", bind)
	}
	for _, e := range c.Env {
		args = append(args, "--env", e)
	}
	if c.Input != nil {
		args = append(args, "--interactive")
	}
	cmd := exec.CommandContext(ctx, "docker", append(append(args, c.Image), c.Args[1:]...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Input, c.Output, c.Output
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	var x *exec.ExitError
	if errors.As(err, &x) {
		return x.ExitCode(), nil
	}
	return 0, err
}

// classImage is the image of a class.
func classImage(t *testing.T) string {
	t.Helper()
	image := os.Getenv("CONJURED_TEST_IMAGE")
	needs.All(t, needs.Docker(), needs.Root(), needs.Part{Name: "core-image", Check: func() error {
		if image == "" {
			return errors.New("CONJURED_TEST_IMAGE names no image of a class")
		}
		return nil
	}})
	return image
}

// classBox is a box whose commands run in the class image, with a channel that has the
// Python of this machine: another one than the image's.
func classBox(t *testing.T, py condatest.Package, packages ...condatest.Package) (condaBox, *dockerRunner) {
	t.Helper()
	channel := condatest.Serve(condatest.Channel{Name: "conda-forge", Packages: append([]condatest.Package{py}, packages...)})
	srv := httptest.NewServer(channel)
	t.Cleanup(srv.Close)
	lock, err := os.ReadFile("../layers/lock/lab.txt")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	run := &dockerRunner{}
	b, err := New(Config{Store: s, Runner: run, LabLock: lock, CABundle: caPath, CondaMirror: srv.URL, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	minor := strings.Join(strings.Split(py.Version, ".")[:2], ".")
	return condaBox{box{store: s, b: b}, channel, minor}, run
}

// A course has a Python of its own, which is not the image's: its kernel computes, its
// bytecode was written by it where it could do no harm, and nothing else of it has run
// before it was tried.
func TestG7_courseWithItsOwnPython(t *testing.T) {
	image := classImage(t)
	x, run := classBox(t, realPython(t))
	own := wheeltest.Wheel{Name: "own", Version: "1"}
	spec := Spec{
		Env: "geo101", Image: image, Python: x.python,
		Requirements: []Requirement{{Name: "own", Spec: "./" + own.File(), File: "geo101/requirements.txt", Line: 1}},
		Wheels:       []Wheel{{Path: "geo101/" + own.File(), SHA256: own.SHA256()}},
		Files:        fstest.MapFS{"geo101/" + own.File(): {Data: own.Bytes()}},
	}
	g := x.use(t, spec)
	if g.Manifest.Python != x.python || len(g.Manifest.of(Conda)) != 1 || len(g.Kernel) != 0 {
		t.Errorf("%+v", g)
	}
	gen := filepath.Join(MountPoint, g.Path())
	for _, c := range run.seen {
		if filepath.Dir(filepath.Dir(c.Args[0])) != gen {
			continue
		}
		for _, m := range c.Mounts {
			if c.Network || c.User != "65534:65534" || !m.ReadOnly && filepath.Base(m.Container) != "bytecode" {
				t.Errorf("a program of a package ran with network %t and %+v", c.Network, c.Mounts)
			}
		}
	}
	pyc, _ := filepath.Glob(filepath.Join(x.store.Root(), g.Path(), "lib/python*/site-packages/__pycache__/own.*.pyc"))
	if len(pyc) != 1 || !strings.Contains(pyc[0], strings.ReplaceAll(x.python, ".", "")) {
		t.Fatalf("%v", pyc)
	}
	if code, err := os.ReadFile(pyc[0]); err != nil || code[4] != 1 {
		t.Errorf("%v %x", err, code[:16])
	}
}

// A kernel that is none of Python: nothing of Python comes with it.
func TestE5_ownKernelspec(t *testing.T) {
	kernel := condatest.Package{Name: "r-irkernel", Version: "1.3", Files: []condatest.File{
		{Path: "bin/R", Mode: 0o755, Data: []byte("#!/bin/sh\n# of " + condatest.Placeholder + "\nshift\nexec /opt/conjured/lab/bin/python -m ipykernel_launcher -f \"$@\"\n")},
		{Path: "share/jupyter/kernels/ir/kernel.json", Data: []byte(`{"argv": ["` + condatest.Placeholder + `/bin/R", "--slave", "{connection_file}"], "display_name": "R", "language": "R"}`)},
	}}
	image := classImage(t)
	x, _ := classBox(t, realPython(t), kernel)
	g := x.use(t, Spec{Env: "r4", Image: image, Conda: condaAsks("r-irkernel")})
	if strings.Join(g.Kernel, " ") != "R --slave {connection_file}" || g.Manifest.Python != "" || len(g.Manifest.Packages) != 1 {
		t.Errorf("%+v", g)
	}
	if l, err := x.b.Verify(t.Context(), g, progress.Discard); err != nil || l != nil {
		t.Errorf("%v %v", notice.For(err), l)
	}
}

// meansHarm is what a Python does that wants more than its own environment.
const meansHarm = `
try:
    import posix
    posix.chmod(sys.prefix + "/share/shared", 0o644)
    posix.write(posix.open(sys.prefix + "/share/shared", posix.O_WRONLY), b"harm")
except OSError:
    pass
`

// The Python that a course brings writes its bytecode, and nothing else: the files of its
// packages are those of other courses too.
func TestPythonThatMeansHarm(t *testing.T) {
	image := classImage(t)
	py := realPython(t)
	py = condatest.Package{Name: py.Name, Version: py.Version, Build: "0_harm", License: py.License, Files: slices.Clone(py.Files)}
	minor := strings.Join(strings.Split(py.Version, ".")[:2], ".")
	if !meanHarm(py.Files) {
		t.Fatal("this Python has no encodings")
	}
	kernel := condatest.Package{Name: "r-irkernel", Version: "1.3", Files: []condatest.File{
		{Path: "bin/R", Mode: 0o755, Data: []byte("#!/bin/sh\nshift\nexec /opt/conjured/lab/bin/python -m ipykernel_launcher -f \"$@\"\n")},
		{Path: "share/jupyter/kernels/ir/kernel.json", Data: []byte(`{"argv": ["` + condatest.Placeholder + `/bin/R", "--slave", "{connection_file}"], "display_name": "R", "language": "R"}`)},
		{Path: "share/shared", Data: []byte("fine")},
		{Path: "lib/python" + minor + "/harmless.py", Data: []byte("x = 1\n")},
	}}
	x, run := classBox(t, py, kernel)
	g := x.use(t, Spec{Env: "r4", Image: image, Conda: condaAsks("r-irkernel", "python")})
	if len(run.seen) < 2 || filepath.Base(run.seen[1].Args[0]) != "python" || run.seen[1].Network {
		t.Fatalf("%+v", run.seen)
	}
	if pyc, _ := filepath.Glob(filepath.Join(x.store.Root(), g.Path(), "lib/python*/__pycache__/harmless.*.pyc")); len(pyc) != 1 {
		t.Errorf("bytecode: %v", pyc)
	}
	found, _ := filepath.Glob(filepath.Join(x.store.Root(), "store/conda/pkgs/r-irkernel-*/share/shared"))
	if len(found) != 1 {
		t.Fatalf("%v", found)
	}
	if b, err := os.ReadFile(found[0]); err != nil || string(b) != "fine" {
		t.Errorf("a file that others share says %q, %v", b, err)
	}
}

// meanHarm puts it where every Python begins.
func meanHarm(files []condatest.File) bool {
	found := false
	for i, f := range files {
		if dir, base := filepath.Split(f.Path); filepath.Base(dir) == "encodings" && base == "__init__.py" {
			files[i].Data, found = append(slices.Clone(f.Data), meansHarm...), true
		}
	}
	return found
}

// asNobody builds a wheel where it owns nothing but its own source.
const asNobody = `
import sys
honest = build_wheel


def build_wheel(directory, *rest):
    assert os.getuid() == 65534
    for path in "../../source.py", "../../tools/helps.py", "../../../job.json":
        for change in lambda: os.chmod(path, 0o666), lambda: open(path, "a"):
            try:
                change()
            except OSError:
                continue
            raise SystemExit("error: could change " + path)
    open("built", "w").close()
    return honest(directory, *rest)
`

// A source package is built by nobody: what it is built with is the cache's, for all.
func TestSourceIsBuiltByNobody(t *testing.T) {
	image := classImage(t)
	srv := httptest.NewServer(wheeltest.Serve(
		wheeltest.Sdist{Name: "old", Version: "1", Backend: asNobody, Tools: []string{"helps"}}, wheeltest.Wheel{Name: "helps", Version: "1"},
	))
	t.Cleanup(srv.Close)
	x, _ := classBox(t, condatest.Package{Name: "none", Version: "1.0"})
	x.b.c.Index = srv.URL + "/simple"
	spec := Spec{Env: "geo", Image: image, AllowBuild: true}
	w, err := x.b.prepare(spec, ResolveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.drop(x.b.c.Log)
	wheel, err := x.b.buildSource(t.Context(), spec, w, "old", "1", nil, progress.Discard)
	if err != nil {
		t.Fatalf("%v", notice.For(err))
	}
	if fi, err := os.Lstat(filepath.Join(x.store.Root(), wheel)); err != nil || fi.Mode() != 0o444 {
		t.Errorf("%v", err)
	}
	if _, err := os.Lstat(filepath.Join(w.host, "source/tools/helps.py")); err != nil {
		t.Error(err)
	}
}

// The class's own environment with packages of conda: the image's Lab in a prefix of
// conda, copied from the image as far as conda does not bring it itself.
func TestE4_condaInBase(t *testing.T) {
	image := classImage(t)
	py, err := condatest.Python{Image: image}.Package()
	if err != nil {
		t.Fatal(err)
	}
	python := []string{"python"}
	x, run := classBox(t, py,
		condatest.Package{Name: "geo", Version: "1.0", Noarch: "python", Depends: python},
		condatest.Package{Name: "fqdn", Version: "1.5.0", Noarch: "python", Depends: python}) // the Lab set has another one
	g := x.use(t, Spec{Env: Base, Image: image, Core: x.b.c.LabLock, Conda: condaAsks("geo", "fqdn")})
	if p, ok := g.Manifest.Find("fqdn"); !ok || p.Kind != Conda || len(g.Manifest.of(Conda)) != 3 || g.Tried != g.Number {
		t.Errorf("%+v", g)
	}
	want, err := parseLock(x.b.c.LabLock)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range g.Manifest.of(Pip) {
		if !slices.ContainsFunc(want, func(q Package) bool { return q.String() == p.String() }) {
			t.Errorf("%s is not of the Lab set", p)
		}
	}
	if len(run.seen) != 2 {
		t.Errorf("%d containers", len(run.seen))
	}
}
