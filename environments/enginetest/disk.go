package enginetest

import (
	"fmt"
	"os"
	"testing"

	"github.com/conjuring/conjured/internal/needs"
	"golang.org/x/sys/unix"
)

// FullDisk runs what an engine has to do when the disk is full: ask is installed where
// only size bytes are, and then where they are plenty.
func FullDisk(t *testing.T, engine func(*testing.T, *World) Engine, ask Ask, size int) {
	needs.All(t, needs.Root())
	root := t.TempDir()
	mount := func(flags uintptr, bytes int) {
		if err := unix.Mount("conjured-enginetest", root, "tmpfs", flags, fmt.Sprintf("size=%d", bytes)); err != nil {
			t.Fatal(err)
		}
	}
	mount(0, size)
	t.Cleanup(func() {
		if err := unix.Unmount(root, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	w := NewWorld(t, root)
	e := engine(t, w)
	prefix, err := "", error(nil)
	p, err := e.Resolve(t.Context(), ask)
	if err == nil {
		prefix, err = e.Install(t.Context(), p)
	}
	fails(t, err, Disk)
	if _, gone := os.Stat(prefix); prefix != "" && gone == nil {
		t.Errorf("a failed installation is at %s", prefix)
	}
	mount(unix.MS_REMOUNT, 2<<30)
	install(t, e, plan(t, e, ask))
}
