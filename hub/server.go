package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/conjuring/conjured/engine"
)

// Labels of a server's container, beside the engine's.
const (
	labelUser   = "org.conjured.user"
	labelServer = "org.conjured.server"
)

const (
	roleHub     = "hub"
	roleServer  = "server"
	roleService = "service"
)

// stopGrace is how long a server may take to save: a removed student is out in five
// seconds all told.
const stopGrace = 3 * time.Second

// Server is one student's server as it is now.
type Server struct {
	ID    string // 12 hex digits
	User  string
	Name  string // "" is the student's first server
	State string // queued, starting, ready, failed, or the engine's word for its container
	Since time.Time
	Image string // image id; "" while queued
}

// Starting tells whether the server waits for its turn or is on its way.
func (s Server) Starting() bool { return s.State == queued || s.State == starting }

// lives tells whether the server runs or is about to.
func (s Server) lives() bool { return s.State == ready || s.State == queued || s.State == starting }

// serverID names a server's place and container. It is made of user and name, so
// that asking twice finds the same one.
func serverID(user, name string) string {
	h := sha256.Sum256([]byte(user + "\x00" + name))
	return hex.EncodeToString(h[:6])
}

func (h *Hub) containerName(id string) string {
	return fmt.Sprintf("conjured-%s-server-%s", h.cfg.Instance, id)
}

// Servers lists the students' servers, those that wait for their turn among them,
// by user and name.
func (h *Hub) Servers(ctx context.Context) ([]Server, error) {
	cs, err := h.cfg.Engine.List(ctx, h.label(roleServer))
	if err != nil {
		return nil, fmt.Errorf("cannot list the servers: %w", err)
	}
	byID := map[string]Server{}
	for _, c := range cs {
		s := Server{User: c.Labels[labelUser], Name: c.Labels[labelServer], Since: c.Started, Image: c.Image, State: c.State}
		s.ID = serverID(s.User, s.Name)
		if c.State == "running" {
			s.State = "ready"
		}
		byID[s.ID] = s
	}
	h.mu.Lock()
	for id, st := range h.starts {
		if ended, ok := st.outcome(); !ok {
			s := byID[id]
			s.ID, s.User, s.Name, s.State, s.Since = id, st.ask.User, st.ask.Server, st.last().State, st.began
			byID[id] = s
		} else if _, there := byID[id]; !there && ended.State == failed {
			byID[id] = Server{ID: id, User: st.ask.User, Name: st.ask.Server, State: failed, Since: st.began}
		}
	}
	h.mu.Unlock()
	var l []Server
	for _, s := range byID {
		l = append(l, s)
	}
	slices.SortFunc(l, func(a, b Server) int {
		if c := strings.Compare(a.User, b.User); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return l, nil
}

// StopUser stops every server of a user, also those that are starting. Their home
// stays.
func (h *Hub) StopUser(ctx context.Context, user string) error {
	return h.stopServers(ctx, func(u string) bool { return u == user })
}

// StopServers stops every student's server; the hub goes on.
func (h *Hub) StopServers(ctx context.Context) error {
	return h.stopServers(ctx, func(string) bool { return true })
}

// StopAll stops servers, services and the hub: the class is over. Nothing starts
// any more until the next [New].
func (h *Hub) StopAll(ctx context.Context) error {
	h.mu.Lock()
	h.stop = true
	h.mu.Unlock()
	return each([]string{roleServer, roleHub, roleService}, func(role string) error {
		if role == roleServer {
			return h.StopServers(ctx)
		}
		return h.stopRole(ctx, role)
	})
}

func (h *Hub) stopServers(ctx context.Context, which func(user string) bool) error {
	ids := map[string]bool{}
	h.mu.Lock()
	for id, s := range h.starts {
		if which(s.ask.User) {
			s.cancel()
			ids[id] = true
		}
	}
	h.mu.Unlock()
	cs, err := h.cfg.Engine.List(ctx, h.label(roleServer))
	if err != nil {
		return fmt.Errorf("cannot list the servers: %w", err)
	}
	for _, c := range cs {
		if which(c.Labels[labelUser]) {
			ids[serverID(c.Labels[labelUser], c.Labels[labelServer])] = true
		}
	}
	return each(slices.Sorted(maps.Keys(ids)), func(id string) error { return h.stopServer(ctx, id) })
}

// stopServer ends one server, waits for its container to go, and clears its place.
func (h *Hub) stopServer(ctx context.Context, id string) error {
	h.forgetAhead(id)
	h.mu.Lock()
	s := h.starts[id]
	h.stopping[id]++
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.stopping[id]--; h.stopping[id] == 0 {
			delete(h.stopping, id)
		}
	}()
	if s != nil {
		s.cancel()
		select {
		case <-s.ended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	name := h.containerName(id)
	if err := h.cfg.Engine.Stop(ctx, name, stopGrace); err != nil {
		h.cfg.Log.Warn("server does not stop", "server", id, "error", err)
	}
	if err := h.cfg.Engine.Remove(ctx, name); err != nil {
		return fmt.Errorf("cannot stop server %s: %w", id, err)
	}
	h.mu.Lock()
	if h.starts[id] == s {
		delete(h.starts, id)
	}
	h.mu.Unlock()
	return h.clearPlace(id)
}

func (h *Hub) clearPlace(id string) error {
	return firstError(os.RemoveAll(h.paths.place(id)), os.RemoveAll(h.paths.own(id)))
}

func (h *Hub) stopRole(ctx context.Context, role string) error {
	cs, err := h.cfg.Engine.List(ctx, h.label(role))
	if err != nil {
		return fmt.Errorf("cannot list containers: %w", err)
	}
	var ids []string
	for _, c := range cs {
		ids = append(ids, c.ID)
	}
	return each(ids, func(id string) error {
		return firstError(h.cfg.Engine.Stop(ctx, id, stopGrace), h.cfg.Engine.Remove(ctx, id))
	})
}

// each calls f for all ids at once and gives the first error, by order of ids.
func each(ids []string, f func(string) error) error {
	errs := make([]error, len(ids))
	done := make(chan struct{})
	for i, id := range ids {
		go func() {
			errs[i] = f(id)
			done <- struct{}{}
		}()
	}
	for range ids {
		<-done
	}
	return firstError(errs...)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// running tells whether a server's container is up.
func (h *Hub) running(ctx context.Context, id string) (engine.Container, bool, error) {
	c, err := h.cfg.Engine.Inspect(ctx, h.containerName(id))
	if isNotFound(err) {
		return c, false, nil
	}
	if err != nil {
		return c, false, fmt.Errorf("cannot look at server %s: %w", id, err)
	}
	return c, c.State == "running", nil
}
