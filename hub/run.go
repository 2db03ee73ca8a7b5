package hub

import (
	"context"
	"os"
	"sync"
	"time"
)

// Run answers the hub and the servers, keeps the hub up, and ends servers whose
// student is gone, until ctx ends. Hub and servers run on after that. Call it once.
func (h *Hub) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ask, err := listen(h.paths.askSock(), 0o600, HubUID)
	if err != nil {
		return err
	}
	up, err := listen(h.paths.upstreamSock(), 0o666, 0)
	if err != nil {
		_ = ask.Close()
		return err
	}
	h.mu.Lock()
	h.live = ctx
	h.mu.Unlock()
	close(h.up)
	var wg sync.WaitGroup
	errs := make(chan error, 2)
	wg.Go(func() {
		errs <- serve(ctx, peers{ask, []uint32{HubUID, uint32(os.Geteuid())}}, h.askHandler(), 0)
		cancel()
	})
	wg.Go(func() {
		errs <- serve(ctx, &fair{Listener: up, each: 32, open: map[uint32]int{}}, h.upstreamHandler(), 30*time.Second)
		cancel()
	})
	wg.Go(func() { h.supervise(ctx) })
	wg.Go(func() { h.reap(ctx) })
	wg.Go(func() { h.lead(ctx) })
	wg.Go(func() { h.cull(ctx) })
	wg.Go(func() { h.watch(ctx) })
	wg.Go(func() { h.attend(ctx) })
	wg.Go(func() { h.watchDisk(ctx) })
	<-ctx.Done()
	h.mu.Lock()
	h.live = nil // from here on begin refuses, so that busy only falls
	h.mu.Unlock()
	wg.Wait()
	h.busy.Wait()
	return firstError(<-errs, <-errs)
}

// reap ends the servers of students who are not on the roster any more: one that was
// removed while the daemon was down.
func (h *Hub) reap(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		cs, err := h.cfg.Engine.List(ctx, h.label(roleServer))
		if err != nil && ctx.Err() == nil {
			h.cfg.Log.Warn("cannot look for servers without a student", "error", err)
		}
		for _, c := range cs {
			user := c.Labels[labelUser]
			if _, ok := h.cfg.Users.Lookup(user); ok {
				continue
			}
			h.cfg.Log.Info("stopping the server of a student who is not on the roster", "user", user)
			if err := h.stopServer(ctx, serverID(user, c.Labels[labelServer])); err != nil && ctx.Err() == nil {
				h.cfg.Log.Warn("server did not stop", "user", user, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
