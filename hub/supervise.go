package hub

import (
	"context"
	"fmt"
	"time"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/notice"
)

const (
	lookPeriod = 30 * time.Second // beside events, which can be missed
	maxBackoff = time.Minute
)

// supervise starts the hub again when it has died, at once the first time and then
// ever more patiently, and clears what a daemon that died in a deploy left behind.
func (h *Hub) supervise(ctx context.Context) {
	var events <-chan engine.Event // nil while the engine is away
	backoff, next := time.Duration(0), time.Now()
	well := time.Now()
	dead := "" // the hub that has ended by the engine's word, which may come before its list says so
	for ctx.Err() == nil {
		if events == nil {
			events = h.listen(ctx)
		}
		up, err := h.look(ctx, next, dead)
		wait := lookPeriod
		switch {
		case err != nil && ctx.Err() == nil:
			h.cfg.Log.Warn("the hub is not up", "error", err)
			backoff = min(max(2*backoff, 2*time.Second), maxBackoff)
			next = time.Now().Add(backoff)
			wait = backoff
		case !up:
			well = time.Now()
			wait = min(lookPeriod, 2*time.Second)
		case time.Since(well) > 2*maxBackoff:
			backoff, next = 0, time.Now()
		}
		events, dead = hubDied(ctx, events, wait)
	}
}

// listen gives the engine's events, nil when it is away.
func (h *Hub) listen(ctx context.Context) <-chan engine.Event {
	events, err := h.cfg.Engine.Events(ctx)
	if err != nil {
		h.cfg.Log.Debug("no events from the engine", "error", err)
		return nil
	}
	return events
}

// hubDied waits until a hub has ended, the engine went away, or it is time to look
// anyway, and gives the id of one that has ended. It gives nil when there are no more
// events.
func hubDied(ctx context.Context, events <-chan engine.Event, wait time.Duration) (<-chan engine.Event, string) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return nil, ""
			}
			if e.Action == "die" && e.Labels[engine.LabelRole] == roleHub {
				return events, e.ID
			}
		case <-timer.C:
			return events, ""
		case <-ctx.Done():
			return events, ""
		}
	}
}

// look checks on the hub once, unless a deploy is at it, and starts one that has
// died if it is time. dead is the id of a container that has, or "". up is false while
// there is nothing to keep up.
func (h *Hub) look(ctx context.Context, next time.Time, dead string) (up bool, err error) {
	select {
	case <-h.deploy:
		defer func() { h.deploy <- struct{}{} }()
	default:
		return false, nil
	}
	h.mu.Lock()
	closing := h.stop
	h.mu.Unlock()
	s, err := h.recall()
	if err != nil || s == nil || closing {
		return false, err
	}
	c, left, err := h.hubs(ctx)
	if err != nil {
		return false, err
	}
	for _, l := range left {
		if err := h.cfg.Engine.Remove(ctx, l.ID); err != nil {
			return false, fmt.Errorf("cannot remove an old candidate: %w", err)
		}
	}
	if c != nil && c.State == "running" && c.ID != dead {
		h.seen = true
		return true, nil
	}
	if time.Now().Before(next) {
		return false, nil
	}
	return false, h.revive(ctx, *s, c)
}

// revive starts the hub anew from what it was started from, and tells that it was
// gone, unless that was before our time: after a power cut it is nobody's news.
func (h *Hub) revive(ctx context.Context, s Spec, dead *engine.Container) error {
	if dead != nil {
		lines, err := h.cfg.Engine.Logs(ctx, dead.ID, 30)
		if err != nil {
			lines = err.Error()
		}
		h.cfg.Log.Warn("the hub had stopped; starting it again", "exit_code", dead.ExitCode, "last_lines", tail(lines, 2000))
	}
	if h.seen {
		h.cfg.Notify(notice.Notice{
			Code: "hub-restarted", Severity: notice.SeverityWarning,
			What:  "the hub had stopped and is being started again",
			Means: "for some seconds nobody new can log in; those who are in work on",
			Do:    "nothing; if you see this often, run conjured doctor",
		})
	}
	python, err := h.writePython(pythonFiles)
	if err != nil {
		return err
	}
	key, err := s.key()
	if err != nil {
		return err
	}
	return h.replace(ctx, s, python, key)
}
