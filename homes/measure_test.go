package homes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/conjuring/conjured/internal/needs"
)

func newMeasured(t *testing.T) (*Homes, string) {
	t.Helper()
	h, err := New(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	home := h.Path("amira")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	return h, home
}

func measure(t *testing.T, h *Homes) Size {
	t.Helper()
	s, err := h.Measure(t.Context(), "amira")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What counts is what the disk gives, once, and nothing outside the home.
func TestMeasure(t *testing.T) {
	h, home := newMeasured(t)
	if s, err := h.Measure(t.Context(), "nobody"); err != nil || s != (Size{Whole: true}) {
		t.Errorf("no home: %+v %v", s, err)
	}
	outside := t.TempDir()
	write := func(name string, n int) {
		t.Helper()
		if err := os.WriteFile(name, make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(outside, "big"), 8<<20)
	for _, name := range []string{"a file", "new\nline", "-rf", "\xff\xfe", strings.Repeat("x", 255)} {
		write(filepath.Join(home, name), 1<<20)
	}
	for _, err := range []error{
		os.Link(filepath.Join(home, "a file"), filepath.Join(home, "again")), os.Symlink(outside, filepath.Join(home, "out")),
		os.Symlink(".", filepath.Join(home, "loop")), unix.Mkfifo(filepath.Join(home, "pipe"), 0o600), os.Mkdir(filepath.Join(home, "closed"), 0),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Create(filepath.Join(home, "holes"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(1 << 40); err != nil {
		t.Fatal(err)
	}
	if s := measure(t, h); s.Bytes < 5<<20 || s.Bytes > 6<<20 || s.Files != 11 || !s.Whole {
		t.Errorf("%+v, want 5 MiB in 11 entries", s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Measure(ctx, "amira"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A tree that is too deep or too large to be counted is never taken for small.
func TestMeasure_hiding(t *testing.T) {
	h, home := newMeasured(t)
	dir, err := os.OpenRoot(home)
	if err != nil {
		t.Fatal(err)
	}
	for range measureDepth + 10 {
		if err := dir.Mkdir("d", 0o700); err != nil {
			t.Fatal(err)
		}
		next, err := dir.OpenRoot("d")
		dir.Close()
		if err != nil {
			t.Fatal(err)
		}
		dir = next
	}
	dir.Close()
	if s := measure(t, h); s.Whole {
		t.Errorf("deep: %+v", s)
	}
	if err := os.RemoveAll(filepath.Join(home, "d")); err != nil {
		t.Fatal(err)
	}
	m := &measuring{ctx: t.Context(), files: maxMeasured - 5, linked: map[uint64]bool{}, whole: true}
	for i := range 20 {
		if err := os.WriteFile(filepath.Join(home, fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := openDir(unix.AT_FDCWD, home)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.dir(fd, 0); err != nil || m.whole {
		t.Errorf("many: %+v %v", m, err)
	}
}

// The disk itself refuses what is over the limit, and counts it.
func TestQuota(t *testing.T) {
	var dir string
	needs.All(t, needs.Root(), needs.Part{Name: "quota", Check: func() (err error) {
		dir, err = quotaDisk(t)
		return err
	}})
	h, err := New(Config{Dir: filepath.Join(dir, "homes")})
	if err != nil {
		t.Fatal(err)
	}
	home := h.Path("amira")
	if err := errors.Join(os.Mkdir(home, 0o700), os.Chown(home, 2001, 2001), h.Quota(2001, 2<<20)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("setpriv", "--reuid=2001", "--regid=2001", "--clear-groups", "dd", "if=/dev/zero", "of="+home+"/f", "bs=1M", "count=8")
	if out, err := cmd.CombinedOutput(); err == nil {
		t.Errorf("8 MB were written: %s", out)
	}
	if n, err := h.Held(2001); err != nil || n < 1<<20 || n > 3<<20 {
		t.Errorf("%d %v", n, err)
	}
}

// A disk without quota says so, whatever the kernel's word for it.
func TestQuota_none(t *testing.T) {
	h, _ := newMeasured(t)
	if err := h.Quota(2001, 1<<30); err != nil && !errors.Is(err, ErrNoQuota) && !errors.Is(err, unix.EPERM) {
		t.Error(err)
	}
	if err := h.Quota(0, 1); err == nil {
		t.Error("limited root")
	}
	if n := unsafe.Sizeof(dqblk{}); n != 72 {
		t.Errorf("if_dqblk has %d bytes, the kernel's has 72", n)
	}
}

// quotaDisk is a small disk that counts for each user, where the kernel knows how.
func quotaDisk(t *testing.T) (string, error) {
	t.Helper()
	img, dir := filepath.Join(t.TempDir(), "disk"), t.TempDir()
	for _, line := range []string{"truncate -s 64M " + img, "mkfs.ext4 -q -O quota -E quotatype=usrquota " + img, "mount -o loop,usrquota " + img + " " + dir} {
		f := strings.Fields(line)
		if out, err := exec.Command(f[0], f[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w: %.200s", f[0], err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("%v %s", err, out)
		}
	})
	return dir, nil
}
