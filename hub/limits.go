package hub

import "runtime"

const (
	mib = int64(1) << 20
	gib = int64(1) << 30
)

// Limits is what one student's server may use. A zero field means no limit.
type Limits struct {
	Memory int64   // bytes, with the files it keeps in /tmp
	Pids   int64   // processes and threads
	CPUs   float64 // cores
	Tmp    int64   // bytes in /tmp
	Shm    int64   // bytes in /dev/shm
}

// LimitsFor shares a machine among students: 1.5 times an equal part of what is left
// after 1.5 GiB for the system, since they are never all busy at once, between 384
// MiB and 2 GiB. Half a core is kept for the front door. Memory 0 or students 0 give
// the largest share.
func LimitsFor(cpus int, memory int64, students int) Limits {
	share := 2 * gib
	if memory > 0 && students > 0 {
		share = min(max((memory-gib*3/2)/int64(students)*3/2, 384*mib), 2*gib)
	}
	return Limits{
		Memory: share, Pids: 512,
		CPUs: max(1, float64(cpus)-0.5),
		Tmp:  max(share/2, 256*mib), Shm: 64 * mib,
	}
}

func (c Config) startsAtOnce() int {
	if c.Starts > 0 {
		return c.Starts
	}
	return runtime.NumCPU()
}
