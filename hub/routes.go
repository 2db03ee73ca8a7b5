package hub

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
)

// routes is a proxy API that only remembers: a hub starts when it has one. The
// format is configurable-http-proxy's REST API.
type routes struct {
	token []byte
	mu    sync.Mutex
	all   map[string]json.RawMessage
}

func newRoutes(token string) *routes {
	return &routes{token: []byte("token " + token), all: map[string]json.RawMessage{}}
}

// ServeHTTP answers GET, POST and DELETE of /api/routes/...
func (t *routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), t.token) != 1 {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/api/routes")
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	path = "/" + strings.Trim(path, "/")
	switch r.Method {
	case http.MethodGet:
		reply(w, http.StatusOK, t.all)
	case http.MethodPost:
		var v json.RawMessage
		if json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&v) != nil || len(t.all) >= 1000 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		t.all[path] = v
		w.WriteHeader(http.StatusCreated)
	case http.MethodDelete:
		delete(t.all, path)
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}
