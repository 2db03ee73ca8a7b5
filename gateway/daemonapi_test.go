package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/notice"
)

// fakeDaemon answers for all parts; err is what setups answer.
type fakeDaemon struct{ err error }

func (fakeDaemon) Status(context.Context) (api.Status, error) {
	return api.Status{Class: "Data 8", Phase: api.Serving}, nil
}

func (f fakeDaemon) Apply(_ context.Context, dir string) (api.Applied, error) {
	return api.Applied{ID: dir}, f.err
}

func (f fakeDaemon) Build(context.Context, api.Build) (api.Applied, error) {
	return api.Applied{}, f.err
}

func (f fakeDaemon) Result(_ context.Context, id string) (api.Result, error) {
	return api.Result{ID: id, Serving: true}, f.err
}

func (fakeDaemon) Users(context.Context) ([]api.User, error) { return []api.User{{Name: "al"}}, nil }

func (fakeDaemon) SetPassword(_ context.Context, name, password string) (string, error) {
	if name != "al" {
		return "", fmt.Errorf("cannot set the password of %s: %w", name, ErrUnknown)
	}
	return password + "!", nil
}

func TestDaemonAPI(t *testing.T) {
	stopped := false
	f := fakeDaemon{}
	whole := Daemon{Reporter: f, Setups: f, Accounts: f, Stop: func() { stopped = true }}
	refusing, failing := whole, whole
	refusing.Setups = fakeDaemon{&notice.Error{Notice: notice.Notice{Code: "bad", What: "no folder"}}}
	failing.Setups = fakeDaemon{errors.New("boom")}
	for _, c := range []struct {
		daemon       Daemon
		method, path string
		body         string
		status       int
		want         string
	}{
		{whole, "GET", api.PathStatus, "", 200, `"class":"Data 8","phase":"serving"`},
		{whole, "POST", api.PathApply, `{"dir":"/d"}`, 202, `"id":"/d"`},
		{whole, "POST", api.PathApply, `{`, 400, "api-bad-request"},
		{refusing, "POST", api.PathApply, `{}`, 422, `"code":"bad"`},
		{failing, "POST", api.PathBuild, `{}`, 500, `"code":"unexpected"`},
		{whole, "GET", api.AppliedPath("a/b"), "", 200, `"id":"a/b"`},
		{whole, "GET", api.PathUsers, "", 200, `"name":"al"`},
		{whole, "POST", api.PasswordPath("al"), `{"password":"x"}`, 200, `"password":"x!"`},
		{whole, "POST", api.PasswordPath("bo"), `{}`, 404, `"notices"`},
		{whole, "GET", api.PathEnvironments, "", 501, "api-missing-part"},
		{whole, "GET", "/v1/nothing", "", 404, ""},
		{whole, "POST", api.PathStop, "", 202, ""},
	} {
		w := httptest.NewRecorder()
		NewDaemonAPI(c.daemon).ServeHTTP(w, httptest.NewRequest(c.method, c.path, strings.NewReader(c.body)))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, w.Code, w.Body, c.status, c.want)
		}
		if c.status >= 400 && c.path != "/v1/nothing" {
			var p api.Problem
			if json.Unmarshal(w.Body.Bytes(), &p) != nil || len(p.Notices) == 0 {
				t.Errorf("%s %s: no notices in %s", c.method, c.path, w.Body)
			}
		}
	}
	if !stopped {
		t.Error("stop does not reach the daemon")
	}
}
