package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/internal/needs"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// testImage is a core image that also holds an environment base@current.
func testImage() needs.Part {
	return needs.Part{Name: "core-image", Check: func() error {
		if os.Getenv("CONJURED_TEST_IMAGE") == "" {
			return errors.New("CONJURED_TEST_IMAGE names no core image with an environment in it")
		}
		return nil
	}}
}

// roster is a class for tests. The password is the name backwards.
type roster struct {
	mu       sync.Mutex
	accounts map[string]Account
	homes    string
}

func newRoster(t *testing.T) *roster {
	return &roster{homes: t.TempDir(), accounts: map[string]Account{
		"amira":   {Name: "amira", UID: 2001, GID: 2001},
		"ben":     {Name: "ben", UID: 2002, GID: 2002},
		"teacher": {Name: "teacher", UID: 2003, GID: 2003, Admin: true},
	}}
}

func (r *roster) Authenticate(_ context.Context, user, password, _ string) (Account, error) {
	a, ok := r.Lookup(user)
	if !ok || password != "pw-"+user {
		return Account{}, &notice.Error{Notice: notice.Notice{
			Code: "login-wrong", What: "that name and password do not go together",
			Do: "look at your login card: capital letters count",
		}}
	}
	return a, nil
}

func (r *roster) Lookup(user string) (Account, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.accounts[user]
	return a, ok
}

func (r *roster) set(a Account) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accounts[a.Name] = a
}

func (r *roster) drop(user string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.accounts, user)
}

func (r *roster) Prepare(_ context.Context, a Account) (string, error) {
	dir := filepath.Join(r.homes, a.Name)
	return dir, makeDir(dir, 0o700, a.UID, a.GID)
}

// realClass is a hub over the real engine, with Run running and a proxy that only
// remembers routes.
type realClass struct {
	*Hub
	roster  *roster
	engine  *engine.Engine
	image   string
	notes   chan notice.Notice
	routes  *routes
	restart func() // of the daemon
}

func newRealClass(t *testing.T) *realClass {
	t.Helper()
	needs.All(t, needs.Docker(), needs.Root(), testImage())
	instance := token()[:8]
	run := "/run/conjured-test-" + instance
	t.Cleanup(func() { os.RemoveAll(run) })
	e, err := engine.Connect(t.Context(), engine.Config{Instance: instance})
	if err != nil {
		t.Fatal(err)
	}
	img, err := e.Image(t.Context(), os.Getenv("CONJURED_TEST_IMAGE"))
	if err != nil {
		t.Fatal(err)
	}
	network := "conjured-test-" + instance
	if err := e.EnsureNetwork(t.Context(), engine.Network{Name: network, Isolated: true}); err != nil {
		t.Fatal(err)
	}
	shared := t.TempDir()
	if err := os.Chmod(shared, 0o755); err != nil {
		t.Fatal(err)
	}
	c := &realClass{roster: newRoster(t), engine: e, image: img.ID, notes: make(chan notice.Notice, 100)}
	os.Chmod(filepath.Dir(c.roster.homes), 0o755)
	cfg := Config{
		Engine: e, Run: run, State: t.TempDir(), Instance: instance, Network: network,
		Users: c.roster, Homes: c.roster, Limits: LimitsFor(2, 8*gib, 10),
		Notify: func(n notice.Notice) { c.notes <- n },
		Log:    slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	var stop func()
	start := func() {
		h, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		h.SetClass(Class{Image: img.ID, Shared: shared})
		c.Hub = h
		if c.routes == nil {
			c.routes = newRoutes(h.ProxyToken())
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 2)
		go func() { done <- h.Run(ctx) }()
		l, err := listen(filepath.Join(run, "hub", "proxy.sock"), 0o600, HubUID)
		if err != nil {
			t.Fatal(err)
		}
		go func() { done <- serve(ctx, l, c.routes, 0) }()
		stop = func() {
			cancel()
			for range 2 {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		}
	}
	start()
	c.restart = func() { stop(); start() }
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if t.Failed() {
			for _, role := range []string{roleHub, roleServer} {
				cs, _ := e.List(ctx, map[string]string{engine.LabelRole: role})
				for _, x := range cs {
					l, _ := e.Logs(ctx, x.ID, 60)
					t.Logf("---- %s %s\n%s", x.Name, x.State, l)
				}
			}
		}
		if err := c.StopAll(ctx); err != nil {
			t.Error(err)
		}
		stop()
		e.RemoveNetwork(ctx, network)
	})
	return c
}

func (c *realClass) deploy(t *testing.T, srv map[string]string) (notice.List, error) {
	t.Helper()
	s := Spec{CoreImage: c.image, ClassName: "Maths with amira & ben", Fingerprint: fmt.Sprintf("%v", srv)}
	if srv != nil {
		s.SrvDir = t.TempDir()
		os.Chmod(s.SrvDir, 0o755)
		os.Chmod(filepath.Dir(s.SrvDir), 0o755)
		for name, text := range srv {
			if err := os.WriteFile(filepath.Join(s.SrvDir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return c.Deploy(t.Context(), s, progress.Func(func(e progress.Event) { t.Log("progress:", e.Step) }))
}

// browser talks to the hub as a browser behind the proxy does.
type browser struct {
	t *testing.T
	c *http.Client
}

func (c *realClass) browser(t *testing.T) *browser {
	jar, _ := cookiejar.New(nil)
	cl := over(c.Socket(), 0)
	cl.Jar = jar
	return &browser{t, cl}
}

func (b *browser) do(method, path string, form url.Values) (int, string, string) {
	b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, "http://localhost"+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := b.c.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(all), resp.Header.Get("Location")
}

var xsrf = regexp.MustCompile(`name="_xsrf" value="([^"]*)"`)

func (b *browser) login(user, password string) (int, string) {
	b.t.Helper()
	_, page, _ := b.do("GET", "/hub/login", nil)
	m := xsrf.FindStringSubmatch(page)
	if m == nil {
		b.t.Fatalf("no login form in %s", page)
	}
	code, body, _ := b.do("POST", "/hub/login", url.Values{"username": {user}, "password": {password}, "_xsrf": {m[1]}})
	return code, body
}

// spawn starts the user's server and gives the progress events.
func (b *browser) spawn(user string) []string {
	b.t.Helper()
	code, body, to := b.do("GET", "/hub/spawn", nil)
	if code != http.StatusFound {
		b.t.Fatalf("spawn: %d %s", code, body)
	}
	code, body, to = b.do("GET", to, nil)
	if code != http.StatusOK || !strings.Contains(body, "This page goes on by itself") {
		b.t.Errorf("no page with progress: %d %s %.500s", code, to, body)
	}
	_, stream, _ := b.do("GET", "/hub/api/users/"+user+"/server/progress?_xsrf="+b.xsrf(), nil)
	var said []string
	for line := range strings.Lines(stream) {
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			var e struct{ Message string }
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				b.t.Error(err)
			}
			said = append(said, e.Message)
		}
	}
	return said
}

func (b *browser) xsrf() string {
	for _, c := range b.c.Jar.Cookies(&url.URL{Scheme: "http", Host: "localhost", Path: "/hub/"}) {
		if c.Name == "_xsrf" {
			return c.Value
		}
	}
	return ""
}

func TestReal_class(t *testing.T) {
	c := newRealClass(t)
	began := time.Now()
	if _, err := c.deploy(t, nil); err != nil {
		t.Fatal(err)
	}
	t.Logf("candidate and hub up after %v", time.Since(began))
	b := c.browser(t)
	if code, page, _ := b.do("GET", "/hub/login", nil); code != 200 || !strings.Contains(page, "Maths with amira &amp; ben") {
		t.Errorf("login page: %d %s", code, page)
	}
	if code, page := b.login("amira", "no"); code != 403 || !strings.Contains(page, "That name and password do not go together. Look at your login card") {
		t.Errorf("wrong password: %d %s", code, page)
	}
	if code, page := b.login("amira", "pw-amira"); code != 302 {
		t.Fatalf("login: %d %s", code, page)
	}
	began = time.Now()
	said := b.spawn("amira")
	t.Logf("server up after %v: %q", time.Since(began), said)
	id := serverID("amira", "")
	s := over(c.paths.sock(id), 0)
	if !answers(t.Context(), s, "/user/amira/api") {
		t.Fatal("the server does not answer")
	}
	if c.routes.all["/user/amira"] == nil {
		t.Errorf("no route: %v", c.routes.all)
	}
	t.Logf("routes: %s", c.routes.all)
	now := time.Now()
	c.restart()
	t.Logf("daemon restarted in %v", time.Since(now))
	if !answers(t.Context(), s, "/user/amira/api") {
		t.Error("the server died with the daemon")
	}
	c.roster.drop("amira")
	now = time.Now()
	if err := c.Remove(t.Context(), "amira"); err != nil {
		t.Error(err)
	}
	t.Logf("removed in %v", time.Since(now))
	if l, err := c.Servers(t.Context()); err != nil || len(l) != 0 {
		t.Errorf("servers: %v %v", l, err)
	}
}

const executes = `
import sys
from jupyter_client import BlockingKernelClient
c = BlockingKernelClient(connection_file=sys.argv[1]); c.load_connection_file(); c.start_channels(); c.wait_for_ready(timeout=60)
c.execute_interactive(sys.argv[2], timeout=60)
`

// kernel starts one in the user's server and gives a function that runs code in it.
func (c *realClass) kernel(t *testing.T, user string) func(code string) string {
	t.Helper()
	id := serverID(user, "")
	tok, err := os.ReadFile(filepath.Join(c.paths.own(id), "token"))
	if err != nil {
		t.Fatal(err)
	}
	r, _ := http.NewRequestWithContext(t.Context(), "POST", "http://localhost/user/"+user+"/api/kernels", strings.NewReader(`{"name":"python3"}`))
	r.Header.Set("Authorization", "token "+string(tok))
	resp, err := over(c.paths.sock(id), 0).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var k struct{ ID string }
	if err := json.NewDecoder(resp.Body).Decode(&k); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("kernel: %s %v", resp.Status, err)
	}
	return func(code string) string {
		t.Helper()
		var out strings.Builder
		n, err := c.engine.Exec(t.Context(), c.containerName(id), []string{
			"/opt/conjured/bin/launch", "base@current", "python", "-c", executes,
			"/tmp/.jupyter-runtime/kernel-" + k.ID + ".json", code,
		}, "", &out)
		if err != nil || n != 0 {
			t.Errorf("exec: %d %v %s", n, err, out.String())
		}
		return strings.TrimSpace(out.String())
	}
}

// A12 over the real engine: the hub is swapped, dies, and loses its database, and a
// student's kernel knows nothing of it.
func TestA12_real(t *testing.T) {
	c := newRealClass(t)
	if _, err := c.deploy(t, nil); err != nil {
		t.Fatal(err)
	}
	b := c.browser(t)
	if code, page := b.login("amira", "pw-amira"); code != http.StatusFound {
		t.Fatalf("login: %d %s", code, page)
	}
	b.spawn("amira")
	began := time.Now()
	run := c.kernel(t, "amira")
	defer func(began time.Time) { t.Logf("whole: %v", time.Since(began)) }(began)
	if got := run("import os; x = 42; print(x, os.getuid(), os.getcwd(), os.access('/', os.W_OK), os.environ['HOME'])"); got != "42 2001 /home/amira False /home/amira" {
		t.Errorf("kernel: %q", got)
	}
	if got := run("print(open('/proc/self/status').read().split('CapEff:')[1].split()[0], os.listdir('" + c.paths.servers + "'))"); got != "0000000000000000 ['"+serverID("amira", "")+"']" {
		t.Errorf("confinement: %q", got)
	}
	if _, err := c.deploy(t, map[string]string{"jupyterhub_config.py": "c.Spawner.default_url = '/tree'\n"}); err != nil {
		t.Fatal(err)
	}
	if code, body, to := b.do("GET", "/hub/home", nil); code != http.StatusOK {
		t.Errorf("logged out by the swap: %d %s %.300s", code, to, body)
	}
	if got := run("print(x)"); got != "42" {
		t.Errorf("after the swap: %q", got)
	}
	t.Logf("swapped %v", time.Since(began))
	began = time.Now()
	if err := c.engine.Kill(t.Context(), c.servingHome().name, "SIGKILL"); err != nil {
		t.Fatal(err)
	}
	if n := <-c.notes; n.Code != "hub-restarted" {
		t.Errorf("notice %v", n)
	}
	for !answers(t.Context(), over(c.Socket(), 0), "/hub/health") {
		select {
		case <-t.Context().Done():
			t.Fatal("the hub did not come back")
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Logf("hub back %v after it was killed", time.Since(began))
	if got := run("print(x)"); got != "42" {
		t.Errorf("after the kill: %q", got)
	}
	os.Remove(c.paths.database())
	if _, err := c.deploy(t, map[string]string{"jupyterhub_config.py": "pass\n"}); err != nil {
		t.Fatal(err)
	}
	b = c.browser(t)
	b.login("amira", "pw-amira")
	began = time.Now()
	t.Logf("adopted: %q after %v", b.spawn("amira"), time.Since(began))
	if got := run("print(x)"); got != "42" {
		t.Errorf("after the database was lost: %q", got)
	}
}

// A14 over the real engine: the teacher's file counts, what the class can't run with
// is told, and a broken one changes nothing.
func TestA14_real(t *testing.T) {
	c := newRealClass(t)
	notes, err := c.deploy(t, map[string]string{"jupyterhub_config.py": "import mine\nc.JupyterHub.port = 443\nc.JupyterHub.template_vars = {'announcement': mine.TEXT}\n", "mine.py": "TEXT = 'Bring your atlas'\n"})
	if err != nil || len(notes) != 1 || notes[0].Where() != "srv/jupyterhub_config.py:2" {
		t.Fatalf("%v %v", notes, err)
	}
	if _, page, _ := c.browser(t).do("GET", "/hub/login", nil); !strings.Contains(page, "Bring your atlas") {
		t.Error("the teacher's file does not count")
	}
	before, _, err := c.hubs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"x = (\n":                       "srv/jupyterhub_config.py:1",
		"\nimport nothing_of_this_name": "srv/jupyterhub_config.py:2",
		"\n\nwhile True:\n    pass\n":   "srv/jupyterhub_config.py:",
		"c.JupyterHub.services = 7\n":   "srv/jupyterhub_config.py",
		"c.JupyterHub.logo_file = 7\n":  "srv/jupyterhub_config.py",
	} {
		_, err := c.deploy(t, map[string]string{"jupyterhub_config.py": text})
		l := notice.For(err)
		if len(l) != 1 || !strings.HasPrefix(l[0].Where(), want) {
			t.Errorf("%q: %v", text, err)
			continue
		}
		t.Logf("%q:\n%v", text, l[0])
	}
	after, left, err := c.hubs(t.Context())
	if err != nil || after.ID != before.ID || after.State != "running" || len(left) != 0 {
		t.Errorf("the serving hub was touched: %v %v %v", after, left, err)
	}
}

// A13 and U10 over the real engine: who is on the roster gets in with no restart,
// admin comes and goes with it, and who leaves it is out.
func TestA13_real(t *testing.T) {
	c := newRealClass(t)
	if _, err := c.deploy(t, nil); err != nil {
		t.Fatal(err)
	}
	admin := func(b *browser) bool {
		code, _, _ := b.do("GET", "/hub/admin", nil)
		return code == http.StatusOK
	}
	teacher := c.browser(t)
	if code, _ := teacher.login("teacher", "pw-teacher"); code != http.StatusFound || !admin(teacher) {
		t.Errorf("the teacher is no admin: %d", code)
	}
	c.roster.set(Account{Name: "teacher", UID: 2003, GID: 2003})
	teacher = c.browser(t)
	if code, _ := teacher.login("teacher", "pw-teacher"); code != http.StatusFound || admin(teacher) {
		t.Errorf("admin stays after the roster took it: %d", code)
	}
	chen := c.browser(t)
	if code, _ := chen.login("Chen", "pw-Chen"); code != http.StatusForbidden {
		t.Errorf("not on the roster: %d", code)
	}
	c.roster.set(Account{Name: "Chen", UID: 2010, GID: 2010})
	if code, _ := chen.login("Chen", "pw-Chen"); code != http.StatusFound {
		t.Fatalf("new on the roster: %d", code)
	}
	t.Logf("%q", chen.spawn("Chen"))
	c.roster.drop("Chen")
	began := time.Now()
	if err := c.Remove(t.Context(), "Chen"); err != nil {
		t.Error(err)
	}
	for {
		if code, _, to := chen.do("GET", "/hub/home", nil); code == http.StatusFound && strings.Contains(to, "login") {
			break
		}
		select {
		case <-t.Context().Done():
			t.Fatal("still in")
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Logf("out after %v", time.Since(began))
	if l, err := c.Servers(t.Context()); err != nil || len(l) != 0 {
		t.Errorf("%v %v", l, err)
	}
}
