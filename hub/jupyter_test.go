package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/conjuring/conjured/progress"
)

// fakeJupyter answers as JupyterHub's REST API does, and asks the daemon for servers
// as our spawner does: until it has an answer, whatever dies meanwhile.
type fakeJupyter struct {
	c *fakeClass
	http.Handler

	mu     sync.Mutex
	users  map[string]map[string]known
	routes map[string]time.Time // by user: when something moved last
	failed map[string]string
}

// newLessonClass is a fake class with a JupyterHub that has users and servers.
func newLessonClass(t *testing.T, change func(*Config)) (*fakeClass, *fakeJupyter) {
	t.Helper()
	c := newFakeClass(t)
	j := &fakeJupyter{c: c, users: map[string]map[string]known{}, routes: map[string]time.Time{}, failed: map[string]string{}}
	m := http.NewServeMux()
	m.HandleFunc("GET /hub/health", func(http.ResponseWriter, *http.Request) {})
	m.HandleFunc("GET /hub/api/users", j.list)
	m.HandleFunc("GET /hub/api/users/{name}", j.get)
	m.HandleFunc("POST /hub/api/users/{name}", j.create)
	m.HandleFunc("POST /hub/api/users/{name}/server", j.post)
	m.HandleFunc("DELETE /hub/api/users/{name}/server", j.delete)
	j.Handler, c.engine.hub = m, j
	c.cfg.Lesson.Activity = j.activity
	c.cfg.Lesson.Memory = func() (int64, int64, error) { return 64 * gib, 64 * gib, nil }
	if change != nil {
		change(&c.cfg)
	}
	c.again(t)
	if _, err := c.Deploy(t.Context(), c.spec(t, "f"), progress.Discard); err != nil {
		t.Fatal(err)
	}
	return c, j
}

// again makes the hub that a new daemon has.
func (c *fakeClass) again(t *testing.T) {
	t.Helper()
	h, err := New(c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.SetClass(Class{Image: "sha256:system"})
	c.Hub = h
}

func (j *fakeJupyter) activity(user, _ string) time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.routes[user]
}

func (j *fakeJupyter) list(w http.ResponseWriter, _ *http.Request) {
	j.mu.Lock()
	defer j.mu.Unlock()
	l := []any{}
	for name, s := range j.users {
		l = append(l, map[string]any{"name": name, "servers": s})
	}
	reply(w, http.StatusOK, l)
}

func (j *fakeJupyter) get(w http.ResponseWriter, r *http.Request) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s, ok := j.users[r.PathValue("name")]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	reply(w, http.StatusOK, map[string]any{"servers": s})
}

func (j *fakeJupyter) create(w http.ResponseWriter, r *http.Request) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if name := r.PathValue("name"); j.users[name] == nil {
		j.users[name] = map[string]known{}
		w.WriteHeader(http.StatusCreated)
		return
	}
	w.WriteHeader(http.StatusConflict)
}

func (j *fakeJupyter) post(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	j.mu.Lock()
	defer j.mu.Unlock()
	if s := j.users[name][""]; s.Ready {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	j.users[name][""] = known{Pending: "spawn"}
	go j.spawn(name)
	w.WriteHeader(http.StatusAccepted)
}

func (j *fakeJupyter) delete(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	j.mu.Lock()
	delete(j.users[name], "")
	delete(j.routes, name)
	j.mu.Unlock()
	r, err := jsonRequest(http.MethodDelete, "/v1/servers/"+serverID(name, ""), nil, j.c.secrets.Ask)
	if err != nil {
		panic(err)
	}
	if resp, err := over(j.c.paths.askSock(), 0).Do(r); err == nil {
		resp.Body.Close()
	}
	w.WriteHeader(http.StatusNoContent)
}

// spawn is the spawner's start.
func (j *fakeJupyter) spawn(name string) {
	began := time.Now()
	for {
		last, err := j.try(name, time.Since(began))
		if err != nil {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		j.mu.Lock()
		defer j.mu.Unlock()
		if last.State == failed {
			j.failed[name] = last.Message
			delete(j.users[name], "")
			return
		}
		j.users[name][""], j.routes[name] = known{Ready: true}, time.Now()
		return
	}
}

// try asks once and follows; an error means that the daemon is away.
func (j *fakeJupyter) try(name string, waited time.Duration) (event, error) {
	q := ask(name)
	q.Waited = waited.Seconds()
	for _, step := range []string{"start", "events"} {
		method, path, body := http.MethodPost, "/v1/servers", any(q)
		if step == "events" {
			method, path, body = http.MethodGet, "/v1/servers/"+serverID(name, "")+"/events", nil
		}
		r, err := jsonRequest(method, path, body, j.c.secrets.Ask)
		if err != nil {
			return event{}, err
		}
		resp, err := over(j.c.paths.askSock(), 0).Do(r)
		if err != nil {
			return event{}, err
		}
		defer resp.Body.Close()
		if resp.StatusCode >= 500 {
			return event{}, errors.New(resp.Status)
		}
		if step == "start" {
			continue
		}
		for d := json.NewDecoder(resp.Body); ; {
			var e event
			if err := d.Decode(&e); err != nil {
				return e, err
			}
			if e.State == ready || e.State == failed {
				return e, nil
			}
		}
	}
	return event{}, fmt.Errorf("no events")
}

func (j *fakeJupyter) isReady(users ...string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, u := range users {
		if !j.users[u][""].Ready {
			return false
		}
	}
	return true
}

func (j *fakeJupyter) login(t *testing.T, user string) {
	t.Helper()
	if code, body := j.c.question(t, "POST", "/v1/auth", map[string]string{"user": user, "password": "pw-" + user}); code != http.StatusOK {
		t.Fatal(body)
	}
}
