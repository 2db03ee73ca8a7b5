package hub

import (
	"context"
	"fmt"
	"time"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/notice"
)

// told is one thing to say to the person at one server.
type told struct {
	user, server string
	notice       notice.Notice
}

// tellAgain is how long the same is not said again to the same person.
const tellAgain = 5 * time.Minute

// killAgain is tellAgain for a program that was ended: each one is news, but a loop
// of them is not.
const killAgain = 20 * time.Second

func (h *Hub) tell(s told) {
	h.cfg.Log.Info("told a student", "user", s.user, "code", s.notice.Code, "what", s.notice.What)
	if h.cfg.Tell != nil {
		h.cfg.Tell(s.user, s.server, s.notice)
	}
}

// complain says what a server used too much of since the reading before, unless it
// was said a moment ago.
func (h *Hub) complain(id string, m *metered, before reading) []told {
	var l []told
	for _, n := range tooMuch(before, m.last) {
		again := tellAgain
		if n.Code == "memory-killed" {
			again = killAgain
		}
		if last, ok := m.told[n.Code]; ok && m.last.at.Sub(last) < again {
			continue
		}
		m.told[n.Code] = m.last.at
		l = append(l, told{m.user, m.name, n})
	}
	return l
}

// tooMuch compares two readings of one server.
func tooMuch(before, now reading) []notice.Notice {
	var l []notice.Notice
	switch {
	case now.kills > before.kills:
		l = append(l, memoryKilled(now.memoryLimit))
	case now.memoryLimit > 0 && near(now.memory, now.memoryLimit) && near(before.memory, before.memoryLimit):
		l = append(l, memoryNear(now.memory, now.memoryLimit))
	}
	if now.refused > before.refused {
		l = append(l, tooManyPids(now.pidsLimit))
	}
	if now.tmpLimit > 0 && now.tmp >= now.tmpLimit/100*97 {
		l = append(l, tmpFull(now.tmp, now.tmpLimit))
	} else if now.tmpFiles > 0 && now.tmpFilesFree == 0 {
		l = append(l, tmpFiles(now.tmpFiles))
	}
	return l
}

// near tells whether so little is left that the next array may not fit: a tenth.
func near(used, limit int64) bool { return used > limit/10*9 }

func mb(n int64) int64 { return (n + mib/2) / mib }

func memoryKilled(limit int64) notice.Notice {
	return notice.Notice{
		Code: "memory-killed", Severity: notice.SeverityWarning,
		What:  fmt.Sprintf("A program of yours needed more than the %d MB of memory that your server may use, and was stopped", mb(limit)),
		Means: "its variables are gone; your files and your other notebooks are as they were, and nobody else noticed",
		Do:    "restart the kernel and load less at once: a part of the data, or remove big variables with del",
	}
}

func memoryNear(used, limit int64) notice.Notice {
	return notice.Notice{
		Code: "memory-near", Severity: notice.SeverityInfo,
		What:  fmt.Sprintf("Your server uses %d of the %d MB of memory that it may use, files in /tmp included", mb(used), mb(limit)),
		Means: "if it needs more, the biggest of your programs is stopped and its variables are lost",
		Do:    "save, then shut down the kernels you do not need (the round button on the left), or restart this one",
	}
}

func tooManyPids(limit int64) notice.Notice {
	return notice.Notice{
		Code: "too-many-processes", Severity: notice.SeverityWarning,
		What:  fmt.Sprintf("Your programs tried to run more than %d processes and threads at once", limit),
		Means: "no new program, terminal or kernel of yours can start until some of them end; nobody else noticed",
		Do:    "shut down the kernel or terminal that starts them (the round button on the left), or stop your server and start it again",
	}
}

func tmpFull(used, limit int64) notice.Notice {
	return notice.Notice{
		Code: "tmp-full", Severity: notice.SeverityWarning,
		What:  fmt.Sprintf("The folder /tmp is full: %d of %d MB", mb(used), mb(limit)),
		Means: "programs that put files there fail; what is there also counts as memory",
		Do:    "delete what you do not need in /tmp, and keep big files in your home",
	}
}

func tmpFiles(n int64) notice.Notice {
	return notice.Notice{
		Code: "tmp-full", Severity: notice.SeverityWarning,
		What:  fmt.Sprintf("The folder /tmp holds %d files, and no more fit", n),
		Means: "programs that put files there fail",
		Do:    "delete what you do not need in /tmp",
	}
}

// killed is the exit code of a container whose first process was killed.
const killed = 137

// died tells the student that their server ended, and keeps the reason for their next
// start when it was not somebody's wish.
func (h *Hub) died(ctx context.Context, e engine.Event) {
	user, server := e.Labels[labelUser], e.Labels[labelServer]
	ours := h.underWay(serverID(user, server)) // whoever starts or stops it knows why
	c, err := h.cfg.Engine.Inspect(ctx, e.ID)
	for n := 0; err == nil && c.State == "running" && n < 10 && pause(ctx, 50*time.Millisecond); n++ {
		c, err = h.cfg.Engine.Inspect(ctx, e.ID) // the engine may tell of an end before it lists it
	}
	if err == nil && c.State == "running" {
		return
	}
	// A kernel may have been killed for its memory before, and the server ended otherwise.
	if ours || err != nil || !c.OOMKilled || c.ExitCode != killed {
		h.tell(told{user, server, serverStopped()})
		return
	}
	n := serverKilled(h.limitsOf(user).Memory)
	h.meter.mu.Lock()
	h.meter.ended[serverID(user, server)] = n
	h.meter.mu.Unlock()
	h.tell(told{user, server, n})
}

// lastEnd gives, once, why a server's last container ended.
func (h *Hub) lastEnd(id string) (notice.Notice, bool) {
	h.meter.mu.Lock()
	defer h.meter.mu.Unlock()
	n, ok := h.meter.ended[id]
	delete(h.meter.ended, id)
	return n, ok
}

func serverKilled(limit int64) notice.Notice {
	return notice.Notice{
		Code: "server-killed", Severity: notice.SeverityWarning,
		What:  fmt.Sprintf("Your server was stopped because your programs needed more than the %d MB of memory that it may use", mb(limit)),
		Means: "what ran is gone; what you saved is in your home",
		Do:    "start it again and load less at once: a part of the data, or fewer notebooks",
	}
}

func serverStopped() notice.Notice {
	return notice.Notice{
		Code: "server-stopped", Severity: notice.SeverityWarning,
		What:  "Your server was stopped",
		Means: "what ran is gone; what you saved is in your home",
		Do:    "start it again if you want to go on",
	}
}
