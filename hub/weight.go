package hub

import (
	"context"
	"time"
)

// startWeight is the CPU weight of a server that starts: less than that of one that
// works, so that those who work do not notice a class coming in, and enough to get in
// beside a room of students who all compute.
const startWeight = serverShares / 2

// settle does for a server what the daemon that began to start it did not live to do.
func (h *Hub) settle(ctx context.Context, id string) {
	h.mu.Lock()
	done := h.grown[id]
	h.mu.Unlock()
	if done {
		return
	}
	if err := h.sealPlace(id); err != nil {
		h.cfg.Log.Warn("a server's place stays open", "server", id, "error", err)
	}
	h.grownUp(ctx, id)
}

// grownUp gives a server that has started the weight of one that works.
func (h *Hub) grownUp(ctx context.Context, id string) {
	h.mu.Lock()
	done := h.grown[id]
	h.grown[id] = true
	h.mu.Unlock()
	if done {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := h.cfg.Engine.Weigh(ctx, h.containerName(id), serverShares); err != nil && ctx.Err() == nil {
		h.cfg.Log.Warn("a server keeps the weight it started with", "server", id, "error", err)
		h.mu.Lock()
		delete(h.grown, id)
		h.mu.Unlock()
	}
}

func (h *Hub) newborn(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.grown, id)
}
