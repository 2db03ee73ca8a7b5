// Package sessiontest is a hub for tests: as much of JupyterHub's OAuth as a browser
// and our pages see of it, in this process.
package sessiontest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
)

// Secret is what the fake hub knows the pages by.
const Secret = "the secret of the pages"

// Hub answers what JupyterHub answers, for /hub/ of a test's server and for the
// daemon's own questions.
type Hub struct {
	mu     sync.Mutex
	away   bool
	n      int
	codes  map[string]grant
	tokens map[string]grant
	asked  int // times that a token was looked up
}

type grant struct{ user, session, challenge string }

// New makes a hub that nobody is logged in at.
func New() *Hub { return &Hub{codes: map[string]grant{}, tokens: map[string]grant{}} }

// SetAway makes the hub fail all questions, as while it is being restarted, or not.
func (h *Hub) SetAway(away bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.away = away
}

// Logout takes back what a user was given, as JupyterHub does at logout.
func (h *Hub) Logout(user string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for t, g := range h.tokens {
		if g.user == user {
			delete(h.tokens, t)
		}
	}
}

// Asked is how often the hub was asked whose a token is.
func (h *Hub) Asked() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked
}

// Client asks this hub, as the daemon does over the socket.
func (h *Hub) Client() *http.Client {
	return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		h.mu.Lock()
		away := h.away
		h.mu.Unlock()
		if away {
			return nil, fmt.Errorf("connection refused")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result(), nil
	})}
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip calls the function.
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// ServeHTTP answers GET /hub/login?user=NAME, which logs in, and the pages of OAuth.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.away:
		w.WriteHeader(http.StatusServiceUnavailable)
	case r.URL.Path == "/hub/login":
		http.SetCookie(w, &http.Cookie{Name: "hub", Value: r.FormValue("user"), Path: "/hub/"})
		fmt.Fprint(w, "logged in")
	case r.URL.Path == "/hub/api/oauth2/authorize":
		h.authorize(w, r)
	case r.URL.Path == "/hub/api/oauth2/token" && r.Method == http.MethodPost:
		h.token(w, r)
	case r.URL.Path == "/hub/api/user":
		h.user(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (h *Hub) authorize(w http.ResponseWriter, r *http.Request) {
	c, err := r.Cookie("hub")
	if err != nil || c.Value == "" {
		http.Error(w, "the login form", http.StatusUnauthorized)
		return
	}
	q := r.URL.Query()
	if q.Get("client_id") != "service-conjured-desk" || q.Get("redirect_uri") != "/conjured/oauth_callback" ||
		q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 || q.Get("response_type") != "code" {
		http.Error(w, "not a client", http.StatusBadRequest)
		return
	}
	h.n++
	code := fmt.Sprintf("code%d", h.n)
	h.codes[code] = grant{c.Value, "session of " + c.Value, q.Get("code_challenge")}
	http.Redirect(w, r, "/conjured/oauth_callback?"+url.Values{"code": {code}, "state": {q.Get("state")}}.Encode(), http.StatusFound)
}

func (h *Hub) token(w http.ResponseWriter, r *http.Request) {
	code := r.FormValue("code")
	g, ok := h.codes[code]
	delete(h.codes, code) // once
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if !ok || r.FormValue("client_secret") != Secret || base64.RawURLEncoding.EncodeToString(sum[:]) != g.challenge {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	h.n++
	t := fmt.Sprintf("token%d", h.n)
	h.tokens[t] = g
	_ = json.NewEncoder(w).Encode(map[string]string{"access_token": t, "token_type": "Bearer"})
}

func (h *Hub) user(w http.ResponseWriter, r *http.Request) {
	h.asked++
	var t string
	_, _ = fmt.Sscanf(r.Header.Get("Authorization"), "token %s", &t)
	g, ok := h.tokens[t]
	if !ok {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"kind": "user", "name": g.user, "session_id": g.session,
		"scopes": []string{"access:services!service=conjured-desk", "read:users:name!user=" + g.user},
	})
}
