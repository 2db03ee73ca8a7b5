package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Servers are ordered from JupyterHub, which then asks us for them as for any other.

// insist asks JupyterHub for a user's server, also of one that is restarted meanwhile.
func (h *Hub) insist(ctx context.Context, user string) error {
	for range 5 {
		err := h.StartServer(ctx, user, "")
		var no *hubRefusal
		if err == nil || errors.As(err, &no) || errors.Is(err, ErrNotOnRoster) || !pause(ctx, time.Second) || !h.awaitClass(ctx) {
			return err
		}
	}
	return errors.New("JupyterHub does not answer")
}

// StartServer asks JupyterHub to start a server, as if its student had. It returns
// when JupyterHub has begun to, or when the server is there already.
func (h *Hub) StartServer(ctx context.Context, user, server string) error {
	if _, ok := h.cfg.Users.Lookup(user); !ok {
		return fmt.Errorf("%w: %s", ErrNotOnRoster, user)
	}
	h.noteAsked(user)
	base := "/hub/api/users/" + url.PathEscape(user)
	var no *hubRefusal
	if err := h.api(ctx, http.MethodPost, base, nil); err != nil && !(errors.As(err, &no) && no.status == http.StatusConflict) {
		return err
	}
	err := h.api(ctx, http.MethodPost, serverPath(base, server), nil)
	if errors.As(err, &no) && no.status == http.StatusBadRequest {
		return nil // it runs, or is on its way up or down
	}
	return err
}

// StopServer stops a server through JupyterHub, which takes its route away first and
// then asks us; it returns when the container is gone. Without JupyterHub, or where it
// knows of none, the container is stopped all the same.
func (h *Hub) StopServer(ctx context.Context, user, server string) error {
	id := serverID(user, server)
	err := h.api(ctx, http.MethodDelete, serverPath("/hub/api/users/"+url.PathEscape(user), server), nil)
	if err != nil && !errors.Is(err, errUnknown) {
		h.cfg.Log.Warn("JupyterHub did not stop a server", "user", user, "error", err)
	}
	if err == nil {
		// It may have answered before it was done. Nothing is stopped a second time: the
		// student may be starting it again already.
		for range 100 {
			c, up, err := h.running(ctx, id)
			switch {
			case err != nil || c.ID == "" || h.coming(id):
				return err
			case !up && !h.underWay(id):
				return h.stopServer(ctx, id) // it had ended by itself
			}
			if !pause(ctx, 100*time.Millisecond) {
				return ctx.Err()
			}
		}
	}
	return h.stopServer(ctx, id)
}

func serverPath(base, server string) string {
	if server == "" {
		return base + "/server"
	}
	return base + "/servers/" + url.PathEscape(server)
}

// retire stops the servers with the given ids.
func (h *Hub) retire(ctx context.Context, servers []Server, ids []string) error {
	of := map[string]Server{}
	for _, s := range servers {
		of[s.ID] = s
	}
	return each(ids, func(id string) error { return h.StopServer(ctx, of[id].User, of[id].Name) })
}
