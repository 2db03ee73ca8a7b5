package environments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/conjuring/conjured/internal/needs"
	"github.com/conjuring/conjured/internal/wheeltest"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// uvVersion is what the class image has too.
const uvVersion = "0.13.8"

// hostRunner runs commands on this machine: the store is at the same path for them.
type hostRunner struct {
	mu           sync.Mutex
	runs, online int
}

func (h *hostRunner) Run(ctx context.Context, c Command) (int, error) {
	h.mu.Lock()
	h.runs++
	if c.Network {
		h.online++
	}
	h.mu.Unlock()
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Env = append([]string{"PATH=/usr/local/bin:/usr/bin:/bin"}, c.Env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Input, c.Output, c.Output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err := cmd.Run()
	var x *exec.ExitError
	if errors.As(err, &x) {
		return x.ExitCode(), nil
	}
	return 0, err
}

// realUV gives the pinned uv and the Python that builds are made with.
func realUV(t *testing.T) (uv, python string) {
	t.Helper()
	needs.All(t, needs.Python())
	dir, err := installUV()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "bin", "uv"), filepath.Join(dir, "bin", "python3")
}

// installUV installs uv from the package index, once for all tests.
var installUV = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "conjured-test-uv-")
	if err != nil {
		return "", err
	}
	python := "python3"
	for _, args := range [][]string{{"-m", "venv", dir}, {"-m", "pip", "install", "-q", "uv==" + uvVersion}} {
		if out, err := exec.Command(python, args...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%v: %w %s", args, err, out)
		}
		python = filepath.Join(dir, "bin", "python3")
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	if root := os.Getenv(buildIn); root != "" {
		buildUntilKilled(root)
		return
	}
	code := m.Run()
	if dir, err := installUV(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

func asks(lines ...string) []Requirement {
	var out []Requirement
	for i, l := range lines {
		out = append(out, Requirement{Name: pinName(l), Spec: l, File: "requirements.txt", Line: i + 1})
	}
	return out
}

func TestBuilderWithRealUV(t *testing.T) {
	uv, python := realUV(t)
	own := wheeltest.Wheel{Name: "own", Version: "1"}
	srv := httptest.NewServer(wheeltest.Index(
		wheeltest.Wheel{Name: "one", Version: "1"}, wheeltest.Wheel{Name: "two", Version: "1", Requires: []string{"one"}},
		wheeltest.Wheel{Name: "broken", Version: "1", Modules: map[string]string{"broken.py": "import nothing_of_this_name\n"}},
		wheeltest.Wheel{Name: "forged", Version: "1", BrokenHash: true},
	))
	defer srv.Close()
	root := t.TempDir()
	s, err := Open(root, root)
	if err != nil {
		t.Fatal(err)
	}
	run := &hostRunner{}
	b, err := New(Config{Store: s, Runner: run, UV: uv, Python: python, Index: srv.URL + "/simple", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	spec := Spec{Env: Base, Image: "host", Requirements: asks("one")}
	build := func(spec Spec) (Made, error) { return b.Make(t.Context(), spec, progress.Discard) }

	first, err := build(spec)
	if err != nil || !first.New {
		t.Fatalf("%+v, %v", first, err)
	}
	if err := s.Flip(Current, first.Generation); err != nil {
		t.Fatal(err)
	}

	// Nothing changed: no run, no write.
	run.runs = 0
	s.step = func(what string) error { return errors.New("wrote: " + what) }
	again, err := build(spec)
	if err != nil || again.New || again.Generation.Number != first.Generation.Number || run.runs != 0 {
		t.Errorf("again: %+v, %v, %d runs", again, err, run.runs)
	}
	s.step = func(string) error { return nil }

	// One more package, and a wheel of the teacher's own.
	more := spec
	more.Requirements = append(asks("one", "two"), Requirement{Name: "own", Spec: "./" + own.File(), File: "requirements.txt", Line: 3})
	more.Wheels = []Wheel{{Path: own.File(), SHA256: own.SHA256()}}
	more.Files = fstest.MapFS{own.File(): {Data: own.Bytes()}}
	second, err := build(more)
	if err != nil || len(second.Generation.Manifest.Packages) != 3 {
		t.Fatalf("%+v, %v %v", second, err, notice.For(err))
	}
	if out, err := exec.Command(filepath.Join(root, second.Generation.Path(), "bin/python"), "-c", "import one, two, own").CombinedOutput(); err != nil {
		t.Errorf("%s", out)
	}
	sameBytecode(t, root, first.Generation, second.Generation)

	for line, code := range map[string]string{"nothere": "environment-no-such-package", "one==9": "environment-no-such-version", "broken": "environment-import", "forged": "environment-hash"} {
		bad := spec
		bad.Requirements = asks("one", line)
		if line == "one==9" {
			bad.Requirements = asks("two", line)
		}
		_, err := build(bad)
		l := notice.For(err)
		if len(l) != 1 || l[0].Code != code || l[0].Line != 2 {
			t.Errorf("%s: %v, %+v", line, err, l)
		}
	}
	if now, err := s.Current(Base); err != nil || now.Number != first.Generation.Number {
		t.Errorf("a failure moved current to %d: %v", now.Number, err)
	}
	if r, err := s.Repair(t.Context()); err != nil || r.Generations != nil || r.Scratch != 0 {
		t.Errorf("failures left %+v, %v", r, err)
	}

	// Without the index: what is stored is enough for another combination.
	srv.Close()
	spec.Requirements = asks("two")
	if m, err := build(spec); err != nil || !m.New {
		t.Errorf("offline: %+v, %v %v", m, err, notice.For(err))
	}
}

// sameBytecode proves that an unchanged module costs nothing in a new generation, and
// that nobody may write to it.
func sameBytecode(t *testing.T, root string, a, b Generation) {
	t.Helper()
	for _, pattern := range []string{"lib/python*/site-packages/one.py", "lib/python*/site-packages/__pycache__/one.*.pyc"} {
		x, _ := filepath.Glob(filepath.Join(root, a.Path(), pattern))
		y, _ := filepath.Glob(filepath.Join(root, b.Path(), pattern))
		if len(x) != 1 || len(y) != 1 {
			t.Fatalf("%s: %v %v", pattern, x, y)
		}
		fx, errX := os.Stat(x[0])
		fy, errY := os.Stat(y[0])
		if errX != nil || errY != nil || !os.SameFile(fx, fy) || fx.Mode().Perm() != 0o444 {
			t.Errorf("%s is not shared or can be written: %v %v", pattern, fx.Mode(), fy.Mode())
		}
	}
}
