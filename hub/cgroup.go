package hub

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine is where the kernel shows its counters. The zero value is this machine.
type machine struct {
	proc    string // "" is /proc
	cgroups string // "" is /sys/fs/cgroup
}

// cgroup is where one container's counters lie: a directory for each controller,
// all the same one in version 2. See cgroups(7).
type cgroup struct {
	v2                     bool
	memory, pids, cpu, acc string
}

// reading is what a container used at one moment. A limit of 0 means none.
type reading struct {
	at                     time.Time
	memory, memoryLimit    int64         // bytes, without files that can be read again
	kills                  int64         // processes ended for want of memory, ever
	pids, pidsLimit        int64         // processes and threads
	refused                int64         // processes and threads that could not start, ever
	cpu                    time.Duration // ever
	cpuLimit               float64       // cores
	tmp, tmpLimit          int64         // bytes in /tmp
	tmpFiles, tmpFilesFree int64
}

// cgroupOf finds the counters of a process's container.
func (m machine) cgroupOf(pid int) (cgroup, error) {
	root := or(m.cgroups, "/sys/fs/cgroup")
	b, err := os.ReadFile(filepath.Join(or(m.proc, "/proc"), strconv.Itoa(pid), "cgroup"))
	if err != nil {
		return cgroup{}, fmt.Errorf("cannot find the counters of process %d: %w", pid, err)
	}
	_, err = os.Stat(filepath.Join(root, "cgroup.controllers"))
	c := cgroup{v2: err == nil}
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3) // number:controllers:path
		if len(f) != 3 || strings.Contains(f[2], "..") {
			continue
		}
		if c.v2 {
			if f[1] == "" {
				dir := filepath.Join(root, f[2])
				c.memory, c.pids, c.cpu, c.acc = dir, dir, dir, dir
			}
			continue
		}
		for name := range strings.SplitSeq(f[1], ",") {
			c.place(name, filepath.Join(root, name, f[2]))
		}
	}
	if c.memory == "" || c.pids == "" {
		return cgroup{}, fmt.Errorf("cannot find the counters of process %d: it is in no memory and pids group", pid)
	}
	return c, nil
}

func (c *cgroup) place(controller, dir string) {
	switch controller {
	case "memory":
		c.memory = dir
	case "pids":
		c.pids = dir
	case "cpu":
		c.cpu = dir
	case "cpuacct":
		c.acc = dir
	}
}

// read takes all counters but those of /tmp. A counter that this kernel does not
// have stays 0; only a group that is gone is an error.
func (c cgroup) read() (reading, error) {
	r := reading{
		at:   time.Now(),
		pids: number(c.pids, "pids.current"), pidsLimit: number(c.pids, "pids.max"),
		refused: field(c.pids, "pids.events", "max"),
	}
	if c.v2 {
		r.memory = number(c.memory, "memory.current") - field(c.memory, "memory.stat", "inactive_file")
		r.memoryLimit = number(c.memory, "memory.max")
		r.kills = field(c.memory, "memory.events", "oom_kill")
		r.cpu = time.Duration(field(c.acc, "cpu.stat", "usage_usec")) * time.Microsecond
		r.cpuLimit = coresV2(c.cpu)
	} else {
		r.memory = number(c.memory, "memory.usage_in_bytes") - field(c.memory, "memory.stat", "total_inactive_file")
		r.memoryLimit = number(c.memory, "memory.limit_in_bytes")
		r.kills = field(c.memory, "memory.oom_control", "oom_kill")
		r.cpu = time.Duration(number(c.acc, "cpuacct.usage"))
		if quota, period := number(c.cpu, "cpu.cfs_quota_us"), number(c.cpu, "cpu.cfs_period_us"); quota > 0 && period > 0 {
			r.cpuLimit = float64(quota) / float64(period)
		}
	}
	r.memory = max(r.memory, 0)
	if r.pids == 0 {
		return r, errors.New("the container is gone")
	}
	return r, nil
}

// soften sets where the kernel begins to slow a container down and to take its
// caches back, before it ends processes. The engine has no word for it.
func (c cgroup) soften(high int64) error {
	name := "memory.soft_limit_in_bytes"
	if c.v2 {
		name = "memory.high"
	}
	return os.WriteFile(filepath.Join(c.memory, name), []byte(strconv.FormatInt(high, 10)), 0o644)
}

// unlimited is above any limit that somebody sets: version 1 says "none" with the
// largest multiple of a page.
const unlimited = int64(1) << 60

// number reads a file with one number, 0 when it is not there or says "max".
func number(dir, name string) int64 {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return 0
	}
	return amount(strings.TrimSpace(string(b)))
}

func amount(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > unlimited {
		return 0
	}
	return n
}

// field reads one number of a file with lines "name number".
func field(dir, file, name string) int64 {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return amount(strings.TrimSpace(rest))
		}
	}
	return 0
}

// coresV2 reads "150000 100000" or "max 100000".
func coresV2(dir string) float64 {
	b, err := os.ReadFile(filepath.Join(dir, "cpu.max"))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b))
	if len(f) != 2 || amount(f[1]) == 0 {
		return 0
	}
	return float64(amount(f[0])) / float64(amount(f[1]))
}

// readTmp adds what a container's /tmp holds. The way there begins at the
// container's root and follows no link, so that nothing a student makes leads
// elsewhere; only a file system in memory is asked, since it can't hang.
func (m machine) readTmp(pid int, r *reading) error {
	root, err := unix.Open(filepath.Join(or(m.proc, "/proc"), strconv.Itoa(pid), "root"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot open the root of process %d: %w", pid, err)
	}
	defer unix.Close(root)
	tmp, err := unix.Openat2(root, "tmp", &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return fmt.Errorf("cannot open /tmp of process %d: %w", pid, err)
	}
	defer unix.Close(tmp)
	var st unix.Statfs_t
	if err := unix.Fstatfs(tmp, &st); err != nil {
		return fmt.Errorf("cannot measure /tmp of process %d: %w", pid, err)
	}
	if st.Type != unix.TMPFS_MAGIC {
		return nil
	}
	r.tmpLimit, r.tmp = int64(st.Blocks)*st.Bsize, int64(st.Blocks-st.Bfree)*st.Bsize
	r.tmpFiles, r.tmpFilesFree = int64(st.Files), int64(st.Ffree)
	return nil
}
