package environments

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
)

// Running is a process that the launcher started in a generation, or a child of one that
// holds its lease too.
type Running struct {
	Env    Name
	Number int // the generation's
	PID    int // on this machine
	UID    int
	Kernel string // Jupyter's id when it is a kernel; "" otherwise
}

// leaseFD is the file on which the launcher holds the lease.
const leaseFD = "9"

// connectionFile is the argument that makes a process a kernel, whatever its language.
var connectionFile = regexp.MustCompile(`kernel-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.json`)

// Running lists who runs in a generation of env now, each kernel once. It asks the
// machine and nobody who runs: one look at each process, of which a class has some
// hundreds. It sees the processes of others only as root.
func (s *Store) Running(env Name) ([]Running, error) {
	leases, err := s.leases(env)
	if err != nil || len(leases) == 0 {
		return nil, err
	}
	es, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("cannot list processes: %w", err)
	}
	var out []Running
	seen := map[Running]bool{}
	for _, e := range es {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		r, ok := holder(filepath.Join("/proc", e.Name()), leases)
		if !ok {
			continue // it ended, or has nothing to do with us
		}
		if r.Kernel != "" {
			if seen[r] {
				continue // a child of the kernel that took its name along
			}
			seen[r] = true
		}
		r.Env, r.PID = env, pid
		out = append(out, r)
	}
	return out, nil
}

// inode is a file, by whatever name it is known in a container.
type inode struct{ dev, ino uint64 }

func inodeOf(fi os.FileInfo) inode {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return inode{}
	}
	return inode{uint64(st.Dev), st.Ino}
}

// leases gives the generations of env by their lease files.
func (s *Store) leases(env Name) (map[inode]int, error) {
	numbers, err := s.numbers(env)
	if err != nil {
		return nil, err
	}
	out := map[inode]int{}
	for _, n := range numbers {
		if fi, err := os.Lstat(filepath.Join(s.root, genPath(env, n), "lease")); err == nil {
			out[inodeOf(fi)] = n
		}
	}
	return out, nil
}

// holder looks at one process.
func holder(proc string, leases map[inode]int) (Running, bool) {
	file := filepath.Join(proc, "fd", leaseFD)
	// Only what has the name is looked at: another file may lie on a disk that hangs.
	if to, err := os.Readlink(file); err != nil || filepath.Base(to) != "lease" {
		return Running{}, false
	}
	lease, err := os.Stat(file)
	if err != nil {
		return Running{}, false
	}
	n, ok := leases[inodeOf(lease)]
	if !ok {
		return Running{}, false
	}
	r := Running{Number: n}
	if fi, err := os.Stat(proc); err == nil {
		if st, ok := fi.Sys().(*syscall.Stat_t); ok {
			r.UID = int(st.Uid)
		}
	}
	if cmd, err := os.ReadFile(filepath.Join(proc, "cmdline")); err == nil {
		if m := connectionFile.FindSubmatch(cmd); m != nil {
			r.Kernel = string(m[1])
		}
	}
	return r, true
}
