package history

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var errCut = errors.New("power cut")

// state is what a reader sees of an environment.
func state(t *testing.T, r *Repository) string {
	t.Helper()
	var b strings.Builder
	for _, get := range []func() ([]File, error){
		func() ([]File, error) { return r.Spec(t.Context(), "geo") },
		func() ([]File, error) { return r.Manifest(t.Context(), "geo", "") },
	} {
		fs, err := get()
		if err != nil && !errors.Is(err, ErrNothing) {
			t.Fatal(err)
		}
		for _, f := range fs {
			fmt.Fprintf(&b, "%s=%s\n", f.Name, f.Data)
		}
	}
	tags, err := r.Tags(t.Context(), "geo")
	if err != nil {
		t.Fatal(err)
	}
	labels, err := r.Labels(t.Context(), "geo")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&b, tags, labels)
	return b.String()
}

// steps are the writes that a change of packages makes, one after the other.
func steps(r *Repository) []func(context.Context) error {
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	r.now = func() time.Time { return at }
	label := func(ctx context.Context) error {
		tag, err := r.Tag(ctx, "geo")
		if err == nil {
			_, err = r.SetLabels(ctx, "geo", map[string]string{"current": tag.Name}, "Put into use.")
		}
		return err
	}
	return []func(context.Context) error{
		func(ctx context.Context) error {
			_, err := r.PutSpec(ctx, "geo", []File{file("apt.txt", "tree\n"), file("requirements.txt", "b\n")}, "b")
			return err
		},
		func(ctx context.Context) error {
			_, err := r.PutManifest(ctx, "geo", []File{file("env.manifest", "x/noarch\tb-1-0\n")}, "b")
			return err
		},
		func(ctx context.Context) error { _, err := r.Tag(ctx, "geo"); return err },
		label,
		r.Pack,
	}
}

// A cut before any command or sync leaves what was there before, or what was to be.
func TestCutBetweenCommands(t *testing.T) {
	t.Parallel()
	total := 0
	made := open(t)
	putManifest(t, made, "geo", "a-1-0")
	for i, f := range steps(made) {
		before := state(t, made)
		for at := 1; ; at++ {
			dir := filepath.Join(t.TempDir(), "history.git")
			if err := os.CopyFS(dir, os.DirFS(made.c.Dir)); err != nil {
				t.Fatal(err)
			}
			if !cut(t, dir, i, at, before) {
				break // no such step any more
			}
			total++
		}
		if err := f(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if total < 16 {
		t.Errorf("only %d cuts", total)
	}
}

// cut does one write of steps, cut at its step at; false when it has no such step.
func cut(t *testing.T, dir string, write, at int, before string) bool {
	t.Helper()
	r, n := openAt(t, dir), 0
	r.step = func(string) error {
		if n++; n == at {
			return errCut
		}
		return nil
	}
	err := steps(r)[write](t.Context())
	r.Close()
	if err == nil {
		return false
	}
	if !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	again := openAt(t, dir)
	defer again.Close()
	sane(t, again)
	after := state(t, again)
	if err := steps(again)[write](t.Context()); err != nil {
		t.Fatalf("write %d does not go on after cut %d: %v", write, at, err)
	}
	if done := state(t, again); after != before && after != done {
		t.Errorf("write %d cut at %d: %s", write, at, cmp.Diff(before, after))
	}
	return true
}

// writeIn makes this test's program write there until it is killed.
const writeIn = "CONJURED_TEST_WRITE_IN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writeIn); dir != "" {
		fmt.Println("ended by itself:", writeUntilKilled(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeUntilKilled says each state it has reached, on a line.
func writeUntilKilled(dir string) error {
	ctx := context.Background()
	r, err := Open(ctx, Config{Dir: dir})
	if err != nil {
		return err
	}
	r.packs = 5
	last := 0
	if fs, err := r.Manifest(ctx, "geo", ""); err == nil {
		_, _ = fmt.Sscanf(string(fs[0].Data), "x/noarch\ta-%d-0", &last)
	}
	for n := last + 1; ; n++ {
		pkg := fmt.Sprintf("a-%d-0", n)
		if _, err := r.PutSpec(ctx, "geo", []File{file("requirements.txt", pkg)}, pkg); err != nil {
			return err
		}
		if _, err := r.PutManifest(ctx, "geo", []File{file("env.manifest", "x/noarch\t"+pkg+"\n")}, pkg); err != nil {
			return err
		}
		tag, err := r.Tag(ctx, "geo")
		if err != nil {
			return err
		}
		if _, err := r.SetLabels(ctx, "geo", map[string]string{"current": tag.Name}, pkg); err != nil {
			return err
		}
		fmt.Println(n)
		if n%8 == 0 {
			if err := r.Pack(ctx); err != nil {
				return err
			}
		}
	}
}

// Whoever writes is killed at any moment, git with him: what was said to be written is
// there, nothing else is half there, and the next one goes on.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "history.git")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	best := 0
	for range 12 {
		said := &limited{left: 1 << 20}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), writeIn+"="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Stdout = said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(60+rnd.IntN(200)) * time.Millisecond) // the moment is the input of this test
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if strings.Contains(said.buf.String(), "ended") {
			t.Fatal(said.buf.String())
		}
		last := 0
		for l := range strings.FieldsSeq(said.buf.String()) {
			_, _ = fmt.Sscan(l, &last)
		}
		whole(t, dir, last)
		best = max(best, last)
	}
	if best == 0 {
		t.Error("nothing was written before any of the kills")
	}
}

// whole checks a repository whose writer was killed after it said to have written last.
func whole(t *testing.T, dir string, last int) {
	t.Helper()
	r := openAt(t, dir)
	defer r.Close()
	sane(t, r)
	fs, err := r.Manifest(t.Context(), "geo", "")
	if errors.Is(err, ErrNothing) && last == 0 {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if _, err := fmt.Sscanf(string(fs[0].Data), "x/noarch\ta-%d-0", &n); err != nil || n < last || n > last+1 && last > 0 {
		t.Errorf("manifest %q after %d was written: %v", fs[0].Data, last, err)
	}
	if _, err := r.Tag(t.Context(), "geo"); err != nil { // the next one goes on
		t.Error(err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, "objects", "pack", "tmp_*"))
	if len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// A git that outlives its daemon keeps the next one waiting, because it may still write.
func TestOrphanHoldsTheLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "history.git")
	r := openAt(t, dir)
	var orphan *exec.Cmd
	err := r.hold(t.Context(), func(ctx context.Context, lock *os.File) error {
		orphan = program{path: "/bin/cat", dir: dir, lock: lock}.command(ctx)
		in, err := orphan.StdinPipe()
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = in.Close() })
		return orphan.Start()
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, Config{Dir: dir}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("opened beside a writer: %v", err)
	}
	_ = orphan.Process.Kill()
	_ = orphan.Wait()
	openAt(t, dir)
}
