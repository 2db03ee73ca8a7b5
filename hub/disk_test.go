package hub

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/conjuring/conjured/homes"
	"github.com/conjuring/conjured/internal/needs"
	"github.com/conjuring/conjured/notice"
)

// What is done about a home depends on its limit, on what it held when its server
// began, and on the whole disk.
func TestJudge(t *testing.T) {
	const limit = gib
	size := func(n int64) homes.Size { return homes.Size{Bytes: n, Files: 10, Whole: true} }
	for _, x := range []struct {
		name  string
		u     homeUse
		limit int64
		want  verdict
	}{
		{"empty", homeUse{size: size(0), low: -1}, limit, homeFine},
		{"near", homeUse{size: size(950 * mib), low: -1}, limit, homeNear},
		{"full", homeUse{size: size(gib + 1), low: -1}, limit, homeHeld},
		{"far over", homeUse{size: size(gib + 300*mib), low: -1}, limit, homeOver},
		{"far over from the start", homeUse{size: size(3 * gib), began: 3 * gib, low: -1}, limit, homeHeld},
		{"and growing", homeUse{size: size(3*gib + 300*mib), began: 3 * gib, low: -1}, limit, homeOver},
		{"many files", homeUse{size: homes.Size{Bytes: mib, Files: 200_000, Whole: true}, low: -1}, limit, homeHeld},
		{"not to be counted", homeUse{size: homes.Size{Bytes: mib}, low: -1}, limit, homeHeld},
		{"no limit", homeUse{size: size(100 * gib), low: -1}, 0, homeFine},
		{"disk low", homeUse{size: size(mib), low: mib}, limit, homeHeld},
		{"disk low, writes on", homeUse{size: size(80 * mib), low: mib}, limit, homeOver},
		{"disk low, no limit, writes on", homeUse{size: size(80 * mib), low: 0}, 0, homeOver},
	} {
		if got := x.u.judge(x.limit); got != x.want {
			t.Errorf("%s: %d, want %d", x.name, got, x.want)
		}
		x.u.verdict = max(x.want, homeNear)
		if n := homeNotice(x.u, x.limit); n.Code == "" || n.What == "" || n.Means == "" || n.Do == "" {
			t.Errorf("%s: %+v", x.name, n)
		}
	}
}

// fakeDisk is a disk of 100 GiB on which homes are numbers.
type fakeDisk struct {
	mu    sync.Mutex
	homes map[string]int64
	free  int64
	asked int
}

func (d *fakeDisk) Measure(_ context.Context, user string) (homes.Size, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	return homes.Size{Bytes: d.homes[user], Files: 1, Whole: true}, nil
}

func (d *fakeDisk) Free() (free, total int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.free, 100 * gib, nil
}

func (d *fakeDisk) Quota(int, int64) error { return homes.ErrNoQuota }

func (d *fakeDisk) set(user string, n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.homes[user] = n
}

// withDisk runs the class with a limit for homes and no watch of its own: the test
// is the watch.
func (c *fakeClass) withDisk(t *testing.T, limit int64) {
	t.Helper()
	c.cfg.Limits.Disk = limit
	h, err := New(c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.SetClass(Class{Image: "sha256:system"})
	c.Hub = h
	c.run(t)
}

// A home that grows is told, held, and in the end stopped; the reason is shown at
// the next start, which is not stopped for what was there before.
func TestDisk(t *testing.T) {
	c := newFakeClass(t)
	said := make(chan string, 9)
	c.cfg.Tell = func(user, _ string, n notice.Notice) { said <- user + " " + n.Code }
	c.withDisk(t, gib)
	c.start(t, "amira")
	disk := &fakeDisk{homes: map[string]int64{"amira": mib}, free: 50 * gib}
	d := &diskWatch{Hub: c.Hub, disk: disk, free: -1}
	look := func() {
		t.Helper()
		if _, err := c.Usage(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.meter.listed = time.Time{}
		for _, u := range c.meter.homes {
			u.next = time.Time{}
		}
		if err := d.look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []int64{mib, 950 * mib, gib + mib, gib + 2*mib, gib + 300*mib} {
		disk.set("amira", n)
		look()
	}
	for _, want := range []string{"amira home-near", "amira home-full", "amira home-over"} {
		if got := <-said; got != want {
			t.Errorf("said %s, want %s", got, want)
		}
	}
	if l, _ := c.Servers(t.Context()); len(l) != 0 {
		t.Errorf("still runs: %+v", l)
	}
	if _, events := c.start(t, "amira"); !strings.Contains(events, "because your home grew to 1324 MB") {
		t.Errorf("the next start does not say why: %s", events)
	}
	look()
	look()
	if l, _ := c.Servers(t.Context()); len(l) != 1 {
		t.Error("a home that does not grow was stopped again")
	}
	if u, err := c.Usage(t.Context()); err != nil || len(u) != 1 || u[0].Disk != gib+300*mib || u[0].DiskLimit != gib {
		t.Errorf("%+v %v", u, err)
	}
}

// A disk that runs low is everybody's: the teacher is told once, and whoever writes
// on is stopped, whatever their limit.
func TestDisk_low(t *testing.T) {
	c := newFakeClass(t)
	told := make(chan string, 9)
	c.cfg.Notify = func(n notice.Notice) { told <- n.Code }
	c.withDisk(t, 20*gib)
	c.start(t, "amira")
	c.start(t, "ben")
	disk := &fakeDisk{homes: map[string]int64{"amira": mib, "ben": mib}, free: 50 * gib}
	if _, err := c.Usage(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := &diskWatch{Hub: c.Hub, disk: disk, free: -1}
	for _, free := range []int64{50 * gib, 4 * gib, 3 * gib, 2 * gib} {
		disk.free = free
		if free < 4*gib {
			disk.set("ben", 4*gib-free)
		}
		if err := d.look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	l, err := c.Servers(t.Context())
	if err != nil || len(l) != 1 || l[0].User != "amira" {
		t.Errorf("%+v %v", l, err)
	}
	if a, b := <-told, <-told; a != "disk-low" || b != "home-stopped" || len(told) != 0 {
		t.Errorf("told %s, %s and %d more", a, b, len(told))
	}
}

// Measuring takes turns that depend on how long it takes.
func TestDisk_pace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &fakeDisk{homes: map[string]int64{}, free: 50 * gib}
		h := &Hub{cfg: Config{Disk: disk, Users: newRoster(t)}}
		h.meter.homes = map[string]*homeUse{}
		h.meter.all = map[string]*metered{"x": {user: "amira"}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		h.watchDisk(ctx)
		if disk.asked < 28 || disk.asked > 31 {
			t.Errorf("measured %d times in ten minutes", disk.asked)
		}
	})
}

// A held program can delete and write small files, and no large one; then it is let
// go. Only the user's own processes are reached.
func TestHold(t *testing.T) {
	needs.All(t, needs.Root())
	dir := t.TempDir()
	os.Chmod(filepath.Dir(dir), 0o755)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	script := `read x; head -c 100000 /dev/zero > small && echo small; head -c 400000 /dev/zero > large 2>/dev/null && echo large; rm -f small large && echo removed
		read x; head -c 400000 /dev/zero > large && echo large; read x`
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 2001, Gid: 2001}}
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	read := func(want string) {
		t.Helper()
		b := make([]byte, 0, 100)
		for !strings.HasSuffix(string(b), want) && len(b) < 90 {
			n, err := out.Read(b[len(b):cap(b)])
			if err != nil {
				t.Fatalf("%v after %q", err, b)
			}
			b = b[:len(b)+n]
		}
		if string(b) != want {
			t.Errorf("%q, want %q", b, want)
		}
	}
	pids := []int{cmd.Process.Pid, os.Getpid(), 1}
	limit := func(n uint64) {
		t.Helper()
		if err := asUser(2001, 2001, func() error { return limitFiles(pids, n) }); err != nil {
			t.Fatal(err)
		}
		in.Write([]byte("\n"))
	}
	limit(heldFile)
	read("small\nremoved\n")
	limit(0)
	read("large\n")
	if os.Geteuid() != 0 || syscall.Getuid() != 0 {
		t.Error("this process has lost its rights")
	}
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l); err != nil || l.Cur == heldFile {
		t.Errorf("another's process was limited: %+v %v", l, err)
	}
}
