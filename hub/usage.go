package hub

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/notice"
)

// Usage is what one server uses now. A limit of 0 means none, or not known.
type Usage struct {
	ID   string // the server's, as in [Server]
	User string
	Name string // "" is the student's first server
	At   time.Time

	Memory, MemoryLimit int64   // bytes, with files in /tmp, without what the kernel can drop
	CPU, CPULimit       float64 // cores, over the last seconds
	Pids, PidsLimit     int64   // processes and threads
	Tmp, TmpLimit       int64   // bytes in /tmp
	Disk, DiskLimit     int64   // bytes in the home, as of its last measurement
}

// meter keeps the last reading of each server that runs.
type meter struct {
	machine machine
	mu      sync.Mutex
	listed  time.Time
	all     map[string]*metered      // by server id
	ended   map[string]notice.Notice // by server id: why it ended, until that was shown
	homes   map[string]*homeUse      // by user
}

// metered is one container under watch.
type metered struct {
	container  string // id: a server started anew is another one
	user, name string
	pid        int
	group      cgroup
	last       reading
	cpu        float64              // cores, between the last two readings
	told       map[string]time.Time // when which notice was last given
}

const (
	watchPeriod = 2 * time.Second  // between readings of what runs
	listPeriod  = 20 * time.Second // beside events, which can be missed
	freshEnough = time.Second      // what a page may be shown without reading anew
)

// Usage tells what each server that runs uses, the one with most memory first. Their
// disk is what was last measured.
func (h *Hub) Usage(ctx context.Context) ([]Usage, error) {
	h.meter.mu.Lock()
	defer h.meter.mu.Unlock()
	if time.Since(h.meter.listed) > freshEnough {
		if err := h.meterList(ctx); err != nil {
			return nil, err
		}
		h.meterRead(nil)
	}
	l := make([]Usage, 0, len(h.meter.all))
	for id, m := range h.meter.all {
		l = append(l, h.usage(id, m))
	}
	slices.SortFunc(l, func(a, b Usage) int {
		return cmp.Or(cmp.Compare(b.Memory, a.Memory), strings.Compare(a.User, b.User), strings.Compare(a.Name, b.Name))
	})
	return l, nil
}

func (h *Hub) usage(id string, m *metered) Usage {
	r := m.last
	u := Usage{
		ID: id, User: m.user, Name: m.name, At: r.at, Memory: r.memory, MemoryLimit: r.memoryLimit,
		CPU: m.cpu, CPULimit: r.cpuLimit, Pids: r.pids, PidsLimit: r.pidsLimit, Tmp: r.tmp, TmpLimit: r.tmpLimit,
		DiskLimit: h.limitsOf(m.user).Disk,
	}
	if home := h.meter.homes[m.user]; home != nil {
		u.Disk = home.size.Bytes
	}
	return u
}

// limitsOf are those of a user's role; somebody no longer on the roster is a student.
func (h *Hub) limitsOf(user string) Limits {
	a, _ := h.cfg.Users.Lookup(user)
	return h.cfg.limits(a)
}

// watch reads what the servers use, and tells those that use too much, until ctx
// ends.
func (h *Hub) watch(ctx context.Context) {
	var events <-chan engine.Event // nil while the engine is away
	stale := true
	for ctx.Err() == nil {
		if events == nil {
			events, stale = h.listen(ctx), true
		}
		h.meter.mu.Lock()
		if stale || time.Since(h.meter.listed) > listPeriod {
			if err := h.meterList(ctx); err != nil && ctx.Err() == nil {
				h.cfg.Log.Debug("cannot see which servers run", "error", err)
			}
		}
		said := h.meterRead(h.complain)
		h.meter.mu.Unlock()
		for _, s := range said {
			h.tell(s)
		}
		events, stale = h.nextEvent(ctx, events)
	}
}

// nextEvent waits for the next reading, and tells whether servers came or went.
func (h *Hub) nextEvent(ctx context.Context, events <-chan engine.Event) (<-chan engine.Event, bool) {
	timer := time.NewTimer(watchPeriod)
	defer timer.Stop()
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return nil, true
			}
			if e.Labels[engine.LabelRole] != roleServer {
				continue
			}
			switch e.Action {
			case "die":
				h.died(ctx, e)
				return events, true
			case "start":
				return events, true
			case "oom":
				return events, false
			}
		case <-timer.C:
			return events, false
		case <-ctx.Done():
			return events, false
		}
	}
}

// meterList finds the servers that run. The caller holds the meter.
func (h *Hub) meterList(ctx context.Context) error {
	cs, err := h.cfg.Engine.List(ctx, h.label(roleServer))
	if err != nil {
		return fmt.Errorf("cannot list the servers: %w", err)
	}
	h.meter.listed = time.Now()
	seen := map[string]bool{}
	for _, c := range cs {
		if c.State != "running" {
			continue
		}
		user, name := c.Labels[labelUser], c.Labels[labelServer]
		id := serverID(user, name)
		seen[id] = true
		if m := h.meter.all[id]; m != nil && m.container == c.ID {
			continue
		}
		m := &metered{container: c.ID, user: user, name: name, told: map[string]time.Time{}}
		if err := h.meterBegin(ctx, m); err != nil {
			h.cfg.Log.Debug("cannot watch a server", "server", id, "error", err)
		}
		h.meter.all[id] = m
	}
	for id := range h.meter.all {
		if !seen[id] {
			delete(h.meter.all, id)
		}
	}
	return nil
}

// meterBegin finds a container's counters and sets what the engine can't.
func (h *Hub) meterBegin(ctx context.Context, m *metered) error {
	c, err := h.cfg.Engine.Inspect(ctx, m.container)
	if err != nil || c.Pid == 0 {
		return err
	}
	if m.group, err = h.meter.machine.cgroupOf(c.Pid); err != nil {
		return err
	}
	m.pid = c.Pid
	if m.last, err = m.group.read(); err != nil { // what was before our time is nobody's news
		return err
	}
	if high := h.limitsOf(m.user).High; high > 0 && m.last.memoryLimit > 0 {
		if err := m.group.soften(min(high, m.last.memoryLimit/20*17)); err != nil {
			return fmt.Errorf("cannot set where memory becomes short: %w", err)
		}
	}
	return nil
}

// meterRead reads all counters. judge, which may be nil, says what to tell.
func (h *Hub) meterRead(judge func(id string, m *metered, before reading) []told) []told {
	var said []told
	for id, m := range h.meter.all {
		if m.pid == 0 {
			continue
		}
		r, err := m.group.read()
		if err != nil {
			continue // it is about to leave the list
		}
		if err := h.meter.machine.readTmp(m.pid, &r); err != nil {
			h.cfg.Log.Debug("cannot measure /tmp", "server", id, "error", err)
		}
		before := m.last
		if d := r.at.Sub(before.at); d > freshEnough/2 {
			m.cpu = max(0, float64(r.cpu-before.cpu)/float64(d))
		}
		if judge == nil {
			// The counters of before are kept, so that the watch misses nothing.
			r.kills, r.refused = before.kills, before.refused
			m.last = r
			continue
		}
		m.last = r
		said = append(said, judge(id, m, before)...)
	}
	return said
}
