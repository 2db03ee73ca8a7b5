package api

import (
	"time"

	"github.com/conjuring/conjured/notice"
)

// Phase says what the class can do for a student now.
type Phase string

// The phases. The zero Phase counts as preparing: nothing is promised.
const (
	Preparing Phase = "preparing" // no setup serves yet; every address shows the waiting page
	Serving   Phase = "serving"   // students can log in and work
	Degraded  Phase = "degraded"  // as Serving, but a notice says what does not work
)

// Ready tells whether students are let through to the hub.
func (p Phase) Ready() bool { return p == Serving || p == Degraded }

// Status is the class at one moment, for people and scripts. It holds no secret.
type Status struct {
	Class        string          `json:"class"`     // its name, as the teacher wrote it
	Phase        Phase           `json:"phase"`     // of the class as a whole
	Addresses    []string        `json:"addresses"` // URLs of the front door, the best one first
	Serving      string          `json:"serving"`   // id of the setup that runs; "" before the first
	Desired      string          `json:"desired"`   // id of the setup that is wished for
	Since        time.Time       `json:"since"`     // when the serving setup began to serve
	Hub          Hub             `json:"hub"`
	Servers      []Server        `json:"servers"`
	Users        UserCount       `json:"users"`
	Environments []Environment   `json:"environments"`
	Notices      []notice.Notice `json:"notices"`
	Jobs         []Job           `json:"jobs"` // what is being worked on
	Version      string          `json:"version"`
	Uptime       float64         `json:"uptime"` // seconds since the daemon started
	MemoryBytes  int64           `json:"memory_bytes,omitempty"`
}

// Hub is JupyterHub's container.
type Hub struct {
	State string    `json:"state"` // "absent", "starting", "running", "failed"
	Since time.Time `json:"since"` // when it entered that state
	Image string    `json:"image,omitempty"`
}

// Server is one student's Jupyter server.
type Server struct {
	User        string    `json:"user"`
	Name        string    `json:"name"`  // "" for the student's default server
	State       string    `json:"state"` // "starting", "running", "stopping", "failed"
	Since       time.Time `json:"since"`
	MemoryBytes int64     `json:"memory_bytes,omitempty"` // 0 when not known
	Usage       *Usage    `json:"usage,omitempty"`        // nil while it does not run
}

// Usage is what a server uses now. A limit of 0 means none, or not known.
type Usage struct {
	MemoryBytes int64   `json:"memory_bytes"` // with files in /tmp
	MemoryLimit int64   `json:"memory_limit"`
	CPU         float64 `json:"cpu"` // cores, over the last seconds
	CPULimit    float64 `json:"cpu_limit"`
	Processes   int64   `json:"processes"` // with threads
	ProcessMax  int64   `json:"process_limit"`
	TmpBytes    int64   `json:"tmp_bytes"`
	TmpLimit    int64   `json:"tmp_limit"`
	DiskBytes   int64   `json:"disk_bytes"` // the home, as last measured
	DiskLimit   int64   `json:"disk_limit"`
}

// UserCount counts the accounts of the roster.
type UserCount struct {
	Total  int `json:"total"`
	Admins int `json:"admins"`
}

// Environment is one environment and the generation that its label current points at.
type Environment struct {
	Name        string          `json:"name"`
	Display     string          `json:"display,omitempty"`  // as the teacher wrote the name
	Course      string          `json:"course,omitempty"`   // whose students see it; "" is everybody
	Students    int             `json:"students,omitempty"` // who see it, when it is not everybody
	Generation  string          `json:"generation"`         // "" when nothing was built yet
	Label       string          `json:"label"`              // "current"
	File        string          `json:"file,omitempty"`     // of the teacher, that asks for it
	Python      string          `json:"python,omitempty"`
	Packages    int             `json:"packages,omitempty"`
	Created     time.Time       `json:"created"`
	Bytes       int64           `json:"bytes,omitempty"` // of all generations on the disk; files that they share, also with base, count once; 0 when not known
	Labels      map[string]int  `json:"labels,omitempty"`
	Tags        []string        `json:"tags,omitempty"` // oldest first
	Generations []EnvGeneration `json:"generations,omitempty"`
	Waiting     *EnvWaiting     `json:"waiting,omitempty"` // for approval
	Failed      *notice.Notice  `json:"failed,omitempty"`  // why the newest wish did not come true
}

// Job is one piece of long work that is under way.
type Job struct {
	Name  string  `json:"name"`
	Step  string  `json:"step"`
	Done  int64   `json:"done"`  // of Total, in Unit
	Total int64   `json:"total"` // 0 when not known
	Unit  string  `json:"unit"`
	Eta   float64 `json:"eta"` // seconds left; 0 when not known
}
