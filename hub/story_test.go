package hub

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/conjuring/conjured/notice"
)

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

// A kernel that takes its time to start is taken for dead while it has no heartbeat.
const executes = `
import sys, time
from jupyter_client import BlockingKernelClient
c = BlockingKernelClient(connection_file=sys.argv[1]); c.load_connection_file(); c.start_channels()
end = time.monotonic() + 90
while True:
    try:
        c.wait_for_ready(timeout=60)
        break
    except RuntimeError:
        if time.monotonic() > end:
            raise
c.execute_interactive(sys.argv[2], timeout=60)
`

// kernel starts one in the user's server and gives a function that runs code in it.
func (c *realClass) kernel(t *testing.T, user string) func(code string) string {
	t.Helper()
	return c.kernelOf(t, user, "python3")
}

// kernelOf starts one by its name.
func (c *realClass) kernelOf(t *testing.T, user, name string) func(code string) string {
	t.Helper()
	id := serverID(user, "")
	code, b := c.ask(t, user, "POST", "/api/kernels", `{"name":"`+name+`"}`)
	var k struct{ ID string }
	if err := json.Unmarshal(b, &k); err != nil || code != http.StatusCreated {
		t.Fatalf("kernel: %d %s", code, b)
	}
	return func(code string) string {
		t.Helper()
		var out strings.Builder
		n, err := c.engine.Exec(t.Context(), c.containerName(id), []string{
			"/opt/conjured/bin/launch", "base@current", "python", "-c", executes,
			runtimeDir + "/kernel-" + k.ID + ".json", code,
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

// A student whose server needs more than it may have reads so on the page.
func TestStart_saysWhy_real(t *testing.T) {
	c := newRealClass(t)
	c.conf.Limits.Memory = 40 * mib
	c.restart()
	if _, err := c.deploy(t, nil); err != nil {
		t.Fatal(err)
	}
	b := c.browser(t)
	if code, _ := b.login("ben", "pw-ben"); code != http.StatusFound {
		t.Fatalf("login: %d", code)
	}
	said := b.spawn("ben")
	if last := said[len(said)-1]; !strings.Contains(last, "more memory than the 40 MB") {
		t.Errorf("%q", said)
	}
	_, page, _ := b.do("GET", "/hub/spawn-pending/ben", nil)
	if !strings.Contains(page, "more memory than the 40 MB") {
		t.Errorf("the page after: %s", page)
	}
	if l, err := c.engine.List(t.Context(), c.label(roleServer)); err != nil || len(l) != 0 {
		t.Errorf("left: %v %v", l, err)
	}
}
