package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/notice"
)

// fakeEnvs knows the environment geo, and works on reset until it is given up.
type fakeEnvs struct{ begun, ended chan struct{} }

func (fakeEnvs) Environments(context.Context) ([]api.Environment, error) {
	return []api.Environment{{Name: "geo", Label: "current", Waiting: &api.EnvWaiting{Generation: 2}}}, nil
}

func (f fakeEnvs) EnvVerb(ctx context.Context, v api.EnvVerb, q api.EnvRequest) (api.EnvReply, error) {
	switch {
	case v == api.EnvReset:
		close(f.begun)
		<-ctx.Done()
		close(f.ended)
		return api.EnvReply{}, ctx.Err()
	case len(q.Names) > 0 && q.Names[0] != "geo":
		return api.EnvReply{}, errors.Join(ErrUnknown, &notice.Error{Notice: notice.Notice{Code: "env-unknown", What: "no such environment"}})
	case v == api.EnvGC:
		return api.EnvReply{}, &notice.Error{Notice: notice.Notice{Code: "later", What: "not in a lesson"}}
	case v == api.EnvRepair:
		return api.EnvReply{}, nil
	}
	return api.EnvReply{Outcomes: []api.EnvOutcome{{Env: "geo", Did: api.EnvFailed}}}, nil
}

func TestEnvAPI(t *testing.T) {
	whole := Daemon{Environments: fakeEnvs{}}
	for _, c := range []struct {
		daemon             Daemon
		method, path, body string
		status             int
		want               string
	}{
		{whole, "GET", api.PathEnvironments, "", 200, `"waiting":{"generation":2`},
		{whole, "POST", api.EnvPath(api.EnvPromote), `{"names":["geo"]}`, 200, `"did":"failed"`},
		{whole, "POST", api.EnvPath(api.EnvPromote), `{"names":["geology"]}`, 404, "env-unknown"},
		{whole, "POST", api.EnvPath(api.EnvGC), `{}`, 422, "later"},
		{whole, "POST", api.EnvPath(api.EnvRepair), `{}`, 200, `"outcomes":[]`},
		{whole, "POST", api.EnvPath(api.EnvPromote), `{"names":`, 400, "api-bad-request"},
		{whole, "POST", api.EnvPath(api.EnvPromote), `{"names":["` + strings.Repeat("x", maxRequest) + `"]}`, 400, "api-bad-request"},
		{whole, "GET", api.EnvPath(api.EnvPromote), "", 405, ""},
		{Daemon{}, "POST", api.EnvPath(api.EnvPromote), `{}`, 501, "api-missing-part"},
		{Daemon{}, "GET", api.PathEnvironments, "", 501, "api-missing-part"},
	} {
		w := httptest.NewRecorder()
		NewDaemonAPI(c.daemon).ServeHTTP(w, httptest.NewRequest(c.method, c.path, strings.NewReader(c.body)))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s %.40s: %d %.200s", c.method, c.path, c.body, w.Code, w.Body)
		}
		if w.Code == http.StatusOK && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %s is no JSON", c.method, c.path)
		}
	}
}

// Who goes away takes the work with them.
func TestEnvAPI_givenUp(t *testing.T) {
	f := fakeEnvs{make(chan struct{}), make(chan struct{})}
	srv := httptest.NewServer(NewDaemonAPI(Daemon{Environments: f}))
	t.Cleanup(srv.Close)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, srv.URL+api.EnvPath(api.EnvReset), strings.NewReader(`{"names":["geo"]}`))
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		if res, err := srv.Client().Do(r); err == nil {
			res.Body.Close()
		}
	}()
	<-f.begun
	cancel()
	<-over
	select {
	case <-f.ended:
	case <-time.After(2 * time.Second): // the limit that everything has
		t.Error("the work goes on")
	}
}
