package desk_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/conjuring/conjured/gateway/desk"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

func TestOwnPassword(t *testing.T) {
	s := newSite(t, three()...)
	v, other := s.visitor("anna"), s.visitor("anna")
	v.want("Your password was given to you", 200)(v.get("/conjured/account"))
	other.get("/conjured/account")
	v.want("not the same", 403)(v.post("/conjured/account/password", "old", "password of anna", "new", "abcdefg", "again", "abcdefh"))
	v.want("Your own password is not right", 403)(v.post("/conjured/account/password", "old", "x", "new", "abcdefg", "again", "abcdefg"))
	v.want("it needs 6 or more", 403)(v.post("/conjured/account/password", "old", "password of anna", "new", "abc", "again", "abc"))
	s.wantActs()
	v.want("Your password is changed", 200)(v.post("/conjured/account/password", "old", "password of anna", "new", "abcdefg", "again", "abcdefg"))
	s.wantActs("change anna")
	if s.class.kept != "session of anna" {
		t.Errorf("kept %q", s.class.kept)
	}
	if b, _ := v.get("/conjured/account"); strings.Contains(b, "is changed") {
		t.Error("it is said twice")
	}
	other.want("Your login had ended", 401)(other.post("/conjured/account/server", "do", "stop "))
}

func TestOwnServer(t *testing.T) {
	s := newSite(t, three()...)
	v := s.visitor("anna")
	v.want("not running", 200)(v.get("/conjured/account"))
	v.want("is being started", 200)(v.post("/conjured/account/server", "do", "start "))
	v.want("does not know", 200)(v.post("/conjured/account/server", "do", "stop other"))
	v.want("does not know", 200)(v.post("/conjured/account/server", "do", "reset anna"))
	s.class.change("anna", func(p *desk.Person) {
		p.Servers = []desk.Server{{State: "ready", Since: time.Now(), Memory: 300e6, MemoryLimit: 1e9}}
		p.Disk, p.DiskLimit = 2e9, 4e9
	})
	v.want(`value="restart "`, 200)(v.get("/conjured/account"))
	v.want("2.0 GB <small>of 4.0 GB", 200)(v.get("/conjured/account/servers"))
	v.want("is stopped", 200)(v.post("/conjured/account/server", "do", "stop "))
	s.wantActs("start anna/", "stop anna/")
	v.want("is being restarted", 200)(v.post("/conjured/account/server", "do", "restart "))
	s.stop()
	s.wantActs("start anna/", "stop anna/", "stop anna/", "start anna/")
}

func TestTeach(t *testing.T) {
	s := newSite(t, three()...)
	v := s.visitor("mara")
	v.want("0 <small>of 3</small>", 200)(v.get("/conjured/teach"))
	v.want("anna&#39;s server is being started", 200)(v.post("/conjured/teach/act", "do", "start anna"))
	v.want("Start it again", 200)(v.post("/conjured/teach/act", "do", "stop anna"))
	s.class.change("ben", func(p *desk.Person) {
		p.Open, p.Servers = 1, []desk.Server{{State: "ready"}, {Name: "maths", State: "ready"}}
	})
	v.want("ben is working there now", 200)(v.post("/conjured/teach/act", "do", "stop ben"))
	v.want("ben&#39;s server is stopped", 200)(v.post("/conjured/teach/act", "do", "stop ben", "sure", "yes"))
	v.want("Nobody of that name", 200)(v.post("/conjured/teach/act", "do", "start zoe"))
	v.want("does not know", 200)(v.post("/conjured/teach/act", "do", "fly anna"))
	s.wantActs("start anna/", "stop anna/", "stop ben/", "stop ben/maths")
	v.want("The lesson has begun", 200)(v.post("/conjured/teach/act", "do", "begin"))
	v.want("1 of 3 servers are ready, all of them in about 40 seconds", 200)(v.get("/conjured/teach"))
	v.want("Students who are working can finish", 200)(v.post("/conjured/teach/act", "do", "end"))
	v.want("The lesson has ended", 200)(v.post("/conjured/teach/act", "do", "end", "sure", "yes", "all", "yes"))
	v.want("What the students", 200)(v.post("/conjured/teach/act", "do", "stop-all"))
	s.class.change("anna", func(p *desk.Person) { p.Servers = []desk.Server{{State: "queued", Place: 3}} })
	s.class.change("mara", func(p *desk.Person) { p.Servers = []desk.Server{{State: "ready"}} })
	v.eventually("/conjured/teach?show=waiting", "waiting, number 3")
	v.want("are being stopped", 200)(v.post("/conjured/teach/act", "do", "stop-all", "sure", "yes"))
	s.stop()
	if got := s.class.done(); !slices.Contains(got, "end all=true") || !slices.Contains(got, "stop anna/") || slices.Contains(got, "stop mara/") {
		t.Errorf("done: %q", got)
	}
}

func TestReset(t *testing.T) {
	s := newSite(t, three()...)
	v, anna := s.visitor("mara"), s.visitor("anna")
	anna.get("/conjured/account")
	v.get("/conjured/teach")
	v.want("A new password for anna", 200)(v.post("/conjured/teach/act", "do", "reset anna"))
	v.want("Your own password is not right", 403)(v.post("/conjured/teach/act", "do", "reset anna", "sure", "yes", "password", "password of anna"))
	s.wantActs()
	v.want("lamp-river-otter-anna", 200)(v.post("/conjured/teach/act", "do", "reset anna", "sure", "yes", "password", "password of mara"))
	s.wantActs("reset anna")
	anna.want("had ended", 401)(anna.post("/conjured/account/server", "do", "start "))
	v.want("lamp-river-otter-anna", 200)(v.get("/conjured/teach/passwords"))
	other := s.visitor("mara")
	other.want("no longer shown", 410)(other.get("/conjured/teach/passwords"))
	v.want("The new passwords are no longer shown", 200)(v.post("/conjured/teach/act", "do", "forget"))
	v.want("no longer shown", 410)(v.get("/conjured/teach/passwords"))
	v.want("All 2 students get a new password", 200)(v.post("/conjured/teach/act", "do", "reset-all"))
	v.want("lamp-river-otter-ben", 200)(v.post("/conjured/teach/act", "do", "reset-all", "sure", "yes", "password", "password of mara"))
	s.wantActs("reset anna", "reset anna", "reset ben")
}

// Whoever is no teacher, is no longer one, or left, does nothing.
func TestWhoMay(t *testing.T) {
	s := newSite(t, three()...)
	v := s.visitor("anna")
	v.get("/conjured/account")
	for _, path := range []string{"/conjured/teach", "/conjured/teach/live", "/conjured/teach/confirm?do=stop-all", "/conjured/teach/passwords"} {
		v.want("for teachers", 403)(v.get(path))
	}
	v.want("for teachers", 403)(v.post("/conjured/teach/act", "do", "start ben"))
	m := s.visitor("mara")
	m.get("/conjured/teach")
	s.class.change("mara", func(p *desk.Person) { p.Admin = false })
	m.want("for teachers", 403)(m.post("/conjured/teach/act", "do", "start ben"))
	s.class.change("mara", func(p *desk.Person) { p.Name = "gone" })
	m.want("had ended", 401)(m.post("/conjured/account/server", "do", "start "))
	n := s.visitor("")
	n.want("the login form", 401)(n.get("/conjured/teach"))
	n.want("nobody is logged in", 401)(n.get("/conjured/teach/live"))
	s.wantActs()
}

func TestForged(t *testing.T) {
	s := newSite(t, three()...)
	v, b := s.visitor("mara"), s.visitor("ben")
	v.get("/conjured/teach")
	b.get("/conjured/account")
	mine := v.form
	v.form = b.form
	v.want("Nothing was changed", 403)(v.post("/conjured/teach/act", "do", "start anna"))
	v.form = ""
	v.want("Nothing was changed", 403)(v.post("/conjured/teach/act", "do", "start anna"))
	v.form = "" // the page that refuses has a form too
	v.want("Nothing was changed", 403)(v.post("/conjured/logout"))
	v.form = mine
	v.want("Nothing was changed", 403)(v.post("/conjured/teach/act", "do", "start anna", "find", strings.Repeat("x", 20<<10)))
	for _, h := range [][2]string{{"Origin", "http://evil.example"}, {"Origin", "null"}, {"Sec-Fetch-Site", "cross-site"}} {
		r, _ := http.NewRequest(http.MethodPost, v.URL+"/conjured/teach/act", strings.NewReader(url.Values{"form": {mine}, "do": {"start anna"}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(h[0], h[1])
		if _, res := v.send(r); res.StatusCode != 403 {
			t.Errorf("%v: %s", h, res.Status)
		}
	}
	// A form's token does not show up where a page is not opened as one.
	r, _ := http.NewRequest(http.MethodGet, v.URL+"/conjured/teach", nil)
	r.Header.Set("Sec-Fetch-Dest", "empty")
	if body, res := v.send(r); res.StatusCode != 403 || strings.Contains(body, "do=") {
		t.Errorf("a script reads the page: %s", res.Status)
	}
	s.wantActs()
	if _, code := v.get("/conjured/teach/act"); code != 405 {
		t.Errorf("GET of an act: %d", code)
	}
}

func TestHeaders(t *testing.T) {
	s := newSite(t, three()...)
	v := s.visitor("mara")
	for _, path := range []string{"/conjured/account", "/conjured/teach", "/conjured/oauth_callback?state=%0d%0aX-Evil:1&code=%0d%0a", "/conjured/teach?find=%0d%0aX-Evil:%201%22%3E%3Cscript%3E"} {
		r, _ := http.NewRequest(http.MethodGet, v.URL+path, nil)
		body, res := v.send(r)
		for name, want := range map[string]string{
			"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "X-Evil": "",
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		csp := res.Header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", path, csp)
		}
		if strings.Contains(body, "<script>") || strings.Contains(body, "style=") || strings.Contains(body, " onclick") {
			t.Errorf("%s: something inline:\n%s", path, body)
		}
	}
}

func TestHubAway(t *testing.T) {
	s := newSite(t, three()...)
	v := s.visitor("mara")
	v.get("/conjured/teach")
	s.hub.SetAway(true)
	v.want("The class now", 200)(v.get("/conjured/teach")) // who is known can go on
	r, _ := http.NewRequest(http.MethodGet, v.URL+"/conjured/oauth_callback?code=1&state=2", nil)
	if body, res := v.send(r); res.StatusCode != 200 || !strings.Contains(body, "My account") {
		t.Errorf("an old address: %s", res.Status)
	}
	s.hub.SetAway(false)
	s.class.mu.Lock()
	s.class.broken = true
	s.class.mu.Unlock()
	v.eventually("/conjured/teach", "Docker does not answer now")
	v.want("The class does not answer now", 200)(v.get("/conjured/account"))
}

func TestNotices(t *testing.T) {
	s := newSite(t, three()...)
	s.class.notices = []notice.Notice{
		{Code: "a", Severity: notice.SeverityError, What: "pandsa is not a package", File: "requirements.txt", Line: 3},
		{Code: "b", Severity: notice.SeverityWarning, What: "<script>alert(1)</script>"},
	}
	v := s.visitor("mara")
	body, _ := v.get("/conjured/teach")
	if !strings.Contains(body, "requirements.txt:3") || !strings.Contains(body, "&lt;script&gt;") || !strings.Contains(body, "1 thing good to know") {
		t.Errorf("%s", body)
	}
	id := regexp.MustCompile(`value="dismiss ([0-9a-f]+)"`).FindStringSubmatch(body)
	if len(id) != 2 {
		t.Fatal("no button")
	}
	body, _ = v.post("/conjured/teach/act", "do", "dismiss "+id[1])
	if strings.Contains(body, "pandsa") || !strings.Contains(body, "good to know") {
		t.Error("the wrong notice was put away")
	}
}

// What failed is told once: where a notice says it, the work that failed is not shown too.
func TestFailureIsToldOnce(t *testing.T) {
	s := newSite(t, three()...)
	const what = "there is no package called pandsa"
	s.class.notices = []notice.Notice{{Code: "pip", Severity: notice.SeverityError, What: what, Means: "the class works on", Do: "correct the name"}}
	s.news.Progress(progress.Event{Job: "kernels", State: progress.Failed, Step: what})
	s.news.Progress(progress.Event{Job: "image", State: progress.Failed, Step: "the disk is full"})
	v := s.visitor("mara")
	v.eventually("/conjured/teach", "The class works on")
	b, _ := v.get("/conjured/teach")
	if strings.Contains(b, `<p class="step">`+what) || !strings.Contains(strings.ToLower(b), `<p class="step">the disk is full`) {
		t.Errorf("%s", b)
	}
}

func TestOpen(t *testing.T) {
	s := newSite(t, three()...)
	v := s.visitor("mara")
	v.want("Pages of ben's server are made by ben", 200)(v.get("/conjured/open?to=" + url.QueryEscape("/user/ben/lab?x=1")))
	v.want("404", 404)(v.post("/conjured/open", "to", "/user/ben/lab?x=1")) // there is no server behind this test's
	v.want("404", 404)(v.get("/conjured/open?to=/user/mara/lab"))
	for _, to := range []string{"", "//evil.example/user/ben/", "https://evil.example/user/ben/", "/hub/logout", "/user/", "/user//", "/user/../hub/", "/user/ben\\x"} {
		v.want("My account", 200)(v.get("/conjured/open?to=" + url.QueryEscape(to)))
	}
	v.form = ""
	v.want("Nothing was changed", 403)(v.post("/conjured/open", "to", "/user/ben/"))
	n := s.visitor("mara") // a page of the hub asks for the image before any of ours was seen
	r, _ := http.NewRequest(http.MethodGet, s.URL+"/conjured/guard", nil)
	r.Header.Set("Sec-Fetch-Dest", "image")
	_, res := n.send(r)
	u, _ := url.Parse(s.URL + "/user/ben/")
	if c := n.http.Jar.Cookies(u); res.StatusCode != 204 || len(c) != 1 || c[0].Name != "conjured-guard" {
		t.Errorf("the guard: %s %v", res.Status, c)
	}
	s.hub.Logout("mara")
	v.get("/hub/login?user=ben")
	v.want("404", 404)(v.get("/conjured/open?to=/user/ben/lab"))
}
