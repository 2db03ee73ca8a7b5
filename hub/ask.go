package hub

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/conjuring/conjured/notice"
)

// The hub's questions. Each request carries the token in Authorization.
//
//	POST   /v1/auth                {user, password, address} -> {name, admin, mark}, 403 {message} or 429 {message, wait}
//	GET    /v1/accounts/{name}     -> {name, admin, mark} or 404
//	POST   /v1/servers             {user, server, env} -> {id, url, state, token}
//	GET    /v1/servers/{id}        -> {id, state, code, message}
//	GET    /v1/servers/{id}/events -> one JSON event a line, until the start ends
//	POST   /v1/servers/{id}/watched -> 204: somebody sits before the page and waits
//	DELETE /v1/servers/{id}        -> 204 when it is gone
const maxQuestion = 256 << 10 // bytes

type startRequest struct {
	User   string            `json:"user"`
	Server string            `json:"server"`
	Env    map[string]string `json:"env"`
	Waited float64           `json:"waited"` // seconds since it was first asked for; a daemon that died forgot
}

// waited is at most a quarter of an hour.
func (q startRequest) waited() time.Duration {
	return time.Duration(min(max(q.Waited, 0), 900) * float64(time.Second))
}

type serverAnswer struct {
	ID      string `json:"id"`
	URL     string `json:"url"`
	State   string `json:"state"`
	Code    int    `json:"code,omitempty"`    // exit code, when it has ended
	Message string `json:"message,omitempty"` // why it has ended
	Token   string `json:"token,omitempty"`   // what a server that was found running was started with
}

type accountAnswer struct {
	Name  string `json:"name"`
	Admin bool   `json:"admin"`
	Mark  string `json:"mark,omitempty"`
}

type refusal struct {
	Message string `json:"message"`
}

func (h *Hub) askHandler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("POST /v1/auth", h.answerAuth)
	m.HandleFunc("GET /v1/accounts/{name}", h.answerAccount)
	m.HandleFunc("POST /v1/servers", h.answerStart)
	m.HandleFunc("GET /v1/servers/{id}", h.answerState)
	m.HandleFunc("GET /v1/servers/{id}/events", h.answerEvents)
	m.HandleFunc("POST /v1/servers/{id}/watched", h.answerWatched)
	m.HandleFunc("DELETE /v1/servers/{id}", h.answerStop)
	want := []byte("token " + h.secrets.Ask)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			reply(w, http.StatusUnauthorized, refusal{"the token is missing or not the one of this run"})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxQuestion)
		m.ServeHTTP(w, r)
	})
}

func (h *Hub) answerAuth(w http.ResponseWriter, r *http.Request) {
	var q struct{ User, Password, Address string }
	if !read(w, r, &q) {
		return
	}
	a, err := h.cfg.Users.Authenticate(r.Context(), q.User, q.Password, q.Address)
	if err != nil {
		var n *notice.Error
		if !errors.As(err, &n) {
			h.cfg.Log.Error("login could not be checked", "error", err)
			reply(w, http.StatusInternalServerError, refusal{"The login could not be checked. Try again in a moment."})
			return
		}
		refuseLogin(w, err, sentences(n.What, n.Do))
		return
	}
	h.present(a.Name)
	reply(w, http.StatusOK, accountAnswer{a.Name, a.Admin, a.Mark})
}

// refuseLogin says why, and for a login that was not looked at how long to wait.
func refuseLogin(w http.ResponseWriter, err error, why string) {
	var later interface{ RetryAfter() time.Duration }
	if !errors.As(err, &later) {
		reply(w, http.StatusForbidden, refusal{why})
		return
	}
	reply(w, http.StatusTooManyRequests, struct {
		refusal
		Wait int `json:"wait"` // seconds
	}{refusal{why}, int(math.Ceil(later.RetryAfter().Seconds()))})
}

// sentences joins texts that have no full stop of their own.
func sentences(texts ...string) string {
	var b strings.Builder
	for _, t := range texts {
		t = strings.TrimRight(strings.TrimSpace(t), ".")
		if t == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strings.ToUpper(t[:1]) + t[1:] + ".")
	}
	return b.String()
}

func (h *Hub) answerAccount(w http.ResponseWriter, r *http.Request) {
	a, ok := h.cfg.Users.Lookup(r.PathValue("name"))
	if !ok {
		reply(w, http.StatusNotFound, refusal{"nobody of that name is on the roster"})
		return
	}
	if !h.askedFor(a.Name) {
		h.used(a.Name) // JupyterHub asks when they do something in it
	}
	reply(w, http.StatusOK, accountAnswer{a.Name, a.Admin, a.Mark})
}

func (h *Hub) answerStart(w http.ResponseWriter, r *http.Request) {
	var q startRequest
	if !read(w, r, &q) {
		return
	}
	if err := q.check(); err != nil {
		reply(w, http.StatusBadRequest, refusal{err.Error()})
		return
	}
	a, ok := h.cfg.Users.Lookup(q.User)
	if !ok {
		reply(w, http.StatusForbidden, refusal{fmt.Sprintf("%s is no longer on the roster.", q.User)})
		return
	}
	id := serverID(q.User, q.Server)
	ans := serverAnswer{ID: id, URL: h.paths.target(h.paths.sock(id))}
	if tok, ok := h.adopt(r.Context(), id); ok {
		ans.State, ans.Token = ready, tok
		h.foundRunning(id)
		reply(w, http.StatusOK, ans)
		return
	}
	s, err := h.begin(q, a)
	if err != nil {
		reply(w, http.StatusServiceUnavailable, refusal{sentences(err.Error(), "try again in a moment")})
		return
	}
	ans.State = s.last().State
	ans.Token = s.ask.Env["JUPYTERHUB_API_TOKEN"]
	reply(w, http.StatusAccepted, ans)
}

// adopt finds a server that already runs and the token it was started with: a hub
// that lost its memory goes on with it, and the student's kernels live.
func (h *Hub) adopt(ctx context.Context, id string) (token string, ok bool) {
	h.mu.Lock()
	s := h.starts[id]
	h.mu.Unlock()
	if s != nil {
		if e, over := s.outcome(); !over || e.State != ready {
			return "", false
		}
	}
	if _, up, err := h.running(ctx, id); err != nil || !up {
		return "", false
	}
	b, err := os.ReadFile(filepath.Join(h.paths.own(id), "token"))
	if err != nil || len(b) == 0 {
		return "", false // a new token would lock the student out of it
	}
	return string(b), true
}

var (
	envName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	serverName = regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)
	ownedEnv   = regexp.MustCompile(`^(PATH|HOME|SHELL|USER|LOGNAME|VIRTUAL_ENV|LD_.*|PYTHON.*|JUPYTER_(PATH|RUNTIME_DIR|CONFIG_DIR))$`)
)

// check bounds what the hub may ask for. The environment is the only part that
// reaches the container as it was sent.
func (q startRequest) check() error {
	size := 0
	for k, v := range q.Env {
		size += len(k) + len(v)
		if !envName.MatchString(k) || ownedEnv.MatchString(k) || strings.ContainsRune(v, 0) {
			return fmt.Errorf("the environment may not set %q", k)
		}
	}
	prefix := q.Env["JUPYTERHUB_SERVICE_PREFIX"]
	switch {
	case q.User == "" || len(q.User) > 255:
		return errors.New("no user")
	case !serverName.MatchString(q.Server):
		return errors.New("the server's name has characters that do not fit")
	case len(q.Env) > 200 || size > maxQuestion/2:
		return errors.New("the environment is too large")
	case !strings.HasPrefix(prefix, "/user/") || !strings.HasSuffix(prefix, "/"):
		return errors.New("no JUPYTERHUB_SERVICE_PREFIX")
	}
	return nil
}

func (h *Hub) answerState(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	h.mu.Lock()
	s := h.starts[id]
	h.mu.Unlock()
	if s != nil {
		e, over := s.outcome()
		if !over {
			reply(w, http.StatusOK, serverAnswer{ID: id, State: s.last().State})
			return
		}
		if e.State == failed {
			reply(w, http.StatusOK, serverAnswer{ID: id, State: failed, Code: 1, Message: e.Message})
			return
		}
	}
	if !placeName.MatchString(id) {
		reply(w, http.StatusNotFound, refusal{"no such server"})
		return
	}
	c, up, err := h.running(r.Context(), id)
	switch {
	case err != nil:
		h.cfg.Log.Warn("cannot look at a server", "server", id, "error", err)
		reply(w, http.StatusServiceUnavailable, refusal{"the servers can't be seen now"})
	case up:
		reply(w, http.StatusOK, serverAnswer{ID: id, URL: h.paths.target(h.paths.sock(id)), State: ready})
	case c.ID == "":
		reply(w, http.StatusOK, serverAnswer{ID: id, State: "gone"})
	default:
		reply(w, http.StatusOK, serverAnswer{ID: id, State: "gone", Code: c.ExitCode, Message: h.whyEnded(r.Context(), id, c).Error()})
	}
}

var placeName = regexp.MustCompile(`^[0-9a-f]{12}$`)

func (h *Hub) answerEvents(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	h.mu.Lock()
	s := h.starts[id]
	h.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	if s == nil {
		e := event{State: failed, Message: "Your server was stopped."}
		if _, up, err := h.running(r.Context(), id); err == nil && up && placeName.MatchString(id) {
			e = event{State: ready, Message: "Your server is ready.", Progress: 100}
		}
		_ = enc.Encode(e) // a hub that went away asks again
		return
	}
	flush := http.NewResponseController(w)
	for n := 0; ; {
		l, more := s.since(n)
		for _, e := range l {
			if enc.Encode(e) != nil || e.State == ready || e.State == failed {
				return
			}
		}
		n += len(l)
		if flush.Flush() != nil {
			return
		}
		select {
		case <-more:
		case <-r.Context().Done():
			return
		}
	}
}

func (h *Hub) answerStop(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if !placeName.MatchString(id) {
		reply(w, http.StatusNotFound, refusal{"no such server"})
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 30*time.Second)
	defer cancel()
	if err := h.stopServer(ctx, id); err != nil {
		h.cfg.Log.Warn("server did not stop", "server", id, "error", err)
		reply(w, http.StatusServiceUnavailable, refusal{"the server can't be stopped now"})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func read(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, more := d.Token(); more == io.EOF {
			return true
		}
	}
	reply(w, http.StatusBadRequest, refusal{"the question is not what was expected"})
	return false
}

func reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // whoever asked has gone
}
