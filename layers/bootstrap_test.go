package layers

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/internal/needs"
	"github.com/conjuring/conjured/progress"
)

func bareBuilder(t *testing.T, dir string) *Builder {
	t.Helper()
	needs.All(t, needs.Docker(), needs.Root(), needs.Debootstrap())
	e, err := engine.Connect(t.Context(), engine.Config{Instance: "1a7e9502"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	b, err := New(Config{Engine: e, Files: fstest.MapFS{}, Launcher: []byte("x"), Repository: "conjured-test-layers/bare", Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A bootstrap that is called off leaves no tree, no mount and no image.
func TestBootstrapCancelled(t *testing.T) {
	dir := t.TempDir()
	b := bareBuilder(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := b.bootstrap(ctx, "trixie", progress.Func(func(e progress.Event) {
		if e.Done > 0 {
			cancel()
		}
	}))
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "tmp-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), dir) {
		t.Errorf("something is still mounted below %s: %v", dir, err)
	}
	if _, err := b.engine.Image(t.Context(), b.bootstrapRef("trixie")); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("an image is there: %v", err)
	}
}

// What a killed build has left is cleared away by the next start, and nothing else.
func TestLeftOversCleared(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"tmp-bootstrap-1/root/etc/passwd", "tmp-context-2/Dockerfile", "debs/a.deb", "durations.json"} {
		if err := writeFile(dir, name, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	bareBuilder(t, dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != "debs durations.json tested" {
		t.Errorf("left %q", got)
	}
}

func TestTellBootstrap(t *testing.T) {
	const out = `I: Retrieving InRelease
I: Checking Release signature
I: Valid Release signature (key id 1234)
I: Retrieving Packages
W: something
I: Retrieving libc6 2.41-12
I: Extracting libc6...
I: Configuring libc6...
`
	var steps []string
	var counts []int64
	last := tellBootstrap(strings.NewReader(out+strings.Repeat("x", 1<<17)), 60, progress.Func(func(e progress.Event) {
		if n := len(steps); n == 0 || steps[n-1] != e.Step {
			steps, counts = append(steps, e.Step), append(counts, 0)
		}
		counts[len(counts)-1] = e.Done
		if e.Eta <= 0 || e.Eta > 60 {
			t.Errorf("estimate %v", e.Eta)
		}
	}))
	if got := strings.Join(steps, ", "); got != "downloading Debian, unpacking Debian, setting up Debian" || counts[0] != 3 {
		t.Errorf("%s, %v", got, counts)
	}
	if len(last) != 8 || last[7] != "I: Configuring libc6..." {
		t.Errorf("last lines %q", last)
	}
}
