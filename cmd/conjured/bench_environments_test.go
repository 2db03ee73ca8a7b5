package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/internal/needs"
	"github.com/conjuring/conjured/internal/wheeltest"
	"github.com/conjuring/conjured/progress"
)

// TestMeasureEnvironments is the half of `make bench` about packages: it writes a table
// to the file that CONJURED_BENCH_ENVIRONMENTS names, and asserts nothing about times.
func TestMeasureEnvironments(t *testing.T) {
	file := os.Getenv("CONJURED_BENCH_ENVIRONMENTS")
	if file == "" {
		return // not a test, but a measurement that is asked for by name
	}
	needs.All(t, needs.Docker(), needs.Root(), needs.Debootstrap())
	m := &packages{measurement: measurement{t: t, class: newClass(t, copyFolder(t, "testdata/class"))}}
	m.class.write("requirements.txt", science)
	m.class.start()
	m.class.waitOpen(15 * time.Minute)
	m.settle()
	for _, step := range []func(){
		m.hot, m.rollback, m.disk, m.launcher, m.imports, m.oldWay, m.noChange, m.reset,
	} {
		step()
		text := "\n## Packages\n\n| what | measured | target |\n|---|---|---|\n"
		for _, r := range m.rows {
			text += fmt.Sprintf("| %s | %s | %s |\n", r.what, r.figure, r.target)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// science is what the class of the measurement has, beside Lab.
const science = "pandas\nscipy\nmatplotlib\n"

type packages struct {
	measurement
	added time.Duration // one package more, until a running kernel has it
}

func (m *packages) settle() {
	m.class.eventually(10*time.Minute, "the work is done", func() bool { return m.class.idle(m.t) })
}

// apply waits until the class runs with the folder as it is.
func (m *packages) apply() {
	m.t.Helper()
	if out, errs, code := m.class.cli("apply", m.class.dir); code != 0 {
		m.t.Fatalf("apply: exit %d\n%s%s", code, out, errs)
	}
}

// hot adds a pure-Python package, whose file is in the store, while a kernel runs. There
// never was a generation with just this one.
func (m *packages) hot() {
	m.class.write("requirements.txt", science+"cowsay\nhumanize\n")
	m.apply()
	m.class.write("requirements.txt", science)
	m.apply()
	m.settle()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	s := newStudent(m.class.url, "amira", "blue bicycle 12")
	m.must(errors.Join(s.login(ctx), s.spawn(ctx)))
	k, err := s.kernel(ctx)
	m.must(err)
	defer k.close()
	if _, err := k.run(ctx, "import cowsay"); err == nil {
		m.t.Fatal("the package is there before it was added")
	}
	m.added = took(func() {
		m.class.write("requirements.txt", science+"cowsay\n")
		for {
			if _, err := k.run(ctx, "import cowsay"); err == nil {
				return
			}
			select {
			case <-ctx.Done():
				m.t.Fatal("the running kernel never got the package")
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	m.add("one pure-Python package more, file saved -> importable in a running kernel", seconds(m.added), "5 s")
	m.settle()
}

// rollback goes to yesterday's packages and back.
func (m *packages) rollback() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	s := newStudent(m.class.url, "amira", "blue bicycle 12")
	m.must(errors.Join(s.login(ctx), s.spawn(ctx)))
	fresh := func() (time.Duration, bool) {
		var had bool
		d := took(func() {
			_, err := s.run(ctx, "import cowsay")
			had = err == nil
		})
		return d, had
	}
	start, had := fresh()
	if !had {
		m.t.Fatal("the package is not there")
	}
	var best, next time.Duration
	for i, want := range []bool{false, true, false, true} {
		d := took(func() {
			if out, errs, code := m.class.cli("env", "rollback", "base"); code != 0 {
				m.t.Fatalf("rollback: exit %d\n%s%s", code, out, errs)
			}
		})
		kernel, had := fresh()
		if had != want {
			m.t.Errorf("after rollback %d the next kernel has the package: %t", i+1, had)
		}
		if best == 0 || d < best {
			best, next = d, kernel
		}
	}
	m.add("`env rollback`, the whole command (best of 4)", seconds(best), "0.5 s")
	m.add("a kernel and its first output after it; before it "+seconds(start), seconds(next), "-")
}

// disk is what one more package costs on the disk.
func (m *packages) disk() {
	gens, _ := filepath.Glob(filepath.Join(m.class.state, "env", "gen", "base", "[0-9]*"))
	slices.SortFunc(gens, func(a, b string) int {
		x, _ := strconv.Atoi(filepath.Base(a))
		y, _ := strconv.Atoi(filepath.Base(b))
		return x - y
	})
	if len(gens) < 2 {
		m.t.Fatalf("generations: %v", gens)
	}
	out, err := exec.Command("du", append([]string{"-s", "--block-size=1"}, gens[0], gens[1])...).Output()
	m.must(err)
	var sizes []float64
	for line := range strings.Lines(string(out)) {
		n, _ := strconv.ParseFloat(strings.Fields(line)[0], 64)
		sizes = append(sizes, n)
	}
	m.add(fmt.Sprintf("disk for one more generation of %.0f MB, one package more", sizes[0]/1e6), fmt.Sprintf("%.1f MB, %.2f %%", sizes[1]/1e6, 100*sizes[1]/sizes[0]), "3 %")
}

// inContainer runs a script in the class's image and gives what it printed.
func (m *packages) inContainer(image, script string, mounts ...engine.Mount) string {
	m.t.Helper()
	e, err := engine.Connect(m.t.Context(), engine.Config{Instance: "bench000"})
	m.must(err)
	defer e.Close()
	var out strings.Builder
	code, err := e.Run(m.t.Context(), engine.Spec{
		Image: image, Network: "none", Entrypoint: []string{"/bin/sh"}, Cmd: []string{"-ec", script}, Mounts: mounts,
	}, &out)
	if err != nil || code != 0 {
		m.t.Fatalf("%d %v\n%s", code, err, out.String())
	}
	return out.String()
}

func (m *packages) envMount() engine.Mount {
	return engine.Mount{Source: filepath.Join(m.class.state, "env"), Target: environmentMount, ReadOnly: true}
}

// launcher compares a start by label with a start of the very program.
func (m *packages) launcher() {
	out := m.inContainer(testImages+":system", `cd /; exec /usr/bin/python3 -I -c '
import os, subprocess, time
gen = os.path.realpath("/opt/conjured/env/label/base/current") + "/bin/python"
def once(*argv):
    a = time.perf_counter(); subprocess.run([*argv, "-I", "-S", "-c", "pass"], check=True); return time.perf_counter() - a
plain, label = [], []
for _ in range(40):
    plain.append(once(gen)); label.append(once("/opt/conjured/bin/launch", "base@current", "python"))
print((min(label) - min(plain)) * 1000, (sorted(label)[20] - sorted(plain)[20]) * 1000)
'`, m.envMount())
	var least, middle float64
	if _, err := fmt.Sscan(out, &least, &middle); err != nil {
		m.t.Fatalf("%q: %v", out, err)
	}
	m.add("what the launcher adds to a start (best of 40, median of 40)", fmt.Sprintf("%.1f ms, %.1f ms", least, middle), "20 ms")
}

// imports compares the environment mount with the same files in an image's layers.
func (m *packages) imports() {
	const script = `exec /opt/conjured/bin/launch base@current python -c '
import time; a, c = time.perf_counter(), time.process_time()
import pandas, scipy.stats, matplotlib.pyplot
print(time.perf_counter() - a, time.process_time() - c)'`
	best := map[string][2]float64{}
	for range 6 {
		for where, image := range map[string]string{"mount": testImages + ":system", "layer": testImages + ":latest"} {
			var mounts []engine.Mount
			if where == "mount" {
				mounts = append(mounts, m.envMount())
			}
			var wall, cpu float64
			if _, err := fmt.Sscan(m.inContainer(image, script, mounts...), &wall, &cpu); err != nil {
				m.t.Fatal(err)
			}
			if b, ok := best[where]; ok {
				wall, cpu = min(wall, b[0]), min(cpu, b[1])
			}
			best[where] = [2]float64{wall, cpu}
		}
	}
	m.add("import of pandas, scipy.stats, matplotlib.pyplot: mount and image layer (best of 6)",
		fmt.Sprintf("%.2f s, %.2f s; ratio %.2f, processor %.2f", best["mount"][0], best["layer"][0], best["mount"][0]/best["layer"][0], best["mount"][1]/best["layer"][1]), "1.05")
}

// oldWay adds the same package as the old project does: the layer of requirements.txt
// is built anew by pip. What it would do to the class then, stop and start it, is left out.
func (m *packages) oldWay() {
	dir := m.t.TempDir()
	ca, err := os.ReadFile(trustStore())
	m.must(err)
	write := func(name, text string) { m.must(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)) }
	write("ca.crt", string(ca))
	write("Dockerfile", "FROM "+testImages+`:system
COPY ca.crt /ca.crt
ENV SSL_CERT_FILE=/ca.crt PIP_CERT=/ca.crt
RUN /opt/conjured/bin/uv venv --seed -q /old
COPY requirements.txt /
RUN /old/bin/pip install -q -r /requirements.txt
`)
	build := func(requirements string) time.Duration {
		write("requirements.txt", requirements)
		return took(func() {
			cmd := exec.Command("docker", "build", "-q", "-t", "conjured-test/oldway", dir)
			cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=0")
			if out, err := cmd.CombinedOutput(); err != nil {
				m.t.Fatalf("%v\n%s", err, out)
			}
		})
	}
	m.t.Cleanup(func() { _ = exec.Command("docker", "rmi", "-f", "conjured-test/oldway").Run() })
	build(science)
	d := build(science + "cowsay\n")
	m.add("the same package the old way: the layer built anew by pip, same run", seconds(d), "-")
	m.add("ratio", fmt.Sprintf("%.1f times faster", d.Seconds()/m.added.Seconds()), "10 times")
}

// noChange asks for an update of ten environments that are as they should be.
func (m *packages) noChange() {
	for i := range 9 {
		m.class.write(fmt.Sprintf("course%d/requirements.txt", i), "cowsay\n")
	}
	m.apply()
	m.settle()
	m.class.cli("env", "update", "--all") // forgets what was rolled back from, as the folder asks for what is in use
	var best time.Duration
	newest := newestChange(m.t, m.class.state)
	for range 3 {
		d := took(func() {
			if out, errs, code := m.class.cli("env", "update", "--all"); code != 0 {
				m.t.Fatalf("update: exit %d\n%s%s", code, out, errs)
			}
		})
		if best == 0 || d < best {
			best = d
		}
	}
	writes := "0 writes"
	if after := newestChange(m.t, m.class.state); after != newest {
		writes = "wrote " + after
	}
	m.add("`env update --all`, ten environments, no change (best of 3)", seconds(best)+", "+writes, "1 s, 0 writes")
}

// newestChange names the file below the environments and their history that changed last.
func newestChange(t testing.TB, state string) string {
	var newest string
	var at time.Time
	for _, dir := range []string{"env", "history"} {
		err := filepath.WalkDir(filepath.Join(state, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil // gone meanwhile
			}
			if d.Name() == "site-packages" {
				return fs.SkipDir
			}
			if fi, err := d.Info(); err == nil && fi.ModTime().After(at) {
				newest, at = path, fi.ModTime()
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return newest + " " + at.Format(time.RFC3339Nano)
}

// reset breaks an environment of a hundred packages and has it made again, with the
// index gone.
func (m *packages) reset() {
	var wheels []wheeltest.Wheel
	spec := environments.Spec{Env: "hundred", Image: testImages + ":system"}
	for i := range 100 {
		name := fmt.Sprintf("pack%03d", i)
		modules := map[string]string{}
		for j := range 20 {
			modules[fmt.Sprintf("%s/m%d.py", name, j)] = strings.Repeat(fmt.Sprintf("def f%d(x):\n    return x + %d\n\n", j, i), 30)
		}
		modules[name+"/__init__.py"] = ""
		wheels = append(wheels, wheeltest.Wheel{Name: name, Version: "1", Modules: modules})
		spec.Requirements = append(spec.Requirements, environments.Requirement{Name: name, Spec: name, File: "requirements.txt", Line: i + 1})
	}
	own := wheeltest.Index(wheels...)
	index := onBridge(m.t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, ok := strings.CutPrefix(r.URL.Path, "/simple/"); ok && !(strings.HasPrefix(name, "pack0") || strings.HasPrefix(name, "pack1")) {
			http.Redirect(w, r, "https://pypi.org"+r.URL.Path, http.StatusFound) // ipykernel is the real one
			return
		}
		own.ServeHTTP(w, r)
	}))
	root := m.t.TempDir()
	store, err := environments.Open(root, environmentMount)
	m.must(err)
	e, err := engine.Connect(m.t.Context(), engine.Config{Instance: "bench001"})
	m.must(err)
	defer e.Close()
	b, err := environments.New(environments.Config{
		Store: store, Runner: containerRunner{engine: e}, Index: index.URL + "/simple", Log: slog.New(slog.DiscardHandler), CABundle: trustStore(),
	})
	m.must(err)
	made, err := b.Make(m.t.Context(), spec, progress.Discard)
	m.must(err)
	m.must(store.Flip(environments.Current, made.Generation))
	index.Close()
	broken, _ := filepath.Glob(filepath.Join(root, made.Generation.Path(), "lib/python*/site-packages/pack0*"))
	for _, dir := range broken {
		m.must(os.RemoveAll(dir))
	}
	d := took(func() {
		_, err := b.Rebuild(m.t.Context(), spec, made.Generation.Manifest, progress.Discard)
		m.must(err)
	})
	m.add(fmt.Sprintf("reset of an environment of 100 packages that lost %d directories, offline", len(broken)), seconds(d), "10 s")
}

// onBridge serves h where containers on the default bridge reach it.
func onBridge(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	out, err := exec.Command("docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}").Output()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(strings.TrimSpace(string(out)), "0"))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return s
}
