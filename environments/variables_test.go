package environments

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/conjuring/conjured/internal/condatest"
	"github.com/conjuring/conjured/internal/wheeltest"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

func variable(name, value string) Variable {
	return Variable{Name: name, Value: value, File: "environment.yml", Line: 3}
}

// A manifest with variables reads back as it was written; one that a stranger wrote
// brings in nothing that a teacher could not write.
func TestManifestWithVariables(t *testing.T) {
	m := Manifest{Python: "3.13", Platform: "linux-x86_64", Packages: []Package{{Name: "numpy", Version: "2.1", Hashes: []string{"sha256:" + strings.Repeat("a", 64)}}}}
	plain := m.ID()
	m.Variables = []string{`A=`, `B2='"$HOME`, `B=x # y \`}
	if got, err := ParseManifest(m.Canonical()); err != nil || cmp.Diff(m, got) != "" || got.ID() == plain {
		t.Errorf("%+v %v", got, err)
	}
	m.Packages = nil
	if got, err := ParseManifest(m.Canonical()); err != nil || cmp.Diff(m, got) != "" {
		t.Errorf("%+v %v", got, err)
	}
	for _, bad := range []string{"LD_PRELOAD=x", "PATH=x", "A", "=x", "A=\x01", "B=1\n# variable A=1", "A=1\n# variable A=2", "A=1\nnumpy==3"} {
		if got, err := ParseManifest([]byte(manifestHeader + "# python 3.13\n# platform x\n# variable " + bad + "\n")); err == nil {
			t.Errorf("%q was read: %+v", bad, got)
		}
	}
	m.Variables = nil
	c := Diff(Manifest{Variables: []string{"A=1", "B=1", "C=1"}}, Manifest{Variables: []string{"A=1", "B=2", "D=1"}})
	if c.Class() != Patch || len(c.Variables) != 3 || c.Sentence("geo") != "Geo gets other values of 3 variables; kernels that run keep what they have until they are restarted" {
		t.Errorf("%+v %s", c, c.Sentence("geo"))
	}
}

// launched is what a program of env's current generation has in its environment.
func launched(t *testing.T, s *Store, env Name) []string {
	t.Helper()
	put(t, s, "launch", string(Launcher))
	cmd := exec.Command("sh", filepath.Join(s.Root(), "launch"), string(env)+"@current", "python", "-c", "import os; print('\\n'.join(f'{k}={v}' for k, v in os.environ.items()))")
	cmd.Env = []string{"CONJURED_ENV=" + s.Root(), "PATH=/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s", out)
	}
	return strings.Split(string(out), "\n")
}

// Another value of a variable is another generation, made without network and of the
// same files; rolling back brings the old value back with the old generation.
func TestE5_variablesAndRollback(t *testing.T) {
	srv := httptest.NewServer(wheeltest.Index(wheeltest.Wheel{Name: "ipykernel", Version: "1"}, wheeltest.Wheel{Name: "one", Version: "1"}))
	x := newBox(t, t.TempDir(), srv.URL+"/simple", "none")
	spec := Spec{Env: "geo", Image: "host", Requirements: asks("one"), Variables: []Variable{variable("GEO", "first 'one' $HOME"), variable("KEPT", "")}}
	first := x.use(t, spec)
	srv.Close()
	has := func(want string) {
		t.Helper()
		if env := launched(t, x.store, "geo"); !slices.Contains(env, want) || !slices.Contains(env, "KEPT=") {
			t.Errorf("no %s in %q", want, env)
		}
	}
	has("GEO=first 'one' $HOME")
	if again, err := x.b.Make(t.Context(), spec, progress.Discard); err != nil || again.New {
		t.Errorf("%+v %v", again, err)
	}

	spec.Variables = []Variable{variable("GEO", "second"), variable("KEPT", "")}
	second := x.use(t, spec)
	if second.Number == first.Number || second.ID == first.ID || second.Tried != second.Number {
		t.Errorf("%+v", second)
	}
	if files, _ := filepath.Glob(filepath.Join(x.store.Root(), "gen/geo/*/lib/python*/site-packages/one.py")); len(files) != 2 || !sameFile(t, files[0], files[1]) {
		t.Errorf("%v take room twice", files)
	}
	has("GEO=second")
	if g, err := x.store.Rollback("geo"); err != nil || g.Number != first.Number {
		t.Fatalf("%+v %v", g, err)
	}
	has("GEO=first 'one' $HOME")
	if made, err := x.b.Build(t.Context(), spec, first.Manifest, progress.Discard); err != nil || made.Generation.Number != first.Number {
		t.Errorf("%+v %v", made, err)
	}

	// What is damaged is noticed, and made again with the same values.
	if err := os.Remove(filepath.Join(x.store.Root(), first.Path(), variablesFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := x.b.Verify(t.Context(), first, progress.Discard); len(notice.For(err)) != 1 || notice.For(err)[0].Code != "environment-damaged" {
		t.Errorf("%v", err)
	}
	made, err := x.b.Rebuild(t.Context(), spec, first.Manifest, progress.Discard)
	if err != nil {
		t.Fatal(notice.For(err))
	}
	if err := x.store.Flip(Current, made.Generation); err != nil {
		t.Fatal(err)
	}
	has("GEO=first 'one' $HOME")

	spec.Variables = []Variable{variable("LD_PRELOAD", "x"), variable("API_TOKEN", "0123456789abcdef"), variable("A", "1"), variable("A", "2")}
	if _, err := x.b.Make(t.Context(), spec, progress.Discard); len(notice.For(err)) != 3 {
		t.Errorf("%v", notice.For(err))
	}
}

func sameFile(t *testing.T, a, b string) bool {
	t.Helper()
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// withFiles is a package of these files.
func withFiles(name string, texts map[string]string) condatest.Package {
	p := condatest.Package{Name: name, Version: "1"}
	for f, text := range texts {
		p.Files = append(p.Files, condatest.File{Path: f, Data: []byte(text)})
	}
	slices.SortFunc(p.Files, func(a, b condatest.File) int { return strings.Compare(a.Path, b.Path) })
	return p
}

// geoPackage sets what packages of maps set, the way they do.
func geoPackage() condatest.Package {
	return withFiles("geodata", map[string]string{
		"share/gdal/x": "data", "share/gdal/tools/y": "data",
		"etc/conda/activate.d/geodata-activate.sh": `if [ -n "${GDAL_DATA+x}" ]; then export _CONDA_SET_GDAL_DATA="$GDAL_DATA"; fi
export GDAL_DATA="$CONDA_PREFIX/share/gdal" SAID="$TEACHER, $FROM_JSON" WHO="$(id -u)" WHERE="$CONDA_DEFAULT_ENV"
export PATH="$CONDA_PREFIX/share/gdal/tools:$PATH"
if [[ -n $BASH_VERSION ]]; then unset DROPPED; unset LANG; fi
[ -n "$NOTHING" ] && export NOTHING
`,
		"etc/conda/env_vars.d/geodata.json": `{"FROM_JSON": "json", "NUMBER": 3, "TEACHER": "json", "GONE": "***unset***", "DROPPED": "1", "LD_AUDIT": "/x"}`,
	})
}

// hostileScripts do what nobody should.
func hostileScripts() condatest.Package {
	return withFiles("hostile", map[string]string{
		"etc/conda/activate.d/h1.sh": "export AFTER_EXIT=1\nexit 1\n",
		"etc/conda/activate.d/h2.sh": "export AFTER_LOOP=1\nwhile :; do :; done\n",
		"etc/conda/activate.d/h3.sh": "head -c 1000000000 /dev/zero\nhead -c 1000000000 /dev/zero > /tmp/huge\nexport HUGE=$(stat -c %s /tmp/huge)\n",
		"etc/conda/activate.d/h4.sh": "touch $CONDA_PREFIX/evil $CONDA_PREFIX/../evil /evil && export WROTE=1\n(exec 5<>/dev/tcp/1.1.1.1/53) && export NET=1\n",
		"etc/conda/activate.d/h5.sh": "\nexport LD_PRELOAD=/evil.so PYTHONPATH=/evil\nexport JUPYTER_PATH=/evil HOME=/evil R_LIBS=$HOME/R\nexport BAD=$'a\\nb' RAW=$'\\xff'\nexport PATH=/evil:$PATH\n",
		"etc/conda/activate.d/h6.sh": "for i in $(seq 1 200); do export MANY_$i=$i; done\nexport LONG=$(head -c 9000 /dev/zero | tr '\\0' x)\nsleep 1000 &\n",
		"etc/conda/activate.d/h7.sh": "export LAST=1\n",
	})
}

// What packages of conda set reaches a kernel, found out where their scripts can do no
// harm: in a container, as nobody, without network, with nothing to write to. Those that
// never end, fail, or set what they must not cost a notice each.
func TestE5_activationInAContainer(t *testing.T) {
	image := classImage(t)
	kernel := withFiles("kernel", map[string]string{
		"bin/K":                               "#!/bin/sh\nexec /opt/conjured/lab/bin/python -m ipykernel_launcher -f \"$1\"\n",
		"share/jupyter/kernels/k/kernel.json": `{"argv": ["` + condatest.Placeholder + `/bin/K", "{connection_file}"], "display_name": "K", "language": "python"}`,
	})
	kernel.Files[0].Mode = 0o755
	x, run := classBoxOf(t, geoPackage(), hostileScripts(), kernel)
	x.b.patience = 2 * time.Second
	spec := Spec{Env: "geo", Image: image, Conda: condaAsks("geodata", "hostile", "kernel"), Variables: []Variable{variable("TEACHER", "chalk")}}
	made, err := x.b.Make(t.Context(), spec, progress.Discard)
	if err != nil {
		t.Fatalf("%v %v", err, notice.For(err))
	}
	g := made.Generation
	if err := x.store.Flip(Current, g); err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, n := range made.Notices {
		told = append(told, n.What)
	}
	all := strings.Join(told, "\n")
	for _, want := range []string{
		"LD_AUDIT (etc/conda/env_vars.d/geodata.json:1)", "(etc/conda/activate.d/h1.sh), which ended", "(etc/conda/activate.d/h2.sh), which did not end",
		"LD_PRELOAD (etc/conda/activate.d/h5.sh:2)", "PYTHONPATH (etc/conda/activate.d/h5.sh:2)", "HOME (etc/conda/activate.d/h5.sh:3)", "R_LIBS (etc/conda/activate.d/h5.sh:3)",
		"BAD (etc/conda/activate.d/h5.sh:4)", "RAW (etc/conda/activate.d/h5.sh:4)", "PATH (etc/conda/activate.d/geodata-activate.sh:3)", "LONG (etc/conda/activate.d/h6.sh:2)",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("nobody says %s in\n%s", want, all)
		}
	}
	sandbox := run.seen[len(run.seen)-2]
	if sandbox.Network || sandbox.User != "65534:65534" || len(sandbox.Mounts) != 1 || !sandbox.Mounts[0].ReadOnly {
		t.Errorf("%+v", sandbox)
	}

	gen := filepath.Join(MountPoint, g.Path())
	has := kernelEnviron(t, x.store, image, g)
	for name, want := range map[string]string{
		"GDAL_DATA": gen + "/share/gdal", "SAID": "chalk, json", "TEACHER": "chalk", "FROM_JSON": "json", "NUMBER": "3", "WHO": "65534", "WHERE": "geo", "LAST": "1",
		"MANY_7": "7", "HUGE": "262144",
	} {
		if has[name] != want {
			t.Errorf("%s is %q, not %q", name, has[name], want)
		}
	}
	for _, name := range []string{"AFTER_EXIT", "AFTER_LOOP", "WROTE", "NET", "LD_PRELOAD", "LD_AUDIT", "PYTHONPATH", "BAD", "RAW", "LONG", "R_LIBS", "DROPPED", "GONE", "_CONDA_SET_GDAL_DATA"} {
		if v, there := has[name]; there {
			t.Errorf("%s is %q", name, v)
		}
	}
	if l, err := x.b.Verify(t.Context(), g, progress.Discard); err != nil || l != nil {
		t.Errorf("%v %v", notice.For(err), l)
	}
}

// kernelEnviron is what a kernel of g that Jupyter started has in its environment.
func kernelEnviron(t *testing.T, s *Store, image string, g Generation) map[string]string {
	t.Helper()
	if err := s.SetKernels([]Kernel{KernelOf(g.Env, "", g.Kernel)}); err != nil {
		t.Fatal(err)
	}
	launcher := filepath.Join(t.TempDir(), "launch")
	if err := os.WriteFile(launcher, Launcher, 0o755); err != nil {
		t.Fatal(err)
	}
	const ask = `
import json, sys
from jupyter_client.manager import start_new_kernel
km, kc = start_new_kernel(kernel_name=sys.argv[1])
kc.execute_interactive("import json, os; print(json.dumps(dict(os.environ)))", timeout=60, output_hook=lambda m: print(m["content"].get("text", ""), end=""))
km.shutdown_kernel(now=True)
`
	cmd := exec.Command("docker", "run", "--rm", "--init", "--network", "none", "--label", "conjured.test=build", "--user", "65534:65534",
		"--env", "HOME=/tmp", "--env", "JUPYTER_PATH="+MountPoint, "--mount", "type=bind,source="+s.Root()+",target="+MountPoint+",readonly",
		"--mount", "type=bind,source="+launcher+",target="+LaunchPath+",readonly", "--entrypoint", "/opt/conjured/lab/bin/python", image, "-c", ask, string(g.Env))
	out, err := cmd.Output()
	if err != nil {
		var x *exec.ExitError
		errors.As(err, &x)
		t.Fatalf("%v %s %s", err, out, x.Stderr)
	}
	has := map[string]string{}
	if err := json.Unmarshal(out, &has); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return has
}

// classBoxOf is classBox without a Python of the channel.
func classBoxOf(t *testing.T, packages ...condatest.Package) (condaBox, *dockerRunner) {
	t.Helper()
	channel := condatest.Serve(condatest.Channel{Name: "conda-forge", Packages: packages})
	srv := httptest.NewServer(channel)
	t.Cleanup(srv.Close)
	s, err := Open(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	run := &dockerRunner{}
	b, err := New(Config{Store: s, Runner: run, CABundle: caPath, CondaMirror: srv.URL, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return condaBox{box{store: s, b: b}, channel, ""}, run
}
