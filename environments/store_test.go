package environments

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

var errCut = errors.New("power cut")

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// make completes a generation whose only package is named after its number.
func generation(t *testing.T, s *Store) Generation { return generationOf(t, s, Base) }

func generationOf(t *testing.T, s *Store, env Name) Generation {
	t.Helper()
	n, err := s.begin(env)
	if err != nil {
		t.Fatal(err)
	}
	m := Manifest{Python: "3.13", Platform: "linux-x86_64", Packages: []Package{{Name: "p", Version: fmt.Sprint(n), Hashes: []string{"sha256:" + strings.Repeat("a", 64)}}}}
	g := Generation{Env: env, Number: n, ID: m.ID(), Manifest: m, State: Ready, Built: time.Unix(0, 0).UTC()}
	if err := s.complete(g); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestCompleteReadsBack(t *testing.T) {
	s := open(t)
	want := generation(t, s)
	got, err := s.Generation(Base, want.Number)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestDamagedGenerationIsNone(t *testing.T) {
	for _, file := range []string{"ok", "generation.json", "manifest.txt"} {
		s := open(t)
		g := generation(t, s)
		path := filepath.Join(s.Root(), g.Path(), file)
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Generation(Base, g.Number); !errors.Is(err, ErrNoGeneration) {
			t.Errorf("damaged %s: %v", file, err)
		}
	}
}

// A cut before any step of a flip leaves current at the old or the new generation, also
// after Repair, and the next flip works.
func TestFlipSurvivesCutAtEveryStep(t *testing.T) {
	for cut := 0; ; cut++ {
		s := open(t)
		a, b, c := generation(t, s), generation(t, s), generation(t, s)
		for _, g := range []Generation{a, b} {
			if err := s.Flip(Current, g); err != nil {
				t.Fatal(err)
			}
		}
		steps := 0
		s.step = func(string) error {
			if steps++; steps > cut {
				return errCut
			}
			return nil
		}
		err := s.Flip(Current, c)
		s.step = func(string) error { return nil }
		now, cErr := s.Current(Base)
		if cErr != nil {
			t.Fatalf("cut %d: no current: %v", cut, cErr)
		}
		if _, err := s.Repair(t.Context()); err != nil {
			t.Fatal(err)
		}
		after, cErr := s.Current(Base)
		if cErr != nil || (after.Number != b.Number && after.Number != c.Number) {
			t.Fatalf("cut %d: after repair %d: %v", cut, after.Number, cErr)
		}
		if now.Number == c.Number && after.Number != c.Number {
			t.Fatalf("cut %d: repair took the new state back", cut)
		}
		labels, _ := s.Labels(Base)
		want := map[Label]int{Current: b.Number, Previous: a.Number}
		if after.Number == c.Number {
			want = map[Label]int{Current: c.Number, Previous: b.Number}
		}
		if d := cmp.Diff(want, labels); d != "" {
			t.Fatalf("cut %d: %s", cut, d)
		}
		if left, _ := filepath.Glob(filepath.Join(s.labelDir(Base), ".*")); len(left) > 0 {
			t.Fatalf("cut %d: left %v", cut, left)
		}
		if fErr := s.Flip(Current, c); fErr != nil {
			t.Fatal(fErr)
		}
		if err == nil {
			break
		}
	}
}

func TestFlipToTheSameWritesNothing(t *testing.T) {
	s := open(t)
	g := generation(t, s)
	if err := s.Flip(Current, g); err != nil {
		t.Fatal(err)
	}
	s.step = func(what string) error { return fmt.Errorf("wrote: %s", what) }
	if err := s.Flip(Current, g); err != nil {
		t.Error(err)
	}
}

func TestRollback(t *testing.T) {
	s := open(t)
	if _, err := s.Rollback(Base); !errors.Is(err, ErrNoGeneration) {
		t.Errorf("with nothing: %v", err)
	}
	a, b := generation(t, s), generation(t, s)
	for _, g := range []Generation{a, b} {
		if err := s.Flip(Current, g); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int{a.Number, b.Number} {
		g, err := s.Rollback(Base)
		if err != nil || g.Number != want {
			t.Fatalf("rolled back to %d: %v; want %d", g.Number, err, want)
		}
		if now, _ := s.Current(Base); now.Number != want {
			t.Errorf("current is %d", now.Number)
		}
	}
}

func TestRepairRemovesWhatIsIncomplete(t *testing.T) {
	s := open(t)
	g := generation(t, s)
	n, err := s.begin(Base)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Root(), "store/work/x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// A label that a power cut or a hand left pointing at it.
	if err := os.MkdirAll(s.labelDir(Base), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.relink(Base, string(Current), n); err != nil {
		t.Fatal(err)
	}
	r, err := s.Repair(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Repaired{Generations: []string{fmt.Sprintf("base %d", n)}, Labels: []string{"base@current"}, Scratch: 1}
	if d := cmp.Diff(want, r); d != "" {
		t.Error(d)
	}
	if now, err := s.Current(Base); err != nil || now.Number != g.Number {
		t.Errorf("current is %d: %v", now.Number, err)
	}
	if again, err := s.begin(Base); err != nil || again <= n {
		t.Errorf("number %d was used again: %v", again, err)
	}
}

func TestGCKeepsLabelledLeasedAndNewest(t *testing.T) {
	s := open(t)
	var gs []Generation
	for range 7 {
		gs = append(gs, generation(t, s))
	}
	if err := s.Flip(Current, gs[0]); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(s.Root(), gs[1].Path(), "lease"))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	for _, dry := range []bool{true, false} { // what a dry run says comes true
		got, err := s.Collect(t.Context(), Roots{Dry: dry})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]Collected{{Base, 3}, {Base, 4}}, got.Generations); d != "" {
			t.Error(d)
		}
	}
	f.Close()
	if got, err := s.Collect(t.Context(), Roots{}); err != nil || !cmp.Equal(got.Generations, []Collected{{Base, 2}}) {
		t.Errorf("without the lease: %v, %v", got, err)
	}
}

func TestKernelsAreWrittenOnce(t *testing.T) {
	s := open(t)
	if err := s.Kernels(PythonKernel()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(s.Root(), "kernels/python3/kernel.json"))
	if err != nil || !strings.Contains(string(b), `"base@current"`) {
		t.Fatalf("%s %v", b, err)
	}
	s.step = func(what string) error { return fmt.Errorf("wrote: %s", what) }
	if err := s.Kernels(PythonKernel()); err != nil {
		t.Error(err)
	}
	if err := s.Kernels(Kernel{Dir: "../x", Env: Base, Label: Current}); err == nil {
		t.Error("a name that leaves the directory was taken")
	}
}

func TestLauncher(t *testing.T) {
	s := open(t)
	g := generation(t, s)
	dir := filepath.Join(s.Root(), g.Path())
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nprintf '%s|' \"$VIRTUAL_ENV\" \"$PATH\" \"$PYTHONNOUSERSITE\" \"$@\"\n[ -n \"${HOLD:-}\" ] || exit 0\necho; exec cat\n"
	if err := os.WriteFile(filepath.Join(dir, "bin", "show"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.Flip(Current, g); err != nil {
		t.Fatal(err)
	}
	launch := filepath.Join(t.TempDir(), "launch")
	if err := os.WriteFile(launch, Launcher, 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(shell string, args ...string) *exec.Cmd {
		cmd := exec.Command(shell, append([]string{launch}, args...)...)
		cmd.Env = []string{"CONJURED_ENV=" + s.Root(), "PATH=" + s.Root() + "/gen/base/9/bin:/usr/bin:/bin"}
		return cmd
	}
	for _, shell := range []string{"sh", "dash"} {
		if _, err := exec.LookPath(shell); err != nil {
			continue
		}
		hostile := []string{"a b", "$(touch x)", "*", "--", "", "'\"\n"}
		out, err := run(shell, append([]string{"base@current", "show"}, hostile...)...).CombinedOutput()
		want := strings.Join(append([]string{dir, dir + "/bin:/usr/bin:/bin", "1"}, hostile...), "|") + "|"
		if err != nil || string(out) != want {
			t.Errorf("%s: %q, %v; want %q", shell, out, err, want)
		}
		for _, bad := range []struct {
			args []string
			code int
		}{
			{[]string{"base@current"}, 64},
			{[]string{"base", "show"}, 64},
			{[]string{"../x@current", "show"}, 64},
			{[]string{"base@../../gen/base/1", "show"}, 64},
			{[]string{"base@current", "../../x"}, 64},
			{[]string{"base@nothing", "show"}, 69},
			{[]string{"base@current", "nothing"}, 127},
		} {
			err := run(shell, bad.args...).Run()
			var x *exec.ExitError
			if !errors.As(err, &x) || x.ExitCode() != bad.code {
				t.Errorf("%s %q: %v, want exit %d", shell, bad.args, err, bad.code)
			}
		}
	}
	holdsLease(t, s, g, run("sh", "base@current", "show"))
}

// holdsLease proves that the lease lives as long as the program.
func holdsLease(t *testing.T, s *Store, g Generation, cmd *exec.Cmd) {
	t.Helper()
	cmd.Env = append(cmd.Env, "HOLD=1")
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(s.Root(), g.Path(), "lease"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("the lease is free while the program runs: %v", err)
	}
	in.Close()
	_ = cmd.Wait()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Errorf("the lease is held after the program ended: %v", err)
	}
}
