package gateway

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// NewRoutesAPI serves the REST API of configurable-http-proxy over the table t,
// as JupyterHub drives it: GET, POST and DELETE below /api/routes. Whoever calls
// must send "Authorization: token X" with the given token; an empty token lets
// nobody in.
//
// It differs from the original in checking the token before it reads a body, in
// answering 409 for a path that is reserved, in refusing a target that nothing can be
// sent to, and in limits on sizes.
func NewRoutesAPI(t *Routes, token string) http.Handler { return &routesAPI{t, token, false} }

// NewOpenRoutesAPI is NewRoutesAPI for whoever can reach it, without a token: on a
// unix socket the directory says who can.
func NewOpenRoutesAPI(t *Routes) http.Handler { return &routesAPI{t, "", true} }

type routesAPI struct {
	table *Routes
	token string
	open  bool
}

var (
	tokenHeader = regexp.MustCompile(`token\s+(\S+)`) // lib/configproxy.js: anywhere in the header
	isoLayouts  = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02", "2006-01", "2006"}
)

func (a *routesAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(spelt(r.URL), "/api/routes")
	switch {
	case !ok || (path != "" && path[0] != '/'):
		answer(w, http.StatusNotFound, http.StatusText(http.StatusNotFound))
		return
	case r.Method != http.MethodGet && r.Method != http.MethodPost && r.Method != http.MethodDelete:
		w.Header().Set("Allow", "GET, POST, DELETE")
		answer(w, http.StatusMethodNotAllowed, "Method not supported")
		return
	case !a.open && !a.knows(r.Header.Get("Authorization")):
		w.WriteHeader(http.StatusForbidden)
		return
	}
	switch r.Method {
	case http.MethodGet:
		a.get(w, r, path)
	case http.MethodPost:
		a.post(w, r, path)
	case http.MethodDelete:
		status := http.StatusNotFound
		if a.table.Delete(path) {
			status = http.StatusNoContent
		}
		w.WriteHeader(status)
	}
}

func (a *routesAPI) knows(header string) bool {
	m := tokenHeader.FindStringSubmatch(header)
	return m != nil && a.token != "" && subtle.ConstantTimeCompare([]byte(m[1]), []byte(a.token)) == 1
}

func (a *routesAPI) get(w http.ResponseWriter, r *http.Request, path string) {
	if key(path) != "" {
		route, ok := a.table.Get(path)
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		answerJSON(w, http.StatusOK, route.withActivity())
		return
	}
	before, err := inactiveSince(r)
	if err != nil {
		answer(w, http.StatusBadRequest, err.Error())
		return
	}
	all := map[string]map[string]json.RawMessage{}
	for route := range a.table.All() {
		if before.IsZero() || route.LastActivity.Before(before) {
			all[route.Path] = route.withActivity()
		}
	}
	answerJSON(w, http.StatusOK, all)
}

// inactiveSince is the query's limit on the last activity, zero without one.
func inactiveSince(r *http.Request) (time.Time, error) {
	q := r.URL.Query()
	s := q.Get("inactiveSince")
	if s == "" {
		s = q.Get("inactive_since")
	}
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range isoLayouts {
		if t, err := time.Parse(layout, strings.Replace(s, " ", "+", 1)); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errors.New("Invalid datestamp '" + s + "' must be ISO8601.")
}

func (a *routesAPI) post(w http.ResponseWriter, r *http.Request, path string) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRouteData))
	if err != nil {
		answer(w, http.StatusRequestEntityTooLarge, "Body too large")
		return
	}
	var data map[string]json.RawMessage
	if err := json.Unmarshal(body, &data); err != nil {
		answer(w, http.StatusBadRequest, "Body not valid JSON: "+err.Error())
		return
	}
	switch err := a.table.Add(path, data); {
	case err == nil:
		w.WriteHeader(http.StatusCreated)
	case errors.Is(err, ErrReserved):
		answer(w, http.StatusConflict, err.Error())
	case errors.Is(err, ErrTooMany):
		answer(w, http.StatusInsufficientStorage, err.Error())
	case errors.Is(err, ErrNoTarget):
		answer(w, http.StatusBadRequest, "Must specify 'target' as string")
	default:
		answer(w, http.StatusBadRequest, err.Error())
	}
}

// answer writes a status and a line of plain text.
func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// answerJSON writes a status and v.
func answerJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		answer(w, http.StatusInternalServerError, "cannot encode the answer")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}
