package hub

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/conjuring/conjured/engine"
)

// until polls, and fails when the test's time is over.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for began := time.Now(); !ok(); time.Sleep(250 * time.Millisecond) {
		if time.Since(began) > 2*time.Minute {
			t.Fatalf("not within two minutes: %s", what)
		}
	}
}

// has tells whether JupyterHub believes that a server is ready.
func (c *realClass) has(t *testing.T, user, name string) bool {
	t.Helper()
	var u struct{ Servers map[string]known }
	err := c.api(t.Context(), http.MethodGet, "/hub/api/users/"+user, &u)
	return err == nil && u.Servers[name].Ready
}

// route tells when the route to a server was last used: when it was made.
func (r *routes) route(user, server string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	path := strings.TrimSuffix("/user/"+user+"/"+server, "/")
	if _, ok := r.all[path]; ok {
		return time.Unix(1, 0)
	}
	return time.Time{}
}

// A lesson over the real JupyterHub: servers are there before the students, one that
// dies is known within seconds, one that JupyterHub forgot comes back, and a second
// server of a student is like the first.
func TestLesson_real(t *testing.T) {
	c := newRealClass(t)
	c.conf.Lesson.Activity = func(user, server string) time.Time { return c.routes.route(user, server) }
	c.restart()
	srv := map[string]string{"jupyterhub_config.py": "c.JupyterHub.allow_named_servers = True\n"}
	if _, err := c.deploy(t, srv); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := c.BeginLesson(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "the lesson's servers are ready", func() bool {
		l, err := c.Lesson(t.Context())
		return err == nil && !l.Busy
	})
	l, err := c.Lesson(t.Context())
	if err != nil || l.Ready != 3 || l.Total != 3 || l.Unused != 3 || len(l.Left) != 0 {
		t.Fatalf("%+v %v", l, err)
	}
	t.Logf("three servers after %v", time.Since(began))
	b := c.browser(t)
	if code, page := b.login("amira", "pw-amira"); code != http.StatusFound {
		t.Fatalf("login: %d %s", code, page)
	}
	if code, _, to := b.do("GET", "/hub/spawn", nil); code != http.StatusFound || !strings.HasPrefix(to, "/user/amira/") {
		t.Errorf("no straight way to Lab: %d %s", code, to)
	}
	if l, err := c.Lesson(t.Context()); err != nil || l.Unused != 2 {
		t.Errorf("who logs in uses their server: %+v %v", l, err)
	}
	c.dies(t)
	c.isForgotten(t)
	if err := c.StartServer(t.Context(), "amira", "maths"); err != nil {
		t.Fatal(err)
	}
	until(t, "the second server is ready", func() bool { return c.has(t, "amira", "maths") })
	if !answers(t.Context(), over(c.paths.sock(serverID("amira", "maths")), 0), "/user/amira/maths/api") {
		t.Error("the second server does not answer")
	}
	if n, err := c.EndLesson(t.Context(), false); err != nil || n != 1 {
		t.Errorf("the teacher's server alone is unused: %d stopped, %v", n, err)
	}
	if c.has(t, "teacher", "") || !c.has(t, "amira", "") {
		t.Error("the wrong servers were stopped")
	}
}

// dies: JupyterHub learns of a container's end at once, not at its next look.
func (c *realClass) dies(t *testing.T) {
	t.Helper()
	id := serverID("ben", "")
	began := time.Now()
	if err := c.engine.Kill(t.Context(), c.containerName(id), "SIGKILL"); err != nil {
		t.Fatal(err)
	}
	until(t, "JupyterHub knows that ben's server is gone", func() bool { return !c.has(t, "ben", "") })
	until(t, "the route is gone", func() bool { return c.routes.route("ben", "").IsZero() })
	t.Logf("JupyterHub knew after %v", time.Since(began))
}

// isForgotten: a hub that has lost its database gets back the servers that run.
func (c *realClass) isForgotten(t *testing.T) {
	t.Helper()
	if err := c.engine.Kill(t.Context(), c.servingHome().name, "SIGKILL"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(c.paths.database()); err != nil {
		t.Fatal(err)
	}
	before, err := c.engine.List(t.Context(), map[string]string{engine.LabelRole: roleServer})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	until(t, "JupyterHub knows the servers again", func() bool { return c.has(t, "amira", "") && c.has(t, "teacher", "") })
	t.Logf("known again after %v", time.Since(began))
	after, err := c.engine.List(t.Context(), map[string]string{engine.LabelRole: roleServer})
	if err != nil || len(after) != len(before) {
		t.Errorf("containers: %d, then %d (%v)", len(before), len(after), err)
	}
}
