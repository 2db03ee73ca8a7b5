package hub

import "runtime"

const (
	mib = int64(1) << 20
	gib = int64(1) << 30
)

// Limits is what one server may use. A zero field means no limit.
type Limits struct {
	Memory int64   // bytes, with the files it keeps in /tmp
	High   int64   // bytes from which the kernel slows it down and takes back first; below Memory
	Pids   int64   // processes and threads
	CPUs   float64 // cores
	Tmp    int64   // bytes in /tmp
	Shm    int64   // bytes in /dev/shm
	Files  int64   // files and sockets that one process may have open
	Disk   int64   // bytes in the home
}

// LimitsFor shares a machine among students: 1.5 times an equal part of what is left
// after 1.5 GiB for the system, since they are never all busy at once, between 384
// MiB and 2 GiB. Half a core is kept for the front door. Memory 0 or students 0 give
// the largest share. Disk is left to [DiskFor].
func LimitsFor(cpus int, memory int64, students int) Limits {
	share := 2 * gib
	if memory > 0 && students > 0 {
		share = min(max((memory-gib*3/2)/int64(students)*3/2, 384*mib), 2*gib)
	}
	return Limits{
		Memory: share, High: share / 20 * 17, Pids: 512,
		CPUs: max(1, float64(cpus)-0.5),
		Tmp:  max(share/2, 256*mib), Shm: 64 * mib, Files: 4096,
	}
}

// DiskFor shares a disk among homes: 1.5 times an equal part of half of it, between
// 512 MiB and 20 GiB. The other half is the system's: images and environments.
func DiskFor(total int64, homes int) int64 {
	if total <= 0 || homes <= 0 {
		return 20 * gib
	}
	return min(max(total/2/int64(homes)*3/2, 512*mib), 20*gib)
}

// limits are those of an account's role.
func (c Config) limits(a Account) Limits {
	if a.Admin && c.Teachers != (Limits{}) {
		return c.Teachers
	}
	return c.Limits
}

func (c Config) startsAtOnce() int {
	if c.Starts > 0 {
		return c.Starts
	}
	return runtime.NumCPU()
}
