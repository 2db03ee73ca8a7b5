package main

import (
	"golang.org/x/sys/unix"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/hub"
)

// limits bound each server, by who it belongs to. The keys at the top are the
// students', as they were before there were roles.
type limits struct {
	limit   `yaml:",inline"`
	Student limit `yaml:"student"`
	Teacher limit `yaml:"teacher"` // starts from the students'

	EstimateMB int `yaml:"estimate_mb"` // what one server is reckoned with when many are started at once
}

// limit bounds one server; zero means "from the machine's size".
type limit struct {
	MemoryMB  int64   `yaml:"memory_mb"`
	CPUs      float64 `yaml:"cpus"`
	Pids      int64   `yaml:"pids"`
	TmpMB     int64   `yaml:"tmp_mb"`
	ShmMB     int64   `yaml:"shm_mb"`
	OpenFiles int64   `yaml:"open_files"`
	DiskMB    int64   `yaml:"disk_mb"`
}

// roles are the limits of both.
type roles struct{ student, teacher hub.Limits }

// expectedStudents is the class that memory and disk are shared out for.
const expectedStudents = 30

// forMachine puts the settings over what fits the machine. A teacher may use twice a
// student's memory and disk: there are few of them, and they try things out.
func (l limits) forMachine(m engine.Info, state string) roles {
	s := hub.LimitsFor(m.CPUs, m.Memory, expectedStudents)
	s.Disk = hub.DiskFor(diskSize(state), expectedStudents)
	s = l.Student.over(l.limit.over(s))
	t := s
	t.Memory, t.High, t.Disk = 2*s.Memory, 2*s.High, 2*s.Disk
	return roles{s, l.Teacher.over(t)}
}

func (l limit) over(h hub.Limits) hub.Limits {
	if l.MemoryMB > 0 {
		h.Memory = l.MemoryMB << 20
		h.High = h.Memory / 20 * 17
	}
	if l.CPUs > 0 {
		h.CPUs = l.CPUs
	}
	for _, x := range []struct {
		to   *int64
		from int64
	}{
		{&h.Pids, l.Pids},
		{&h.Tmp, l.TmpMB << 20},
		{&h.Shm, l.ShmMB << 20},
		{&h.Files, l.OpenFiles},
		{&h.Disk, l.DiskMB << 20},
	} {
		if x.from > 0 {
			*x.to = x.from
		}
	}
	return h
}

// diskSize is the size in bytes of the file system of dir, 0 when it can't be told.
func diskSize(dir string) int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0
	}
	return int64(st.Blocks) * st.Bsize
}
