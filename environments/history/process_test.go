package history

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// counted is a repository whose git notes each start in a file, and a function that
// gives the commands since the last call.
func counted(t testing.TB) (*Repository, func() []string) {
	t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	log, script := filepath.Join(dir, "log"), filepath.Join(dir, "git")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"$1\" >>"+log+"\nexec "+git+" \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	r, err := Open(context.Background(), Config{Dir: filepath.Join(dir, "history.git"), Git: script})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r, func() []string {
		data, _ := os.ReadFile(log)
		_ = os.Remove(log)
		return strings.Fields(string(data))
	}
}

// On a small PC each process costs more than what it does: a write takes two, and ten
// environments that did not change take one altogether.
func TestFewProcesses(t *testing.T) {
	r, since := counted(t)
	envs := strings.Fields("base a b c d e f g h i")
	check := func() {
		for _, env := range envs {
			if _, err := r.PutSpec(t.Context(), env, []File{file("requirements.txt", env)}, "x"); err != nil {
				t.Fatal(err)
			}
			tag := putManifest(t, r, env, "a-1-0")
			if _, err := r.SetLabels(t.Context(), env, map[string]string{"current": tag.Name}, "x"); err != nil {
				t.Fatal(err)
			}
		}
	}
	check()
	r.Close()
	since()
	check()
	if d := cmp.Diff([]string{"cat-file"}, since()); d != "" {
		t.Error(d)
	}
	tag := putManifest(t, r, "base", "a-2-0")
	if _, err := r.SetLabels(t.Context(), "base", map[string]string{"current": tag.Name}, "x"); err != nil {
		t.Fatal(err)
	}
	want := []string{"index-pack", "update-ref", "for-each-ref", "index-pack", "update-ref", "index-pack", "update-ref"}
	if d := cmp.Diff(want, since()); d != "" {
		t.Error(d)
	}
}

// A reader that was killed is replaced, and nobody notices.
func TestReaderDies(t *testing.T) {
	r := open(t)
	putManifest(t, r, "geo", "a-1-0")
	before := state(t, r)
	_ = r.batch.cmd.Process.Kill()
	if state(t, r) != before {
		t.Error("differs")
	}
}

// The reader ends when nobody asks any more; the next question starts another.
func TestReaderEnds(t *testing.T) {
	r := open(t)
	putManifest(t, r, "geo", "a-1-0")
	ended := make(chan error, 1)
	cmd := r.batch.cmd
	r.idle.Reset(time.Millisecond)
	go func() { _, err := cmd.Process.Wait(); ended <- err }()
	<-ended // by whoever waits first
	if _, err := r.Manifest(t.Context(), "geo", ""); err != nil {
		t.Error(err)
	}
}

// cpu gives the processor time of this process and of the commands that have ended.
func cpu(b *testing.B) time.Duration {
	var sum time.Duration
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		if err := unix.Getrusage(who, &u); err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum
}

// BenchmarkRecord is a new manifest, its tag and a moved label: seven processes.
func BenchmarkRecord(b *testing.B) {
	r, err := Open(b.Context(), Config{Dir: filepath.Join(b.TempDir(), "history.git")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(r.Close)
	from := cpu(b)
	for i := 0; b.Loop(); i++ {
		pkg := strings.Repeat("x", i+1)
		if _, err := r.PutManifest(b.Context(), "geo", []File{file("env.manifest", pkg), file("conda.lock", strings.Repeat(pkg, 10))}, "x"); err != nil {
			b.Fatal(err)
		}
		tag, err := r.Tag(b.Context(), "geo")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.SetLabels(b.Context(), "geo", map[string]string{"current": tag.Name}, "x"); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu(b)-from).Milliseconds())/float64(b.N), "cpu-ms/op")
}

// BenchmarkNothingNew asks whether ten environments have changed.
func BenchmarkNothingNew(b *testing.B) {
	r, err := Open(b.Context(), Config{Dir: filepath.Join(b.TempDir(), "history.git")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(r.Close)
	files := []File{file("requirements.txt", "numpy\n"), file("environment.yml", "name: geo\n")}
	for b.Loop() {
		for _, env := range strings.Fields("base a b c d e f g h i") {
			if _, err := r.PutSpec(b.Context(), env, files, "x"); err != nil {
				b.Fatal(err)
			}
		}
	}
}
