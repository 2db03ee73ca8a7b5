package history

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/conjuring/conjured/internal/needs"
)

// On a full disk nothing changes and nothing is left; with room again it goes on.
func TestDiskFull(t *testing.T) {
	needs.All(t, needs.Root())
	disk := t.TempDir()
	if err := unix.Mount("none", disk, "tmpfs", 0, "size=600k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(disk, unix.MNT_DETACH) })
	r := openAt(t, filepath.Join(disk, "history.git"))
	putManifest(t, r, "geo", "a-1-0")
	before := state(t, r)
	rnd, data := rand.NewChaCha8([32]byte{}), make([]byte, 1<<20)
	for i := range data {
		data[i] = 'A' + byte(rnd.Uint64()%50) // does not compress well
	}
	for range 2 {
		if _, err := r.PutSpec(t.Context(), "geo", []File{file("requirements.txt", string(data))}, "x"); err == nil {
			t.Fatal("a megabyte on a disk of half of one")
		}
		if d := cmp.Diff(before, state(t, r)); d != "" {
			t.Error(d)
		}
		if left, _ := filepath.Glob(filepath.Join(r.c.Dir, "objects/*/tmp_*")); len(left) > 0 {
			t.Errorf("left %v", left)
		}
	}
	sane(t, r)
	if changed, err := r.PutSpec(t.Context(), "geo", []File{file("apt.txt", "tree\n")}, "x"); err != nil || !changed {
		t.Errorf("%v, %v", changed, err)
	}
	if fi, err := os.Stat(filepath.Join(r.c.Dir, "HEAD")); err != nil || fi.Size() == 0 {
		t.Errorf("%v, %v", fi, err)
	}
}
