package hub

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/conjuring/conjured/engine"
)

// attend keeps what JupyterHub believes and the containers there are of one mind: a
// server that dies is told to it, so that its route goes and the student can start it
// again at once; one that JupyterHub has forgotten is given back to it.
func (h *Hub) attend(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	look := make(chan struct{}, 1)
	wg.Go(func() {
		for {
			h.hear(ctx, &wg, look)
			if !pause(ctx, 2*time.Second) {
				return
			}
		}
	})
	wait := time.Duration(0)
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-look:
			timer.Stop()
			if !pause(ctx, time.Second) { // more may have happened to it
				return
			}
		}
		wait = lookPeriod
		if err := h.agree(ctx); err != nil && ctx.Err() == nil {
			h.cfg.Log.Debug("JupyterHub's servers were not compared", "error", err)
			wait = 3 * time.Second
		}
	}
}

// hear follows the engine until it goes away. The engine's events must be read, so
// that nothing here waits.
func (h *Hub) hear(ctx context.Context, wg *sync.WaitGroup, look chan<- struct{}) {
	events := h.listen(ctx)
	if events == nil {
		return
	}
	kick := func() {
		select {
		case look <- struct{}{}:
		default:
		}
	}
	kick() // whatever happened while nobody listened
	for {
		var e engine.Event
		var ok bool
		select {
		case e, ok = <-events:
		case <-ctx.Done():
		}
		if !ok {
			return
		}
		role := e.Labels[engine.LabelRole]
		switch {
		case e.Action == "die" && role == roleServer:
			user, name := e.Labels[labelUser], e.Labels[labelServer]
			wg.Go(func() { h.mourn(ctx, user, name) })
		case e.Action == "start" && role == roleHub:
			kick()
		}
	}
}

// mourn tells JupyterHub of a server that has ended by itself.
func (h *Hub) mourn(ctx context.Context, user, name string) {
	id := serverID(user, name)
	for range 20 { // the engine may tell of an end before it lists it
		if h.underWay(id) {
			return // whoever starts or stops it sees to it
		}
		c, up, err := h.running(ctx, id)
		if err == nil && !up {
			if c.ID == "" {
				return
			}
			h.cfg.Log.Warn("a server has ended", "user", user, "code", c.ExitCode, "oom", c.OOMKilled)
			break
		}
		if !pause(ctx, 100*time.Millisecond) {
			return
		}
	}
	if err := h.tellGone(ctx, user, name); err != nil && ctx.Err() == nil {
		h.cfg.Log.Warn("JupyterHub was not told of a server that has ended", "user", user, "error", err)
	}
}

// underWay tells whether a server is being started or stopped by us.
func (h *Hub) underWay(id string) bool {
	h.mu.Lock()
	busy := h.stopping[id] > 0 || h.stop
	h.mu.Unlock()
	return busy || h.coming(id)
}

// known is what JupyterHub says of a server.
type known struct {
	Ready   bool
	Pending string
}

// tellGone has JupyterHub look at a server that it believes to run: it finds it dead,
// and takes its route away.
func (h *Hub) tellGone(ctx context.Context, user, name string) error {
	base := "/hub/api/users/" + url.PathEscape(user)
	var u struct{ Servers map[string]known }
	if err := h.api(ctx, http.MethodGet, base, &u); err != nil {
		return known404(err)
	}
	if s, ok := u.Servers[name]; !ok || !s.Ready || s.Pending != "" {
		return nil
	}
	return known404(h.api(ctx, http.MethodDelete, serverPath(base, name), nil))
}

// agree compares all servers. JupyterHub is asked first: a server that it starts or
// stops meanwhile is then taken for neither dead nor forgotten.
func (h *Hub) agree(ctx context.Context) error {
	var users []struct {
		Name    string
		Servers map[string]known
	}
	if err := h.api(ctx, http.MethodGet, "/hub/api/users?state=active&limit=10000", &users); err != nil {
		return err
	}
	cs, err := h.cfg.Engine.List(ctx, h.label(roleServer))
	if err != nil {
		return err
	}
	believed := map[string]known{}
	for _, u := range users {
		for name, s := range u.Servers {
			believed[serverID(u.Name, name)] = s
		}
	}
	up := map[string]bool{}
	var errs []error
	for _, c := range cs {
		if c.State != "running" {
			continue
		}
		user, name := c.Labels[labelUser], c.Labels[labelServer]
		id := serverID(user, name)
		up[id] = true
		errs = append(errs, h.agreeOn(ctx, id, user, name, believed))
	}
	for _, u := range users {
		for name, s := range u.Servers {
			if id := serverID(u.Name, name); s.Ready && s.Pending == "" && !up[id] && !h.underWay(id) {
				h.cfg.Log.Info("JupyterHub believes in a server that is gone", "user", u.Name)
				errs = append(errs, h.tellGone(ctx, u.Name, name))
			}
		}
	}
	return errors.Join(errs...)
}

// agreeOn sees to one server that runs: JupyterHub must know it, and a route must
// lead to it.
func (h *Hub) agreeOn(ctx context.Context, id, user, name string, believed map[string]known) error {
	if h.underWay(id) {
		return nil
	}
	b, ok := believed[id]
	if b.Ready {
		h.settle(ctx, id)
	}
	_, may := h.cfg.Users.Lookup(user)
	switch {
	case !may:
		return nil // reap stops it
	case !ok:
		h.cfg.Log.Info("giving a server back to JupyterHub", "user", user)
		return h.StartServer(ctx, user, name)
	case b.Ready && h.cfg.Lesson.Activity != nil && h.cfg.Lesson.Activity(user, name).IsZero():
		h.cfg.Log.Info("a server has no route", "user", user)
		return h.api(ctx, http.MethodPost, "/hub/api/proxy", nil)
	}
	return nil
}
