package hub

import (
	"context"
	"errors"
	"net/http"
	"net/url"
)

// Client reaches the hub over its socket, whatever host a URL names. It follows no
// redirect and opens the socket anew each time, through no link.
func (h *Hub) Client() *http.Client { return over(h.paths.hubSock(), 0) }

// DeskSecret is what the hub knows our own pages by, as a client of its OAuth. It
// stays the same over restarts of the daemon.
func (h *Hub) DeskSecret() string { return h.secrets.Desk }

// EndLogins takes back what the hub gave a person's browsers, except what belongs to
// the login keep ("" keeps none). What their own server was started with stays.
func (h *Hub) EndLogins(ctx context.Context, user, keep string) error {
	base := "/hub/api/users/" + url.PathEscape(user) + "/tokens"
	var tokens struct {
		APITokens []struct {
			ID      string `json:"id"`
			Session string `json:"session_id"`
		} `json:"api_tokens"`
	}
	if err := h.api(ctx, http.MethodGet, base, &tokens); err != nil {
		return known404(err) // never logged in
	}
	var errs []error
	for _, t := range tokens.APITokens {
		if t.Session != "" && t.Session != keep {
			errs = append(errs, known404(h.api(ctx, http.MethodDelete, base+"/"+url.PathEscape(t.ID), nil)))
		}
	}
	return errors.Join(errs...)
}

// Places tells who waits for their first server, with their number in the queue: 1 is
// next.
func (h *Hub) Places() map[string]int {
	h.queue.mu.Lock()
	defer h.queue.mu.Unlock()
	places := map[string]int{}
	for i, t := range h.queue.waiting {
		if t.nth == 0 {
			places[t.user] = i + 1
		}
	}
	return places
}
