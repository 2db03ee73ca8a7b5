package environments

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/conjuring/conjured/internal/wheeltest"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// A course's packages alone make a kernel: what a kernel needs comes by itself, in the
// versions that the class has anyway, and really computes.
func TestG4_courseRequirementsBecomeAKernel(t *testing.T) {
	lock, err := os.ReadFile("../layers/lock/lab.txt")
	if err != nil {
		t.Fatal(err)
	}
	own := wheeltest.Wheel{Name: "own", Version: "1"}
	x := newBox(t, t.TempDir(), "", "none")
	x.b.c.LabLock, x.b.c.CABundle = lock, caPath // the network of the test may open HTTPS
	spec := Spec{
		Env: "geo101", Display: "Geo 101", Image: "host",
		Requirements: []Requirement{{Name: "own", Spec: "./" + own.File(), File: "geo101/requirements.txt", Line: 1}},
		Wheels:       []Wheel{{Path: "geo101/" + own.File(), SHA256: own.SHA256()}},
		Files:        fstest.MapFS{"geo101/" + own.File(): {Data: own.Bytes()}},
	}
	g := x.use(t, spec)
	want, err := parseLock(lock)
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Manifest.Packages) < 10 {
		t.Errorf("%+v", g.Manifest)
	}
	for _, p := range g.Manifest.Packages {
		if p.Name != "own" && !slices.ContainsFunc(want, func(q Package) bool { return q.String() == p.String() }) {
			t.Errorf("%s is not as in the Lab set", p)
		}
	}
	if _, ok := g.Manifest.Find(ipykernel); !ok || g.Display != "Geo 101" || g.Parent != 0 || g.Alone {
		t.Errorf("%+v", g)
	}
	if missing, err := x.b.Missing(t.Context(), g.Manifest); err != nil || missing != nil {
		t.Errorf("missing %v: %v", missing, err)
	}

	// A kernel that runs finds what is added to its generation.
	hot := filepath.Join(x.store.Root(), "hot/geo101/1")
	if err := os.WriteFile(filepath.Join(hot, "added.py"), []byte("there = 1\n"), 0o444); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(filepath.Join(x.store.Root(), g.Path(), "bin/python"), "-c", "import added, own").CombinedOutput(); err != nil {
		t.Errorf("%s", out)
	}

	// Looked at again: all is well, until a file is another one.
	if l, err := x.b.Verify(t.Context(), g, progress.Discard); err != nil || l != nil {
		t.Errorf("%v %v", l, err)
	}
	mine, _ := filepath.Glob(filepath.Join(x.store.Root(), g.Path(), "lib/python*/site-packages/own.py"))
	if len(mine) != 1 {
		t.Fatal(mine)
	}
	if err := add(mine[0], "# more\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := x.b.Verify(t.Context(), g, progress.Discard); err == nil || len(notice.For(err)) != 1 || notice.For(err)[0].Code != "environment-damaged" || !strings.Contains(err.Error(), "own.py") {
		t.Errorf("%v", err)
	}

	// Reset: the same packages in a new place, whatever became of the old one, without
	// network; the old one's own name is not used again.
	if err := os.RemoveAll(filepath.Join(x.store.Root(), g.Path(), "lib")); err != nil {
		t.Fatal(err)
	}
	x.run.online = 0
	made, err := x.b.Rebuild(t.Context(), spec, g.Manifest, progress.Discard)
	if err != nil || made.Generation.Number != 2 || made.Generation.ID != g.ID {
		t.Fatalf("%+v %v %v", made, err, notice.For(err))
	}
	if x.run.online != 0 {
		t.Error("a reset asks the network")
	}
	if err := x.store.remove(filepath.Join(x.store.Root(), g.Path())); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(hot); !os.IsNotExist(err) {
		t.Errorf("what was added stays: %v", err)
	}
}

// Without internet a kernel can be made of what the image has: nothing has to be known of
// an index.
func TestKernelWithoutNetwork(t *testing.T) {
	uv, python := realUV(t)
	kernel, needed := wheeltest.Wheel{Name: "ipykernel", Version: "1", Requires: []string{"comm"}}, wheeltest.Wheel{Name: "comm", Version: "2"}
	srv := httptest.NewServer(wheeltest.Index(kernel, needed))
	defer srv.Close()
	lab := filepath.Join(t.TempDir(), "lab")
	for _, args := range [][]string{
		{"venv", "-q", "--python", python, lab},
		{"pip", "install", "-q", "--no-cache", "--compile-bytecode", "--python", lab, "--default-index", srv.URL + "/simple", "ipykernel"},
	} {
		if out, err := exec.Command(uv, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s", out)
		}
	}
	x := newBox(t, t.TempDir(), "http://127.0.0.1:9/simple", lab)
	x.b.c.LabLock = []byte("comm==2 --hash=sha256:" + needed.SHA256() + "\nipykernel==1 --hash=sha256:" + kernel.SHA256() + "\n")
	g := x.use(t, Spec{Env: "geo", Image: "host"})
	want, err := parseLock(x.b.c.LabLock)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, g.Manifest.Packages); d != "" {
		t.Error(d)
	}
}

// One line more is the generation in use and something beside it, which costs next to
// nothing; an upgrade moves what it is told to move.
func TestOneLineMoreAndUpgrade(t *testing.T) {
	wheels := []wheeltest.Wheel{{Name: "ipykernel", Version: "1"}, {Name: "one", Version: "1"}, {Name: "two", Version: "1"}, {Name: "more", Version: "1"}}
	srv := httptest.NewServer(wheeltest.Index(wheels...))
	defer srv.Close()
	x := newBox(t, t.TempDir(), srv.URL+"/simple", "none")
	spec := Spec{Env: "geo", Image: "host", Requirements: asks("one", "two")}
	first := x.use(t, spec)
	spec.Requirements = asks("one", "two", "more")
	second := x.use(t, spec)
	if d := cmp.Diff([]string{"more"}, second.New); d != "" || !second.Alone || second.Parent != first.Number {
		t.Errorf("%+v %s", second, d)
	}

	newer := httptest.NewServer(wheeltest.Index(append(wheels, wheeltest.Wheel{Name: "one", Version: "2"}, wheeltest.Wheel{Name: "two", Version: "2"})...))
	defer newer.Close()
	x.b.c.Index = newer.URL + "/simple"
	versions := func(o ResolveOptions) string {
		m, _, err := x.b.Resolve(t.Context(), spec, o, progress.Discard)
		if err != nil {
			t.Fatalf("%v %v", err, notice.For(err))
		}
		var out []string
		for _, p := range m.Packages {
			out = append(out, p.String())
		}
		return strings.Join(out, " ")
	}
	for _, c := range []struct {
		o    ResolveOptions
		want string
	}{
		{ResolveOptions{}, "ipykernel==1 more==1 one==1 two==1"},
		{ResolveOptions{Packages: []string{"one"}}, "ipykernel==1 more==1 one==2 two==1"},
		{ResolveOptions{Upgrade: true}, "ipykernel==1 more==1 one==2 two==2"},
		{ResolveOptions{}, "ipykernel==1 more==1 one==1 two==1"},
	} {
		if got := versions(c.o); got != c.want {
			t.Errorf("%+v: %s", c.o, got)
		}
	}

	// Once it is built, the upgrade is what the lines mean.
	m, _, err := x.b.Resolve(t.Context(), spec, ResolveOptions{Upgrade: true}, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x.b.Build(t.Context(), spec, m, progress.Discard)
	if err != nil || made.Generation.Alone || made.Generation.New != nil {
		t.Fatalf("%+v %v", made, err)
	}
	if again, err := x.b.Make(t.Context(), spec, progress.Discard); err != nil || again.New || again.Generation.Number != made.Generation.Number {
		t.Errorf("%+v %v", again, err)
	}

	gone, err := x.b.Missing(t.Context(), Manifest{Packages: []Package{
		{Name: "one", Version: "2", Hashes: []string{"sha256:" + strings.Repeat("0", 64)}}, m.Packages[0],
	}})
	if err != nil || len(gone) != 1 || gone[0].Name != "one" {
		t.Errorf("missing %v: %v", gone, err)
	}
}

// Manifests with packages of conda read back as they were written, and those of before
// there were any keep their identity.
func TestManifestOfBothEngines(t *testing.T) {
	hash := []string{"sha256:" + strings.Repeat("a", 64)}
	pip := Package{Name: "numpy", Version: "2.1", Hashes: hash}
	m := Manifest{Python: "3.13", Platform: "linux-x86_64", Packages: []Package{pip}}
	if got := m.ID(); got != "7a4f7855306ef77e338ba918050f30d9977aae4303714d75108cb10b39d7902a" {
		t.Errorf("an old manifest has another identity: %s", got)
	}
	url := "https://conda.anaconda.org/conda-forge/linux-64/"
	m.Packages = append(m.Packages,
		Package{Kind: Conda, Name: "r-base", Version: "4.4.1", Build: "h1_0", URL: url + "r-base-4.4.1-h1_0.conda", Hashes: hash, Size: 12},
		Package{Kind: Conda, Name: "_libgcc_mutex", Version: "0.1", Build: "main", URL: url + "_libgcc_mutex-0.1-main.tar.bz2", Hashes: hash})
	got, err := ParseManifest(m.Canonical())
	if err != nil {
		t.Fatal(err)
	}
	want := Manifest{Python: "3.13", Platform: "linux-x86_64", Packages: []Package{m.Packages[2], m.Packages[1], pip}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if again, err := ParseManifest(got.Canonical()); err != nil || again.ID() != m.ID() {
		t.Errorf("%v", err)
	}
	m.Python = ""
	if r, err := ParseManifest(m.Canonical()); err != nil || r.Python != "" {
		t.Errorf("%+v %v", r, err)
	}
	for _, bad := range []string{"@conda", "@conda https://x/a-1.conda#sha256:" + hash[0][7:], "@conda ftp://x/a-1-0.conda#" + hash[0], "@conda https://x/a-1-0.conda#sha256:0"} {
		if _, err := ParseManifest([]byte(manifestHeader + "# python 3.13\n# platform x\n" + bad + "\n")); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
