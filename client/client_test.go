package client

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// daemon serves h where the returned client looks.
func daemon(t *testing.T, h http.Handler) *Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "cl")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "api.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h}
	go func() { _ = srv.Serve(l) }()
	c := New(socket)
	t.Cleanup(func() { c.Close(); _ = srv.Close(); _ = os.RemoveAll(dir) })
	return c
}

func TestClient_calls(t *testing.T) {
	want := api.Result{ID: "a/b", Serving: true, Notices: []notice.Notice{{What: "w"}}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/applied/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") == "a/b" {
			_ = json.NewEncoder(w).Encode(want)
		}
	})
	mux.HandleFunc("POST /v1/users/{name}/password", func(w http.ResponseWriter, r *http.Request) {
		var p api.Password
		_ = json.NewDecoder(r.Body).Decode(&p)
		p.Password = r.PathValue("name") + "+" + p.Password
		_ = json.NewEncoder(w).Encode(p)
	})
	c := daemon(t, mux)
	got, err := c.Applied(t.Context(), "a/b")
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(d, err)
	}
	if p, err := c.SetPassword(t.Context(), "é é", "x"); p != "é é+x" || err != nil {
		t.Errorf("%q %v", p, err)
	}
}

// A refusal comes back as the notices that the daemon sent.
func TestClient_refusal(t *testing.T) {
	want := notice.List{{Code: "c", Severity: notice.SeverityError, What: "w", Means: "m", Do: "d"}}
	c := daemon(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(422)
		_ = json.NewEncoder(w).Encode(api.Problem{Notices: want})
	}))
	_, err := c.Apply(t.Context(), "/x")
	if d := cmp.Diff(want, notice.For(err)); d != "" {
		t.Error(d)
	}
}

func TestClient_notRunning(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "none.sock")
	refused := filepath.Join(t.TempDir(), "r.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: refused})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	for _, socket := range []string{gone, refused} {
		if _, err := New(socket).Status(t.Context()); !errors.Is(err, ErrNotRunning) || notice.For(err)[0].Code != "daemon-not-running" {
			t.Errorf("%s: %v", socket, err)
		}
	}
}

func TestClient_events(t *testing.T) {
	c := daemon(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(progress.Event{Job: "image", Step: "one"})
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var steps []string
	var last error
	for e, err := range c.Events(ctx) {
		if last = err; err == nil {
			steps = append(steps, e.Step)
			cancel()
		}
	}
	if len(steps) != 1 || !errors.Is(last, context.Canceled) {
		t.Errorf("%v, %v", steps, last)
	}
}
