package gateway

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// ask calls the routes API with the right token.
func ask(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "token secret")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func apiOf(t *testing.T) (*Routes, http.Handler) {
	t.Helper()
	r, err := OpenRoutes(RoutesConfig{Reserved: []string{Reserved}})
	if err != nil {
		t.Fatal(err)
	}
	return r, NewRoutesAPI(r, "secret")
}

func TestRoutesAPI(t *testing.T) {
	_, h := apiOf(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string // in the answer
	}{
		{"GET", "/api/routes", "", 200, "{}"},
		{"GET", "/api/routes/x", "", 404, ""},
		{"POST", "/api/routes/user/foo%40bar", `{"target":"http://h:1","user":"foo@bar","server_name":"","n":12345678901234567890}`, 201, ""},
		{"GET", "/api/routes/user/foo@bar/", "", 200, `"n":12345678901234567890`},
		{"GET", "/api/routes/", "", 200, `"/user/foo@bar":{`},
		{"GET", "/api/routes/user", "", 404, ""},
		{"POST", "/api/routes", `{"target":"http://hub:1","hub":true}`, 201, ""},
		{"POST", "/api/routes/", `{"target":"http://hub:2","jupyterhub":true}`, 201, ""},
		{"GET", "/api/routes", "", 200, `"/":{"jupyterhub":true,"last_activity":"20`},
		{"POST", "/api/routes/x", `{`, 400, "Body not valid JSON"},
		{"POST", "/api/routes/x", `[]`, 400, "Body not valid JSON"},
		{"POST", "/api/routes/x", `{"user":"x"}`, 400, "Must specify 'target' as string"},
		{"POST", "/api/routes/x", `{"target":null}`, 400, "Must specify 'target' as string"},
		{"POST", "/api/routes/x", `{"target":7}`, 400, "Must specify 'target' as string"},
		{"POST", "/api/routes/x", `{"target":"nonsense"}`, 400, "cannot use the target"},
		{"POST", "/api/routes/x", `{"target":"http://h","big":"` + strings.Repeat("x", maxRouteData) + `"}`, 413, ""},
		{"POST", "/api/routes/conjured", `{"target":"http://h"}`, 409, ""},
		{"POST", "/api/routes/%63onjured/events", `{"target":"http://h"}`, 409, ""},
		{"POST", "/api/routes/conjured2", `{"target":"http://h"}`, 201, ""},
		{"PUT", "/api/routes/x", "", 405, "Method not supported"},
		{"HEAD", "/api/routes", "", 405, ""},
		{"GET", "/api/routesx", "", 404, "Not Found"},
		{"GET", "/api/x/../routes/conjured2/y/%2e%2E", "", 200, `"target"`}, // as its clients' libraries resolve it
		{"GET", "/api/routes/../x", "", 404, "Not Found"},
		{"POST", "/api/routes/%ff", `{"target":"http://h"}`, 400, "the path is not UTF-8"},
		{"GET", "/", "", 404, ""},
		{"GET", "/api/routes?inactiveSince=yesterday", "", 400, "Invalid datestamp 'yesterday' must be ISO8601."},
		{"GET", "/api/routes?inactiveSince=2001-01-01T00:00:00Z", "", 200, "{}"},
		{"GET", "/api/routes?inactive_since=2999-01-01", "", 200, "/user/foo@bar"},
		{"DELETE", "/api/routes/user/foo%40bar/", "", 204, ""},
		{"DELETE", "/api/routes/user/foo%40bar", "", 404, ""},
		{"DELETE", "/api/routes", "", 204, ""},
	} {
		w := ask(h, c.method, c.path, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s %.60s: %d %q, want %d %q", c.method, c.path, c.body, w.Code, w.Body, c.status, c.want)
		}
	}
}

func TestRoutesAPI_token(t *testing.T) {
	routes, h := apiOf(t)
	for header, want := range map[string]int{
		"": 403, "secret": 403, "token wrong": 403, "Bearer secret": 403, "token secret": 200, "token   secret": 200, "x token secret": 200,
	} {
		r := httptest.NewRequest("GET", "/api/routes", nil)
		r.Header.Set("Authorization", header)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want || (want == 403 && w.Body.Len() > 0) {
			t.Errorf("%q: %d %q, want %d", header, w.Code, w.Body, want)
		}
	}
	w := httptest.NewRecorder()
	NewRoutesAPI(routes, "").ServeHTTP(w, httptest.NewRequest("GET", "/api/routes", nil))
	if w.Code != 403 {
		t.Errorf("an empty token lets people in: %d", w.Code)
	}
}

// Who asks for what nobody can do learns that before a token is asked for; an open API
// asks nobody.
func TestRoutesAPI_open(t *testing.T) {
	r, h := apiOf(t)
	for _, c := range []struct {
		h      http.Handler
		method string
		want   int
	}{{h, "PUT", 405}, {h, "GET", 403}, {NewOpenRoutesAPI(r), "GET", 200}} {
		w := httptest.NewRecorder()
		c.h.ServeHTTP(w, httptest.NewRequest(c.method, "/api/routes", nil))
		if w.Code != c.want {
			t.Errorf("%s: %d, want %d", c.method, w.Code, c.want)
		}
	}
}

// Changes are told of, and a table by hosts says which host.
func TestRoutes_told(t *testing.T) {
	var told []string
	r, err := OpenRoutes(RoutesConfig{
		Hosts:   true,
		Added:   func(r Route) { told = append(told, "+"+r.Path+" "+string(r.Data["host"])) },
		Removed: func(r Route) { told = append(told, "-"+r.Path) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"/", "/a.example/user/al/"} {
		if err := r.Add(p, data("http://h")); err != nil {
			t.Fatal(err)
		}
	}
	r.Delete("/a.example/user/al")
	r.Delete("/a.example/user/al")
	if d := cmp.Diff([]string{"+/ ", `+/a.example/user/al "a.example"`, "-/a.example/user/al"}, told); d != "" {
		t.Error(d)
	}
	if got, ok := r.Match("b.example/x"); !ok || got.Path != "/" {
		t.Errorf("%+v %v", got, ok)
	}
}

// last_activity is the proxy's to say, in ECMAScript's form.
func TestRoutesAPI_lastActivity(t *testing.T) {
	_, h := apiOf(t)
	before := time.Now().Add(-time.Second)
	ask(h, "POST", "/api/routes/x", `{"target":"http://h","last_activity":"1999-01-01T00:00:00.000Z"}`)
	var got struct {
		Last string `json:"last_activity"`
	}
	if err := json.Unmarshal(ask(h, "GET", "/api/routes/x", "").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(activityLayout, got.Last)
	if err != nil || at.Before(before) {
		t.Errorf("last_activity %q: %v", got.Last, err)
	}
}

// Another table has other routes.
func TestRoutes_second(t *testing.T) {
	_, one := apiOf(t)
	_, two := apiOf(t)
	ask(one, "POST", "/api/routes/x", `{"target":"http://h"}`)
	if got := strings.TrimSpace(ask(two, "GET", "/api/routes", "").Body.String()); got != "{}" {
		t.Error(got)
	}
}

func TestRoutes_limits(t *testing.T) {
	r, _ := apiOf(t)
	if err := r.Add("/"+strings.Repeat("a/", maxDepth+1), data("http://h")); err == nil {
		t.Error("a path too deep is taken")
	}
	if err := r.Add("/"+strings.Repeat("a", maxRoutePath+1), data("http://h")); err == nil {
		t.Error("a path too long is taken")
	}
}

// The saved table comes back, activity included; a bad route is left out and a
// file that is none is set aside.
func TestRoutes_restore(t *testing.T) {
	c := RoutesConfig{File: t.TempDir() + "/routes.json", Reserved: []string{Reserved}}
	r, err := OpenRoutes(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"/", "/user/é", "/user/al/named server"} {
		if err := r.Add(p, map[string]json.RawMessage{"target": json.RawMessage(`"http://h:1"`), "user": json.RawMessage(`"al"`)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.save(); err != nil {
		t.Fatal(err)
	}
	again, err := OpenRoutes(c)
	if err != nil {
		t.Fatal(err)
	}
	var want, got []Route
	for route := range r.All() {
		want = append(want, route)
	}
	for route := range again.All() {
		got = append(got, route)
	}
	if d := cmp.Diff(want, got); d != "" || len(got) != 3 {
		t.Error(d)
	}
	for _, bad := range []string{"{", `{"version":9}`, ""} {
		write(t, c.File, bad)
		if again, err = OpenRoutes(c); err != nil || again.count != 0 {
			t.Errorf("%q: %v, %d routes", bad, err, again.count)
		}
	}
	write(t, c.File, `{"version":1,"routes":{"/a":{"target":"http://h"},"/b":{"target":"x"},"/conjured":{"target":"http://h"}}}`)
	if again, err = OpenRoutes(c); err != nil || again.count != 1 {
		t.Errorf("%v, %d routes, want 1", err, again.count)
	}
}
