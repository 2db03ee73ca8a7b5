package layers_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/internal/needs"
	"github.com/conjuring/conjured/layers"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// testRepository is fixed, and its Debian stays on the machine, so that a second run
// of these tests is quick. Everything else goes at the end.
const testRepository = "conjured-test-layers/class"

var shared struct { // one core for all tests, built by the first that needs it
	sync.Once
	dir     string
	builder *layers.Builder
	engine  *engine.Engine
	result  layers.Result
	err     error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.engine != nil {
		ctx := context.Background()
		all, _ := shared.engine.Images(ctx, map[string]string{engine.LabelRole: "image"})
		for _, img := range all {
			for _, tag := range img.Tags {
				if strings.HasPrefix(tag, testRepository+":") && !strings.Contains(tag, ":debian-") {
					shared.engine.Untag(ctx, tag)
				}
			}
		}
		shared.engine.Close()
		os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// built gives a builder with the built-in class built.
func built(t *testing.T) (*layers.Builder, *engine.Engine, layers.Result) {
	t.Helper()
	needs.All(t, needs.Docker(), needs.Root(), needs.Debootstrap())
	shared.Do(func() {
		ctx := context.Background() // outlives the test that comes first
		if shared.dir, shared.err = os.MkdirTemp("", "conjured-test-layers-"); shared.err != nil {
			return
		}
		if shared.engine, shared.err = engine.Connect(ctx, engine.Config{Instance: "1a7e9500"}); shared.err != nil {
			return
		}
		shared.builder, shared.err = newBuilder(shared.engine, shared.dir)
		if shared.err == nil {
			shared.result, shared.err = shared.builder.Build(ctx, layers.Inputs{}, logTo(t))
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.builder, shared.engine, shared.result
}

func newBuilder(e *engine.Engine, dir string) (*layers.Builder, error) {
	launcher, err := os.ReadFile("../environments/launch.sh")
	if err != nil {
		return nil, err
	}
	return layers.New(layers.Config{Engine: e, Files: os.DirFS(".."), Launcher: launcher, Repository: testRepository, Dir: dir})
}

// logTo shows the steps of a build in the test's own output.
func logTo(t *testing.T) progress.Sink {
	last, start := "", time.Now()
	return progress.Func(func(e progress.Event) {
		if e.Step != last {
			last = e.Step
			t.Logf("%5.1f s %d/%d %s", time.Since(start).Seconds(), e.Done, e.Total, e.Step)
		}
	})
}

// steps collects the names of steps.
type steps []string

func (s *steps) Progress(e progress.Event) {
	if n := len(*s); n == 0 || (*s)[n-1] != e.Step {
		*s = append(*s, e.Step)
	}
}

// sh runs a script in an image, without a network, and gives what it printed.
func sh(t *testing.T, e *engine.Engine, image, script string, mounts ...engine.Mount) (string, int) {
	t.Helper()
	var out strings.Builder
	code, err := e.Run(t.Context(), engine.Spec{Image: image, Network: "none", Entrypoint: []string{"/bin/sh"}, Cmd: []string{"-c", script}, Mounts: mounts}, &out)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), code
}

// A3: the names that the old compose file gave its images.
func TestA3_names(t *testing.T) {
	_, e, r := built(t)
	for name, id := range map[string]string{"base": r.Base, "core": r.Core, "system": r.System} {
		img, err := e.Image(t.Context(), testRepository+":"+name)
		if err != nil || img.ID != id || id == "" {
			t.Errorf("%s is %v, want %s; %v", name, img.ID, id, err)
		}
	}
}

// A6: a group number that the base has taken already is no failure.
func TestA6(t *testing.T) {
	b, e, _ := built(t)
	r, err := b.Build(t.Context(), layers.Inputs{GroupID: 100}, logTo(t)) // Debian's "users"
	if err != nil {
		t.Fatal(err)
	}
	if out, _ := sh(t, e, r.Core, "getent group 100"); out != "conjuring:x:100:\n" {
		t.Errorf("group 100 is %q", out)
	}
	_, _, plain := built(t)
	if out, _ := sh(t, e, plain.Core, "getent group 1000"); out != "conjuring:x:1000:\n" {
		t.Errorf("group 1000 is %q", out)
	}
}

// A7: the pinned programs, in prefixes of their own, and what scripts counted on.
func TestA7(t *testing.T) {
	_, e, r := built(t)
	out, code := sh(t, e, r.Core, `set -e; /opt/conjured/hub/bin/jupyterhub --version; /opt/conjured/lab/bin/jupyter-lab --version
/opt/conjured/rattler/bin/python -I -c 'import importlib.metadata as m, rattler; print(m.version("py-rattler"), rattler.MatchSpec("a>=1"))'
pwd; echo $LANG; for p in git wget bzip2 tini flock uv; do command -v $p; done | wc -l
/opt/conjured/hub/bin/python -c 'import jupyterlab' 2>/dev/null && echo the hub sees Lab || true
find /opt/conjured/lab -name '*.pyc' | head -1 | wc -l`)
	if want := "6.1.1\n4.6.6\n0.28.0 a >=1\n/srv/jupyterhub\nC.UTF-8\n6\n1\n"; code != 0 || out != want {
		t.Errorf("code %d\n%s", code, cmp.Diff(want, out))
	}
}

// A8: both forms of /conda.sh, with and without a conda in the base.
func TestA8(t *testing.T) {
	_, e, r := built(t)
	if out, code := sh(t, e, r.Core, "/conda.sh path_exec jupyter-lab --version"); code != 0 || out != "4.6.6\n" {
		t.Errorf("path_exec: %d, %q", code, out)
	}
	if out, code := sh(t, e, r.Core, "/conda.sh list"); code != 127 || !strings.Contains(out, "requirements.txt") {
		t.Errorf("without conda: %d, %q", code, out)
	}
	dir := t.TempDir()
	script := "#!/bin/sh\n[ \"$*\" = 'info --base' ] && echo /opt/conda || echo conda ran: \"$@\"\n"
	for name, text := range map[string]string{"conda": script, "hello": "#!/bin/sh\necho hello from conda \"$@\"\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m := engine.Mount{Source: dir, Target: "/opt/conda/bin", ReadOnly: true}
	if out, code := sh(t, e, r.Core, "/conda.sh install -y 'a b'; /conda.sh path_exec hello 1 2", m); code != 0 || out != "conda ran: install -y a b\nhello from conda 1 2\n" {
		t.Errorf("with conda: %d, %q", code, out)
	}
}

// A9: building again builds nothing, and an apt package reruns no other layer.
func TestA9_caching(t *testing.T) {
	b, e, first := built(t)
	var s steps
	again, err := b.Build(t.Context(), layers.Inputs{}, &s)
	if err != nil || again.Built != nil || again.Core != first.Core || again.System != first.System {
		t.Fatalf("a second build: %+v, %v", again, err)
	}
	if len(s) > 1 {
		t.Errorf("a second build did %q", s)
	}
	s = nil
	in := layers.Inputs{AptPackages: []layers.Package{{Name: "tini", File: "apt.txt", Line: 1}, {Name: "hello", File: "apt.txt", Line: 2}}}
	r, err := b.Build(t.Context(), in, &s)
	if err != nil {
		t.Fatal(err)
	}
	if r.Core != first.Core || r.System == first.System || !cmp.Equal(r.Built, []string{"system"}) {
		t.Errorf("a package: %+v", r)
	}
	if all := strings.Join(s, "\n"); strings.Contains(all, "Jupyter") || strings.Contains(all, "basics") {
		t.Errorf("the steps were\n%s", all)
	}
	if out, code := sh(t, e, r.System, "hello"); code != 0 || out != "Hello, world!\n" {
		t.Errorf("the package is not there: %d, %q", code, out)
	}
	if out, _ := sh(t, e, r.System, "ls -A /tmp /mnt /run/secrets; cat /opt/conjured/lib/apt.txt 2>/dev/null"); out != "/mnt:\n\n/run/secrets:\n\n/tmp:\n" {
		t.Errorf("the build has left %q", out)
	}
	start := time.Now()
	back, err := b.Build(t.Context(), layers.Inputs{}, progress.Discard)
	t.Logf("a build with nothing to do took %v", time.Since(start).Round(time.Millisecond))
	if err != nil || back.System != first.System || back.Built != nil {
		t.Errorf("taking it back: %+v, %v", back, err)
	}
}

// A10, as far as the image goes: comments and line endings are no packages, versions
// pass, and shell text gets nowhere.
func TestA10(t *testing.T) {
	_, e, r := built(t)
	dir := t.TempDir()
	check := func(text string) (string, int) {
		if err := os.WriteFile(filepath.Join(dir, "apt.txt"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return sh(t, e, r.Core, "sh /opt/conjured/lib/apt.sh /in/apt.txt; c=$?; ls /tmp; exit $c", engine.Mount{Source: dir, Target: "/in"})
	}
	if out, code := check("# nothing here\r\n\r\n   # nor here\n"); code != 0 || out != "" {
		t.Errorf("comments: %d, %q", code, out)
	}
	for _, bad := range []string{"vim; touch /tmp/x", "$(touch /tmp/x)", "-o=Dir::Etc=/x", "../x.deb", "./x.deb", "vim --yes", "`id`", "x=1 y"} {
		if out, code := check("hello\n" + bad + "\n"); code == 0 || !strings.Contains(out, "conjured: apt-bad-name") || strings.Contains(out, "\nx\n") {
			t.Errorf("%q: %d, %q", bad, code, out)
		}
	}
}

// A11: one misspelt package fails the build, is named with its line, and the serving
// names stay where they are.
func TestA11_build(t *testing.T) {
	b, e, first := built(t)
	in := layers.Inputs{AptPackages: []layers.Package{
		{Name: "hello", File: "apt.txt", Line: 2}, {Name: "cowsya", File: "apt.txt", Line: 5}, {Name: "jq", Version: "0.0-1", File: "apt.txt", Line: 6},
	}}
	_, err := b.Build(t.Context(), in, progress.Discard)
	l := notice.For(err)
	if len(l) == 0 || l[0].Code != "apt-package-missing" || l[0].Where() != "apt.txt:5" || !strings.Contains(l[0].What, "cowsya") {
		t.Fatalf("got %+v, %v", l, err)
	}
	img, err := e.Image(t.Context(), testRepository+":core")
	if err != nil || img.ID != first.Core {
		t.Errorf("core moved: %v, %v", img.ID, err)
	}
}

// A step of base.Dockerfile that fails is named with its line, and heredocs and a
// syntax line are understood although this engine's own front end may know neither.
func TestBaseFails(t *testing.T) {
	b, _, _ := built(t)
	in := layers.Inputs{BaseDockerfile: []byte("# syntax=docker/dockerfile:1\nFROM debian:trixie AS base\nRUN <<EOF\necho fine\nEOF\nRUN echo Error: no such luck; exit 3\n")}
	_, err := b.Build(t.Context(), in, progress.Discard)
	l := notice.For(err)
	if len(l) != 1 || l[0].Code != "base-build-failed" || l[0].Where() != "base.Dockerfile:6" || !strings.Contains(l[0].What, "no such luck") {
		t.Errorf("got %+v, %v", l, err)
	}
}

// Killed between a build and its test, the next build tests what is there, and builds
// nothing.
func TestKilledBeforeTheSmokeTest(t *testing.T) {
	_, e, first := built(t)
	b, err := newBuilder(e, t.TempDir()) // has no record of any test
	if err != nil {
		t.Fatal(err)
	}
	var s steps
	r, err := b.Build(t.Context(), layers.Inputs{}, &s)
	if err != nil || r.Built != nil || r.Core != first.Core {
		t.Fatalf("%+v, %v", r, err)
	}
	want := steps{"testing the new image (base)", "testing the new image (core)", "the system of the class is ready"}
	if d := cmp.Diff(want, s); d != "" {
		t.Error(d)
	}
}

// The machine's CA bundle is there while a step runs, and nowhere afterwards.
func TestSecretLeavesNothing(t *testing.T) {
	_, e, r := built(t)
	out, _ := sh(t, e, r.System, `find / -xdev -type f -newer /etc/debian_version -size +0 -path '*secret*' -not -path '/opt/conjured/l*' -not -path '/opt/conjured/hub/*' -not -path '/usr/lib/python3*'; cat /run/secrets/ca 2>/dev/null; env | grep -i -e ssl -e cert -e proxy`)
	if strings.TrimSpace(out) != "" {
		t.Errorf("left in the image: %s", out)
	}
	history, err := exec.Command("docker", "history", "--no-trunc", r.System).CombinedOutput()
	if err != nil || strings.Contains(string(history), "BEGIN CERTIFICATE") {
		t.Errorf("history: %v", err)
	}
}

// A build that is called off ends at once and leaves every name where it was.
func TestCancel(t *testing.T) {
	b, e, first := built(t)
	ctx, cancel := context.WithCancel(t.Context())
	var cancelled time.Time
	in := layers.Inputs{AptPackages: []layers.Package{{Name: "sl", File: "apt.txt", Line: 1}}}
	_, err := b.Build(ctx, in, progress.Func(func(ev progress.Event) {
		if strings.Contains(ev.Step, "apt.txt") && cancelled.IsZero() {
			cancelled = time.Now()
			cancel()
		}
	}))
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	t.Logf("ended %v after it was called off", time.Since(cancelled).Round(time.Millisecond))
	img, err := e.Image(t.Context(), testRepository+":system")
	if err != nil || img.ID != first.System {
		t.Errorf("system moved: %v, %v", img.ID, err)
	}
}

// A FROM that can't be had is an error while a class is served, and the built-in base
// with a warning when none is.
func TestFallbackBase(t *testing.T) {
	b, _, first := built(t)
	in := layers.Inputs{BaseDockerfile: []byte("# ours\nFROM conjured-test.invalid/nothing:1 AS base\n")}
	_, err := b.Build(t.Context(), in, progress.Discard)
	if l := notice.For(err); len(l) != 1 || l[0].Code != "base-image-missing" || l[0].Where() != "base.Dockerfile:2" {
		t.Fatalf("got %+v, %v", l, err)
	}
	in.FallbackBase = true
	r, err := b.Build(t.Context(), in, progress.Discard)
	if err != nil || r.Core != first.Core {
		t.Fatalf("%+v, %v", r, err)
	}
	if len(r.Notices) != 1 || r.Notices[0].Code != "base-fallback" || r.Notices[0].Severity != notice.SeverityWarning || r.Notices[0].Line != 2 {
		t.Errorf("notices %+v", r.Notices)
	}
}

// GC removes what was replaced and nothing else.
func TestGC(t *testing.T) {
	b, e, first := built(t)
	in := layers.Inputs{AptPackages: []layers.Package{{Name: "tini", File: "apt.txt", Line: 1}}}
	old, err := b.Build(t.Context(), in, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Build(t.Context(), layers.Inputs{}, progress.Discard); err != nil {
		t.Fatal(err)
	}
	if removed, err := b.GC(t.Context(), []string{old.Key}); err != nil || strings.Contains(strings.Join(removed, " "), old.Key) {
		t.Errorf("GC removed what it was to keep: %v, %v", removed, err)
	}
	removed, err := b.GC(t.Context(), nil)
	if err != nil || !strings.Contains(strings.Join(removed, " "), old.Key) {
		t.Errorf("GC = %v, %v", removed, err)
	}
	if _, err := e.Image(t.Context(), testRepository+":"+first.Key); err != nil {
		t.Errorf("GC took what is serving: %v", err)
	}
	if again, err := b.Build(t.Context(), layers.Inputs{}, progress.Discard); err != nil || again.Built != nil {
		t.Errorf("after GC: %+v, %v", again, err)
	}
}
