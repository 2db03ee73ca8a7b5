package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/progress"
)

// fakeClass is a hub over the fake engine.
type fakeClass struct {
	*Hub
	engine *fakeEngine
	roster *roster
	cfg    Config
}

func newFakeClass(t *testing.T) *fakeClass {
	t.Helper()
	run, err := os.MkdirTemp("/tmp", "cj") // t.TempDir is too long for a socket, and not in lower case
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	run = filepath.Join(run, "r")
	c := &fakeClass{engine: newFakeEngine(), roster: newRoster(t)}
	c.cfg = Config{
		Engine: c.engine, Run: run, State: t.TempDir(), Instance: "0a1b2c3d", Network: "net",
		Users: c.roster, Homes: c.roster, Limits: LimitsFor(2, 8*gib, 10), Starts: 1,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	c.Hub, err = New(c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.SetClass(Class{Image: "sha256:system"})
	t.Cleanup(func() { c.StopAll(context.Background()) })
	return c
}

// run starts the daemon's part and gives how to end it.
func (c *fakeClass) run(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	<-c.up
	var once bool
	stop = func() {
		if !once {
			once = true
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	return stop
}

// question asks as the hub's Python does.
func (c *fakeClass) question(t *testing.T, method, path string, q any) (int, string) {
	t.Helper()
	r, err := jsonRequest(method, path, q, c.secrets.Ask)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := over(c.paths.askSock(), 0).Do(r.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(all)
}

// jsonRequest is a question to the daemon.
func jsonRequest(method, path string, q any, token string) (*http.Request, error) {
	b, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequest(method, "http://daemon"+path, bytes.NewReader(b))
	if err == nil {
		r.Header.Set("Authorization", "token "+token)
	}
	return r, err
}

func ask(user string) startRequest {
	return startRequest{User: user, Env: map[string]string{
		"JUPYTERHUB_SERVICE_PREFIX": "/user/" + user + "/", "JUPYTERHUB_API_TOKEN": "secret-of-" + user,
	}}
}

// start asks for a server and follows it to its end.
func (c *fakeClass) start(t *testing.T, user string) (serverAnswer, string) {
	t.Helper()
	code, body := c.question(t, "POST", "/v1/servers", ask(user))
	if code != http.StatusAccepted && code != http.StatusOK {
		t.Fatalf("start of %s: %d %s", user, code, body)
	}
	var a serverAnswer
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		t.Fatal(err)
	}
	_, events := c.question(t, "GET", "/v1/servers/"+a.ID+"/events", nil)
	return a, events
}

func (c *fakeClass) container(name string) *fakeContainer {
	c.engine.mu.Lock()
	defer c.engine.mu.Unlock()
	return c.engine.all[name]
}

// The old compose file mounted shared and home_default read-only and home
// read-write; a server sees the first and the last, each at the old place.
func TestA4(t *testing.T) {
	c := newFakeClass(t)
	c.run(t)
	shared := t.TempDir()
	c.SetClass(Class{Image: "i", Shared: shared, Server: engine.Spec{
		Runtime: "nvidia", ShmSize: 4 * gib, Env: []string{"A=1", "HOME=/x"},
		DeviceRequests: []engine.DeviceRequest{{Driver: "nvidia", Count: -1}},
		Mounts:         []engine.Mount{{Source: "/tmp", Target: "/home/"}, {Source: "/tmp", Target: "/data"}},
		User:           "0", Image: "evil", Name: "evil", Network: "host", Ports: []engine.Port{{ContainerPort: 80}},
	}})
	c.start(t, "amira")
	s := c.container(c.containerName(serverID("amira", ""))).spec
	mounts := map[string]bool{} // target: read-only
	for _, m := range s.Mounts {
		mounts[m.Target] = m.ReadOnly
	}
	for target, ro := range map[string]bool{"/shared": true, "/home/amira": false, "/data": false} {
		if got, ok := mounts[target]; !ok || got != ro {
			t.Errorf("mount %s: there %v, read-only %v", target, ok, got)
		}
	}
	if _, ok := mounts["/home/"]; ok {
		t.Error("an override hid the homes")
	}
	if s.Runtime != "nvidia" || s.ShmSize != 4*gib || len(s.DeviceRequests) != 1 || s.Env[0] != "A=1" {
		t.Errorf("the override's hooks are lost: %+v", s)
	}
	if s.User != "2001:2001" || s.Image != "i" || s.Network != "net" || len(s.Ports) != 0 {
		t.Errorf("an override changed who the server is: %+v", s)
	}
	if !slices.Contains(s.Env, "HOME=/home/amira") || slices.Contains(s.Env, "HOME=/x") {
		t.Errorf("ours does not win: %q", s.Env)
	}
}

// One container per student, confined and limited, which outlives the daemon.
func TestA12(t *testing.T) {
	c := newFakeClass(t)
	stop := c.run(t)
	a, events := c.start(t, "amira")
	if !strings.Contains(events, `"ready"`) {
		t.Fatal(events)
	}
	if want := "http+unix://" + escape(c.paths.sock(a.ID)) + ":80"; a.URL != want || strings.ToLower(a.URL) != a.URL {
		t.Errorf("url %s, want %s", a.URL, want)
	}
	s := c.container(c.containerName(a.ID)).spec
	if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges") ||
		s.Memory == 0 || s.Pids == 0 || s.CPUs == 0 || s.Tmpfs["/tmp"] == "" || s.Privileged {
		t.Errorf("not confined: %+v", s)
	}
	for _, m := range s.Mounts {
		if strings.Contains(m.Source, "docker.sock") || m.Source == c.paths.run || m.Source == c.paths.hubDir {
			t.Errorf("a server sees %s", m.Source)
		}
	}
	if again, _ := c.start(t, "amira"); again.State != ready || again.Token != "secret-of-amira" {
		t.Errorf("not idempotent: %+v", again)
	}
	stop()
	h, err := New(c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if h.ProxyToken() != c.ProxyToken() {
		t.Error("a new daemon has another token than the hub that runs")
	}
	h.SetClass(Class{Image: "other"})
	c.Hub = h
	c.run(t)
	if again, _ := c.start(t, "amira"); again.State != ready || again.Token != "secret-of-amira" {
		t.Errorf("not adopted: %+v", again)
	}
	l, err := c.Servers(t.Context())
	if err != nil || len(l) != 1 || l[0].State != ready || l[0].Image != "sha256:system" {
		t.Errorf("%+v %v", l, err)
	}
}

func (c *fakeClass) spec(t *testing.T, fingerprint string) Spec {
	return Spec{CoreImage: "sha256:core", ClassName: "7b", Fingerprint: fingerprint, SrvDir: t.TempDir(), Env: map[string]string{
		"LDAP": "x", "PYTHONPATH": "/evil", "CONJURED_DIR": "/", "bad name": "y",
	}}
}

// The hub's container holds no engine's socket, no network and no root; its
// database and secret lie outside.
func TestA12_hub(t *testing.T) {
	c := newFakeClass(t)
	if _, err := c.Deploy(t.Context(), c.spec(t, "f1"), progress.Discard); err != nil {
		t.Fatal(err)
	}
	hub := c.container(c.servingHome().name)
	s := hub.spec
	if s.Network != "none" || !s.ReadOnly || s.User != "1500:1500" || s.CapDrop[0] != "ALL" || len(s.CapAdd) != 0 {
		t.Errorf("not confined: %+v", s)
	}
	for _, m := range s.Mounts {
		if strings.Contains(m.Source, "docker") {
			t.Errorf("the hub sees %s", m.Source)
		}
		if (m.Target == c.paths.servers || m.Target == "/srv/jupyterhub" || m.Target == pythonPath) && !m.ReadOnly {
			t.Errorf("%s is writable", m.Target)
		}
	}
	for _, e := range append(s.Env, s.Cmd...) {
		for _, secret := range []string{c.secrets.Ask, c.secrets.Proxy, c.secrets.Service, "/evil", "bad name"} {
			if strings.Contains(e, secret) {
				t.Errorf("%s in the hub's environment or arguments", e)
			}
		}
	}
	if !slices.Contains(s.Env, "LDAP=x") {
		t.Error("the teacher's .env is lost")
	}
	for name, mode := range map[string]os.FileMode{
		filepath.Join(c.paths.data, "cookie_secret"):  0o600,
		filepath.Join(c.paths.hubDir, "secrets.json"): 0o400,
		c.paths.secrets(): 0o600, c.paths.serving(): 0o600,
	} {
		if st, err := os.Stat(name); err != nil || st.Mode().Perm() != mode {
			t.Errorf("%s: %v %v", name, st.Mode(), err)
		}
	}
	if o, err := c.Observe(t.Context()); err != nil || o != (Observed{"f1", true}) {
		t.Errorf("observed %+v %v", o, err)
	}
	again := c.spec(t, "f1")
	if _, err := c.Deploy(t.Context(), again, progress.Discard); err != nil {
		t.Fatal(err)
	}
	if c.container(c.servingHome().name) != hub {
		t.Error("nothing changed, and the hub was replaced")
	}
	if old, err := c.recall(); err != nil || old.SrvDir != again.SrvDir {
		t.Errorf("the next start would use %+v %v", old, err)
	}
}

// The roster decides who gets in, at once; nothing else grants it.
func TestA13(t *testing.T) {
	c := newFakeClass(t)
	c.run(t)
	login := map[string]string{"user": "chen", "password": "pw-chen"}
	if code, body := c.question(t, "POST", "/v1/auth", login); code != http.StatusForbidden || !strings.Contains(body, "do not go together.") {
		t.Errorf("not on the roster: %d %s", code, body)
	}
	if code, body := c.question(t, "POST", "/v1/servers", ask("chen")); code != http.StatusForbidden {
		t.Errorf("server: %d %s", code, body)
	}
	c.roster.set(Account{Name: "chen", UID: 2009, GID: 2009})
	if code, body := c.question(t, "POST", "/v1/auth", login); code != http.StatusOK {
		t.Errorf("on the roster: %d %s", code, body)
	}
	if _, events := c.start(t, "chen"); !strings.Contains(events, `"ready"`) {
		t.Error(events)
	}
	c.roster.drop("chen")
	if code, _ := c.question(t, "GET", "/v1/accounts/chen", nil); code != http.StatusNotFound {
		t.Errorf("still known: %d", code)
	}
	if err := c.Remove(t.Context(), "chen"); err != nil {
		t.Error(err)
	}
	if l, err := c.Servers(t.Context()); err != nil || len(l) != 0 {
		t.Errorf("%v %v", l, err)
	}
}

// Admin is what the roster says at each login, both ways.
func TestU10(t *testing.T) {
	c := newFakeClass(t)
	c.run(t)
	for _, admin := range []bool{true, false, true} {
		c.roster.set(Account{Name: "amira", UID: 2001, GID: 2001, Admin: admin})
		for _, q := range [][]any{
			{"POST", "/v1/auth", map[string]string{"user": "amira", "password": "pw-amira"}},
			{"GET", "/v1/accounts/amira", nil},
		} {
			want := fmt.Sprintf(`{"name":"amira","admin":%v}`, admin)
			if _, body := c.question(t, q[0].(string), q[1].(string), q[2]); strings.TrimSpace(body) != want {
				t.Errorf("%v: %s, want %s", q[1], body, want)
			}
		}
	}
}

// At start nothing walks over the homes: one home is prepared, for the one student
// whose server starts.
func TestU12(t *testing.T) {
	c := newFakeClass(t)
	c.run(t)
	c.start(t, "ben")
	l, err := os.ReadDir(c.roster.homes)
	if err != nil || len(l) != 1 || l[0].Name() != "ben" {
		t.Errorf("homes: %v %v", l, err)
	}
}
