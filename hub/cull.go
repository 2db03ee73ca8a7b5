package hub

import (
	"context"
	"time"
)

const (
	lookForUse  = 10 * time.Second // how often it is seen whether a server is used
	unusedLimit = 30 * time.Minute
)

// cull stops the servers that were started ahead and that nobody has used for long.
// It touches no server that a student has used, and none while a lesson is on.
func (h *Hub) cull(ctx context.Context) {
	if h.cfg.Lesson.Activity == nil {
		return
	}
	for pause(ctx, lookForUse) {
		h.cullOnce(ctx, time.Now())
	}
}

func (h *Hub) cullOnce(ctx context.Context, now time.Time) {
	for id, a := range h.unused() {
		last := h.cfg.Lesson.Activity(a.User, a.Server)
		switch {
		case last.After(a.Quiet) && !a.Quiet.IsZero():
			h.forgetAhead(id)
			continue
		case a.Quiet.IsZero() && !last.IsZero():
			a.Quiet = last // the route was late
			h.noteAhead(id, a)
		}
		if h.lessonOn() || now.Sub(a.Ready) < or(h.cfg.Lesson.Unused, unusedLimit) {
			continue
		}
		h.forgetAhead(id)
		h.cfg.Log.Info("stopping a server that nobody has used", "user", a.User)
		if err := h.StopServer(ctx, a.User, a.Server); err != nil && ctx.Err() == nil {
			h.cfg.Log.Warn("server did not stop", "user", a.User, "error", err)
		}
	}
}
