package hub

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/conjuring/conjured/environments"
)

// tree is a directory of environments on the host, as the daemon keeps it.
type tree struct {
	*environments.Store
	t *testing.T
}

// newTree copies the test image's environments, and makes a second one of base's files.
func newTree(t *testing.T, image string) *tree {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("docker", "run", "--rm", "--network=none", "--user=0", "--label=conjured-test=kernels",
		"-v", dir+":/to", "--entrypoint", "cp", image, "-a", "/opt/conjured/env/.", "/to").CombinedOutput()
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	s, err := environments.Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	base, err := s.Current(environments.Base)
	if err != nil {
		t.Fatal(err)
	}
	x := &tree{s, t}
	x.beside(base, "atlas", 1)
	x.beside(base, environments.Base, base.Number+1)
	return x
}

// site is where a generation has its packages.
func site(g environments.Generation) string {
	return "lib/python" + g.Manifest.Python + "/site-packages"
}

// beside makes a generation of the files of another one and, as the packages of a folder
// would, of more; it becomes current.
func (x *tree) beside(g environments.Generation, env environments.Name, number int, more ...string) environments.Generation {
	x.t.Helper()
	dir, hot := filepath.Join(x.Root(), "gen", string(env), fmt.Sprint(number)), filepath.Join("hot", string(env), fmt.Sprint(number))
	pth := filepath.Join(dir, site(g), "conjured_hot.pth")
	for _, d := range []string{filepath.Dir(dir), filepath.Join(x.Root(), hot)} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			x.t.Fatal(err)
		}
	}
	if out, err := exec.Command("cp", "-al", filepath.Join(x.Root(), g.Path()), dir).CombinedOutput(); err != nil {
		x.t.Fatalf("%v %s", err, out)
	}
	_ = os.Remove(pth)
	x.write(pth, filepath.Join(x.Mount(), hot)+"\n")
	n := g
	n.Env, n.Number, n.Parent, n.Alone, n.New = env, number, g.Number, len(more) > 0, more
	for _, m := range more {
		n.Manifest.Packages = append(slices.Clone(n.Manifest.Packages), environments.Package{Name: m, Version: "1", Hashes: []string{"sha256:" + strings.Repeat("a", 64)}})
		x.write(filepath.Join(dir, site(g), m, "__init__.py"), "place = __file__\n")
		x.write(filepath.Join(dir, site(g), m+"-1.dist-info", "METADATA"), "Metadata-Version: 2.1\nName: "+m+"\nVersion: 1\n")
		x.write(filepath.Join(dir, site(g), m+"-1.dist-info", "RECORD"), fmt.Sprintf("%[1]s/__init__.py,,\n%[1]s-1.dist-info/METADATA,,\n%[1]s-1.dist-info/RECORD,,\n", m))
	}
	n.ID = n.Manifest.ID()
	meta, err := json.Marshal(n)
	if err != nil {
		x.t.Fatal(err)
	}
	sum := sha256.Sum256(meta)
	for name, text := range map[string]string{
		"manifest.txt": string(n.Manifest.Canonical()), "generation.json": string(meta), "ok": hex.EncodeToString(sum[:]), "lease": "",
	} {
		_ = os.Remove(filepath.Join(dir, name))
		x.write(filepath.Join(dir, name), text)
	}
	if err := x.Flip(environments.Current, n); err != nil {
		x.t.Fatal(err)
	}
	return n
}

func (x *tree) write(path, text string) {
	x.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		x.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		x.t.Fatal(err)
	}
}

// show makes these the kernels, and gives each user some.
func (x *tree) show(all []environments.Kernel, users map[string][]string) {
	x.t.Helper()
	if err := x.SetKernels(all); err != nil {
		x.t.Fatal(err)
	}
	for user, dirs := range users {
		if err := x.ShowKernels(user, dirs); err != nil {
			x.t.Fatal(err)
		}
	}
}

// ask asks a user's server, as the page of that user does.
func (c *realClass) ask(t *testing.T, user, method, path, body string) (int, []byte) {
	t.Helper()
	id := serverID(user, "")
	tok, err := os.ReadFile(filepath.Join(c.paths.own(id), "token"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://localhost/user/"+user+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "token "+string(tok))
	resp, err := over(c.paths.sock(id), 0).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b
}

// specs are the kernels that a user's launcher shows.
func (c *realClass) specs(t *testing.T, user string) []string {
	t.Helper()
	code, b := c.ask(t, user, "GET", "/api/kernelspecs", "")
	var got struct{ Kernelspecs map[string]any }
	if err := json.Unmarshal(b, &got); err != nil || code != http.StatusOK {
		t.Fatalf("%d %s", code, b)
	}
	return slices.Sorted(maps.Keys(got.Kernelspecs))
}

// Kernels of other environments come into servers that run, to whom they are for, and
// what is added to a generation can be imported in kernels that run.
func TestReal_kernels(t *testing.T) {
	c := newRealClass(t)
	x := newTree(t, c.image)
	atlas := environments.KernelOf("atlas", "atlas-101", nil)
	x.show([]environments.Kernel{environments.PythonKernel()}, map[string][]string{"amira": {"python3"}, "ben": {"python3"}})
	class := c.class
	class.EnvDir = x.Root()
	c.SetClass(class)
	if _, err := c.deploy(t, nil); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"amira", "ben"} {
		b := c.browser(t)
		if code, page := b.login(user, "pw-"+user); code != http.StatusFound {
			t.Fatalf("login: %d %s", code, page)
		}
		b.spawn(user)
		if d := cmp.Diff([]string{"python3"}, c.specs(t, user)); d != "" {
			t.Errorf("%s: %s", user, d)
		}
	}
	x.show([]environments.Kernel{environments.PythonKernel(), atlas}, map[string][]string{"amira": {"atlas-101", "python3"}, "ben": {"python3"}})
	if d := cmp.Diff([]string{"atlas-101", "python3"}, c.specs(t, "amira")); d != "" {
		t.Errorf("a student of the course: %s", d)
	}
	if d := cmp.Diff([]string{"python3"}, c.specs(t, "ben")); d != "" {
		t.Errorf("another student: %s", d)
	}
	if code, b := c.ask(t, "ben", "POST", "/api/kernels", `{"name":"atlas-101"}`); code < 400 {
		t.Errorf("another student starts it: %d %s", code, b)
	}
	c.foreign(t, x)
	c.hot(t, x)
}

// foreign starts a kernel of another environment: it is told of that one alone.
func (c *realClass) foreign(t *testing.T, x *tree) {
	run := c.kernelOf(t, "amira", "atlas-101")
	got := run("import sys, os; print(sys.prefix, os.environ.get('VIRTUAL_ENV') or os.environ.get('CONDA_PREFIX'), [p for p in os.environ['PATH'].split(':') if '/gen/' in p], os.environ.get('PYTHONPATH'), [p for p in sys.path if 'hub' in p or '/gen/base' in p], 'conjured_server' in sys.modules)")
	if want := "/opt/conjured/env/gen/atlas/1 /opt/conjured/env/gen/atlas/1 ['/opt/conjured/env/gen/atlas/1/bin'] None [] False"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// hot adds a package beneath a kernel that was forked and one that was started.
func (c *realClass) hot(t *testing.T, x *tree) {
	for name, env := range map[string]environments.Name{"python3": environments.Base, "atlas-101": "atlas"} {
		g, err := x.Current(env)
		if err != nil {
			t.Fatal(err)
		}
		run := c.kernelOf(t, "amira", name)
		forked := map[bool]string{true: "forked True", false: "forked False"}[env == environments.Base]
		if got := run("import sys\ntry:\n  import newpkg\nexcept ImportError: print('forked', 'conjured_server' in sys.modules)"); got != forked {
			t.Fatalf("%s: %s, want %s", name, got, forked)
		}
		running, err := x.Running(env)
		open := slices.DeleteFunc(running, func(r environments.Running) bool { return r.Kernel == "" })
		if err != nil || !slices.ContainsFunc(open, func(r environments.Running) bool { return r.UID == 2001 && r.Number == g.Number }) {
			t.Errorf("%s: open kernels %+v, %v", name, open, err)
		}
		h, err := x.Heat(x.beside(g, env, g.Number+1, "newpkg"))
		if err != nil || !slices.Equal(h.Generations, []int{g.Number}) || !slices.Equal(h.Packages, []string{"newpkg"}) {
			t.Fatalf("%s: %+v %v", name, h, err)
		}
		want := fmt.Sprintf("/opt/conjured/env/hot/%s/%d/newpkg/__init__.py 1 /opt/conjured/env/gen/%s/%d", env, g.Number, env, g.Number)
		if got := run("import newpkg, sys, importlib.metadata as m; print(newpkg.place, m.version('newpkg'), sys.prefix)"); got != want {
			t.Errorf("%s: got %s\nwant %s", name, got, want)
		}
		want = fmt.Sprintf("/opt/conjured/env/gen/%s/%d/%s/newpkg/__init__.py", env, g.Number+1, site(g))
		if got := c.kernelOf(t, "amira", name)("import newpkg; print(newpkg.place)"); got != want {
			t.Errorf("%s, a new kernel: got %s\nwant %s", name, got, want)
		}
	}
}
