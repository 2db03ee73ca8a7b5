package environments

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/conjuring/conjured/notice"
)

// forever is a container that ends when it is killed, as one whose index sends a byte a
// minute, or whose package left a process behind.
type forever struct{ killed bool }

func (f *forever) Run(ctx context.Context, _ Command) (int, error) {
	<-ctx.Done()
	f.killed = true
	return -1, ctx.Err()
}

// Nothing that a stranger sends holds up the class for ever, or takes its whole disk;
// and who gives up himself is told nothing else.
func TestBoundedEndsWhatDoesNotEnd(t *testing.T) {
	s, err := Open(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	var half []string
	for _, path := range []string{"store/uv/.tmpA1b2", "store/conda/pkgs/.new-x-1-0", "store/conda/part/x", "store/conda/repodata/half", "store/conda/repodata.begun"} {
		half = append(half, filepath.Join(s.root, path))
	}
	writable := []Mount{{Host: s.root, Container: s.mount}}
	for _, c := range []struct {
		code        string
		command     Command
		bounds      bounded
		free, files uint64
	}{
		{"environment-endless", Command{Mounts: writable, Network: true}, bounded{online: time.Millisecond, offline: time.Hour, look: time.Hour}, 1 << 40, 1 << 40},
		{"environment-disk-full", Command{Mounts: writable}, bounded{online: time.Hour, offline: time.Hour, look: time.Millisecond}, leastFree - 1, 1 << 40},
		{"environment-disk-full", Command{Mounts: writable}, bounded{online: time.Hour, offline: time.Hour, look: time.Millisecond}, 1 << 40, leastFiles - 1},
	} {
		code := c.code
		for _, path := range half {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		s.free = func() (uint64, error) { return c.free, nil }
		c.bounds.files = func(string) (uint64, error) { return c.files, nil }
		f := &forever{}
		c.bounds.Runner, c.bounds.store = f, s
		_, err := c.bounds.Run(t.Context(), c.command)
		if l := notice.For(err); l[0].Code != code || !f.killed {
			t.Errorf("%s: %v, killed %t", code, err, f.killed)
		}
		for _, path := range half[:4] {
			if exists(path) {
				t.Errorf("%s: %s stays", code, path)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.bounds.Run(ctx, c.command); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: who gave up was told %v", code, err)
		}
	}
}

// A disk says how many files it can still have, or that it does not count them.
func TestFilesFree(t *testing.T) {
	if n, err := filesFree(t.TempDir()); err != nil || n < leastFiles {
		t.Errorf("%d, %v", n, err)
	}
}
