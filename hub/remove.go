package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Remove puts a user out: their servers stop and their tokens end, in the hub and in
// the engine. Their browsers' sessions end by the hub's next question, which is at
// most two seconds away. Home, UID and the hub's record of them stay. It is to be
// called after the roster has changed. Open connections are the proxy's to close.
func (h *Hub) Remove(ctx context.Context, user string) error {
	revoked := make(chan error, 1)
	go func() { revoked <- h.revoke(ctx, user) }()
	stopped := h.StopUser(ctx, user)
	if err := <-revoked; err != nil {
		// Without a hub nobody can use a token; the roster stands when it is back.
		h.cfg.Log.Warn("the hub did not end a removed user's tokens", "user", user, "error", err)
	}
	return stopped
}

// revoke ends a user's servers and tokens in the hub's records.
func (h *Hub) revoke(ctx context.Context, user string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	base := "/hub/api/users/" + url.PathEscape(user)
	var known struct {
		Servers map[string]struct{} `json:"servers"`
	}
	if err := h.api(ctx, http.MethodGet, base, &known); err != nil {
		if errors.Is(err, errUnknown) {
			return nil // never logged in
		}
		return err
	}
	var errs []error
	var tokens struct {
		APITokens []struct {
			ID string `json:"id"`
		} `json:"api_tokens"`
	}
	errs = append(errs, h.api(ctx, http.MethodGet, base+"/tokens", &tokens))
	for _, t := range tokens.APITokens {
		errs = append(errs, known404(h.api(ctx, http.MethodDelete, base+"/tokens/"+url.PathEscape(t.ID), nil)))
	}
	for name := range known.Servers {
		path := base + "/server"
		if name != "" {
			path = base + "/servers/" + url.PathEscape(name)
		}
		errs = append(errs, known404(h.api(ctx, http.MethodDelete, path, nil)))
	}
	return errors.Join(errs...)
}

// errUnknown is the hub's 404.
var errUnknown = errors.New("the hub does not know it")

// hubRefusal is an answer of the hub that is neither good nor 404.
type hubRefusal struct {
	status   int
	question string
}

func (e *hubRefusal) Error() string {
	return fmt.Sprintf("cannot ask the hub: %s: %d %s", e.question, e.status, http.StatusText(e.status))
}

func known404(err error) error {
	if errors.Is(err, errUnknown) {
		return nil
	}
	return err
}

// api asks the hub's REST API as the service conjured.
func (h *Hub) api(ctx context.Context, method, path string, answer any) error {
	r, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, nil)
	if err != nil {
		return fmt.Errorf("cannot ask the hub: %w", err)
	}
	r.Header.Set("Authorization", "token "+h.secrets.Service)
	resp, err := over(h.paths.hubSock(), 0).Do(r)
	if err != nil {
		return fmt.Errorf("cannot ask the hub: %w", err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return errUnknown
	case resp.StatusCode >= 300:
		return &hubRefusal{resp.StatusCode, method + " " + path}
	case answer == nil:
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 4<<20)).Decode(answer); err != nil {
		return fmt.Errorf("cannot read the hub's answer: %w", err)
	}
	return nil
}
