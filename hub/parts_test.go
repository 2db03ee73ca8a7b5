package hub

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/progress"
)

func TestLimitsFor(t *testing.T) {
	for _, x := range []struct {
		cpus     int
		memory   int64
		students int
		want     int64
	}{
		{4, 16 * gib, 30, (16*gib - gib*3/2) / 30 * 3 / 2},
		{2, 4 * gib, 60, 384 * mib},
		{2, gib, 60, 384 * mib},
		{8, 64 * gib, 3, 2 * gib},
		{8, 0, 0, 2 * gib},
	} {
		if got := LimitsFor(x.cpus, x.memory, x.students); got.Memory != x.want || got.Pids == 0 || got.CPUs < 1 {
			t.Errorf("%+v: %+v", x, got)
		}
	}
}

// Whoever controls a server's place can't make us talk to another socket.
func TestDial_followsNoLink(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "cj")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "real"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	os.Symlink(filepath.Join(dir, "real"), filepath.Join(dir, "link"))
	os.WriteFile(filepath.Join(dir, "file"), nil, 0o644)
	for _, x := range []struct {
		name string
		ok   bool
	}{{"real", true}, {"link", false}, {"file", false}, {"none", false}} {
		c, err := dial(t.Context(), filepath.Join(dir, x.name))
		if (err == nil) != x.ok {
			t.Errorf("%s: %v", x.name, err)
		}
		if err == nil {
			c.Close()
		}
	}
}

// One user who opens all the connections they can leaves room for the next.
func TestFair(t *testing.T) {
	f := &fair{each: 2, open: map[uint32]int{}}
	for i, want := range []bool{true, true, false} {
		if got := f.count(1, 1); got != want {
			t.Errorf("connection %d: %v", i, got)
		}
	}
	if !f.count(2, 1) {
		t.Errorf("%v", f.open)
	}
	f.count(1, -1)
	if !f.count(1, 1) {
		t.Errorf("%v", f.open)
	}
	f.count(2, -1)
	if len(f.open) != 1 {
		t.Errorf("left %v", f.open)
	}
}

// Students reach the hub's API and nothing else of it.
func TestUpstream(t *testing.T) {
	c := newFakeClass(t)
	c.run(t)
	client := over(c.paths.upstreamSock(), 0)
	get := func(path, body string) (*http.Response, error) {
		r, err := http.NewRequestWithContext(t.Context(), "POST", "http://localhost"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Cookie", "stolen")
		r.Header.Set("X-Forwarded-For", "10.0.0.1")
		return client.Do(r)
	}
	if resp, err := get("/hub/api/echo", ""); err != nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("without a hub: %v %v", resp, err)
	}
	if _, err := c.Deploy(t.Context(), c.spec(t, "f"), progress.Discard); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{
		"/hub/api/echo": 200, "/hub/api": 200, "/hub/api/": 200,
		"/hub/login": 404, "/hub/apix": 404, "/hub/api/../login": 404, "/hub/api/%2e%2e/login": 404, "/": 404, "/user/x/api": 404,
	} {
		resp, err := get(path, "hello")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want || resp.Header.Get("X-Cookies") != "" {
			t.Errorf("%s: %d, want %d; %q passed on", path, resp.StatusCode, want, resp.Header.Get("X-Cookies"))
		}
	}
}

// The hub may ask only for what it needs, and only with the token.
func TestAsk_refuses(t *testing.T) {
	c := newFakeClass(t)
	c.run(t)
	resp, err := over(c.paths.askSock(), 0).Get("http://daemon/v1/accounts/amira")
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %v %v", resp, err)
	}
	with := func(k, v string) startRequest {
		q := ask("amira")
		q.Env[k] = v
		return q
	}
	for name, q := range map[string]any{
		"unknown field": map[string]any{"user": "amira", "image": "evil"},
		"PATH":          with("PATH", "/evil"),
		"LD_PRELOAD":    with("LD_PRELOAD", "/evil"),
		"PYTHONPATH":    with("PYTHONPATH", "/evil"),
		"nul":           with("A", "\x00"),
		"name":          with("A=B", "x"),
		"prefix":        with("JUPYTERHUB_SERVICE_PREFIX", "http://evil/"),
		"server":        startRequest{User: "amira", Server: "../x", Env: ask("amira").Env},
		"large":         with("A", strings.Repeat("x", maxQuestion)),
		"nobody":        startRequest{},
	} {
		if code, body := c.question(t, "POST", "/v1/servers", q); code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	for _, path := range []string{"/v1/servers/..%2f..", "/v1/servers/xyz"} {
		if code, _ := c.question(t, "DELETE", path, nil); code != http.StatusNotFound {
			t.Errorf("DELETE %s: %d", path, code)
		}
	}
}

// What a student reads when a server does not come up.
func TestStart_saysWhy(t *testing.T) {
	for name, x := range map[string]struct {
		end  fakeEnd
		want string
	}{
		"oom":  {fakeEnd{code: 137, oom: true}, "it needed more memory than the 998 MB it may use. Ask your teacher."},
		"code": {fakeEnd{code: 1, log: "ModuleNotFoundError: jupyterlab\n"}, "ModuleNotFoundError: jupyterlab"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newFakeClass(t)
			c.run(t)
			c.engine.broken = func(engine.Spec) *fakeEnd { return &x.end }
			a, events := c.start(t, "amira")
			var last event
			lines := strings.Split(strings.TrimSpace(events), "\n")
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
				t.Fatal(err)
			}
			if last.State != failed || !strings.Contains(last.Message, x.want) {
				t.Errorf("%+v", last)
			}
			if len(c.engine.all) != 0 {
				t.Error("its container is left")
			}
			if _, err := os.Stat(c.paths.place(a.ID)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("its place is left: %v", err)
			}
			if _, state := c.question(t, "GET", "/v1/servers/"+a.ID, nil); !strings.Contains(state, `"failed"`) {
				t.Error(state)
			}
			c.engine.broken = nil
			if _, events := c.start(t, "amira"); !strings.Contains(events, `"ready"`) {
				t.Error(events)
			}
		})
	}
}

// A removed student is out also while their server is starting or in the queue.
func TestStopUser_whileStarting(t *testing.T) {
	c := newFakeClass(t)
	c.run(t)
	c.engine.broken = func(engine.Spec) *fakeEnd { return &fakeEnd{hang: true} }
	for _, u := range []string{"amira", "ben"} { // Starts is 1: ben waits
		if code, body := c.question(t, "POST", "/v1/servers", ask(u)); code != http.StatusAccepted {
			t.Fatal(code, body)
		}
	}
	for _, u := range []string{"ben", "amira"} {
		if err := c.StopUser(t.Context(), u); err != nil {
			t.Error(err)
		}
	}
	if l, err := c.Servers(t.Context()); err != nil || len(l) != 0 {
		t.Errorf("%v %v", l, err)
	}
}

// A hub that dies is started again, from what it was started from.
func TestSupervise(t *testing.T) {
	c := newFakeClass(t)
	if _, err := c.Deploy(t.Context(), c.spec(t, "f1"), progress.Discard); err != nil {
		t.Fatal(err)
	}
	name := c.servingHome().name
	dead := c.container(name)
	c.engine.Stop(t.Context(), name, 0)
	if up, err := c.look(t.Context(), time.Now().Add(time.Hour), ""); up || err != nil {
		t.Errorf("before its time: %v %v", up, err)
	}
	c.engine.Create(t.Context(), engine.Spec{Name: "left", Labels: map[string]string{engine.LabelRole: roleHub, labelCandidate: "true"}})
	if _, err := c.look(t.Context(), time.Now(), ""); err != nil {
		t.Error(err)
	}
	if up, err := c.look(t.Context(), time.Now(), ""); !up || err != nil {
		t.Errorf("not up: %v %v", up, err)
	}
	if now := c.container(name); now == dead || now.Labels[engine.LabelKey] != "f1" {
		t.Errorf("%+v", now)
	}
	if c.container("left") != nil {
		t.Error("an old candidate is left")
	}
	<-c.deploy // somebody deploys
	c.engine.Stop(t.Context(), name, 0)
	if up, err := c.look(t.Context(), time.Now(), ""); up || err != nil {
		t.Errorf("meddled with a deploy: %v %v", up, err)
	}
	c.deploy <- struct{}{}
	if _, err := c.look(t.Context(), time.Now(), ""); err != nil {
		t.Error(err)
	}
	listed := c.container(name) // still, and running
	if _, err := c.look(t.Context(), time.Now(), listed.ID); err != nil {
		t.Error(err)
	}
	if now := c.container(name); now == listed {
		t.Error("waited for the engine's list to say what the engine had told")
	}
}

func TestSetServices(t *testing.T) {
	c := newFakeClass(t)
	c.engine.broken = func(engine.Spec) *fakeEnd { return &fakeEnd{hang: true} }
	set := func(l ...engine.Spec) {
		t.Helper()
		if err := c.SetServices(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	db := engine.Spec{Name: "db", Image: "postgres"}
	set(db, engine.Spec{Name: "cache", Image: "redis"})
	kept := c.container("conjured-0a1b2c3d-service-db")
	if kept == nil || kept.spec.NetworkAliases[0] != "db" || kept.spec.Network != "net" {
		t.Fatalf("%+v", c.engine.all)
	}
	set(db)
	if c.container("conjured-0a1b2c3d-service-db") != kept || len(c.engine.all) != 1 {
		t.Errorf("%v", c.engine.all)
	}
	db.Image = "postgres:2"
	set(db)
	if now := c.container("conjured-0a1b2c3d-service-db"); now == kept || now.Image != "postgres:2" {
		t.Errorf("%+v", now)
	}
	set()
	if len(c.engine.all) != 0 {
		t.Errorf("%v", c.engine.all)
	}
}

func TestReport_notices(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "report.json"), []byte(`{"state":"loaded","overridden":[{"setting":"c.JupyterHub.port","file":"srv/jupyterhub_config.py","line":3}]}`), 0o644)
	r, err := readReport(dir)
	if err != nil {
		t.Fatal(err)
	}
	l := r.notices()
	if len(l) != 1 || l[0].Code != "srv-overridden" || l[0].Where() != "srv/jupyterhub_config.py:3" || !strings.Contains(l[0].What, "c.JupyterHub.port") {
		t.Errorf("%+v", l)
	}
	os.Remove(filepath.Join(dir, "report.json"))
	os.Symlink("/etc/passwd", filepath.Join(dir, "report.json"))
	if _, err := readReport(dir); err == nil {
		t.Error("a link was followed")
	}
}
