package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/conjuring/conjured/internal/needs"
)

// TestDesk is a lesson on our own pages, with the real hub: a student changes the
// password, the teacher gives a new one and sees a server come up, in a browser and
// without any script.
func TestDesk(t *testing.T) {
	needs.All(t, needs.Docker(), needs.Root(), needs.Chromium(), needs.Debootstrap())
	c := newClass(t, copyFolder(t, "testdata/class"))
	c.start()
	c.waitOpen(10 * time.Minute)
	l := &ownPages{class: c, teacher: newBrowser(t)}
	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"a student's own page, without a script", l.ownPage},
		{"the old password is asked for and the new one counts", l.ownPassword},
		{"a student is no teacher", l.noTeacher},
		{"forged forms change nothing", l.forged},
		{"the teacher sees a server come up", l.live},
		{"a student's page does not reach the teacher's", l.foreign},
		{"the teacher gives a new password", l.reset},
		{"a logout at the hub ends the session here", l.logout},
	} {
		if !t.Run(step.name, func(t *testing.T) { c.t, l.teacher.t = t, t; step.do(t) }) {
			break
		}
	}
	c.t, l.teacher.t = t, t
}

// ownPages is what the steps share.
type ownPages struct {
	class   *class
	amira   *student
	teacher *browser
}

var formToken = regexp.MustCompile(`name="form" value="([0-9a-f]{64})"`)

// page opens one of our pages as a browser without scripts does.
func (l *ownPages) page(t *testing.T, s *student, path string) (body, token string) {
	t.Helper()
	b, res, err := s.do(t.Context(), "GET", path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if m := formToken.FindSubmatch(b); m != nil {
		token = string(m[1])
	}
	if res.Header.Get("X-Frame-Options") != "DENY" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: headers %v", path, res.Header)
	}
	return string(b), token
}

func (l *ownPages) post(t *testing.T, s *student, path string, form url.Values) (string, int) {
	t.Helper()
	b, res, err := s.do(t.Context(), "POST", path, form)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), res.StatusCode
}

func (l *ownPages) enter(t *testing.T, name, password string) *student {
	t.Helper()
	s := newStudent(l.class.url, name, password)
	if err := s.login(t.Context()); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

func (l *ownPages) ownPage(t *testing.T) {
	l.amira = l.enter(t, "amira", "blue bicycle 12")
	body, _ := l.page(t, l.amira, "/conjured/account")
	for _, want := range []string{"My account", "amira", "not running", `action="/conjured/account/password"`} {
		if !strings.Contains(body, want) {
			t.Fatalf("the page has no %q:\n%s", want, body)
		}
	}
	if strings.Contains(body, `href="/conjured/teach"`) {
		t.Error("a student is shown the way to the teacher's page")
	}
}

func (l *ownPages) ownPassword(t *testing.T) {
	elsewhere := l.enter(t, "amira", "blue bicycle 12")
	_, token := l.page(t, l.amira, "/conjured/account")
	change := func(old, fresh, again string) string {
		body, _ := l.post(t, l.amira, "/conjured/account/password", url.Values{"form": {token}, "old": {old}, "new": {fresh}, "again": {again}})
		return body
	}
	for _, x := range [][4]string{
		{"blue bicycle 12", "green tram 77", "green tram 78", "not the same"},
		{"not this", "green tram 77", "green tram 77", "Your own password is not right"},
		{"blue bicycle 12", "amira", "amira", "it needs 6 or more"},
	} {
		if body := change(x[0], x[1], x[2]); !strings.Contains(body, x[3]) {
			t.Errorf("change %v: no %q", x, x[3])
		}
	}
	l.class.eventually(20*time.Second, "the change", func() bool { // a wrong try makes the next one wait
		return strings.Contains(change("blue bicycle 12", "green tram 77", "green tram 77"), "Your password is changed")
	})
	if body, _ := l.page(t, l.amira, "/conjured/account"); !strings.Contains(body, "You chose your password yourself") {
		t.Error("the session that changed the password is not there any more")
	}
	if err := newStudent(l.class.url, "amira", "blue bicycle 12").login(t.Context()); err == nil {
		t.Error("the old password still counts")
	}
	l.class.eventually(20*time.Second, "the other computer is logged out", func() bool {
		_, res, err := elsewhere.do(t.Context(), "GET", "/hub/home", nil)
		return err == nil && strings.HasSuffix(res.Request.URL.Path, "/hub/login")
	})
	l.class.eventually(20*time.Second, "the new password lets in", func() bool {
		s := newStudent(l.class.url, "amira", "green tram 77")
		if s.login(t.Context()) != nil {
			return false
		}
		for range 3 { // and stays in: the mark of this login is the new one
			_, res, err := s.do(t.Context(), "GET", "/hub/home", nil)
			if err != nil || strings.HasSuffix(res.Request.URL.Path, "/hub/login") {
				t.Errorf("out again after the new login: %v", statusOf(res))
			}
		}
		return true
	})
}

func (l *ownPages) noTeacher(t *testing.T) {
	b, res, err := l.amira.do(t.Context(), "GET", "/conjured/teach", nil)
	if err != nil || res.StatusCode != http.StatusForbidden || !strings.Contains(string(b), "This page is for teachers") {
		t.Fatalf("%v %v\n%s", statusOf(res), err, b)
	}
	_, token := l.page(t, l.amira, "/conjured/account")
	if _, code := l.post(t, l.amira, "/conjured/teach/act", url.Values{"form": {token}, "do": {"reset teacher"}, "sure": {"yes"}, "password": {"green tram 77"}}); code != http.StatusForbidden {
		t.Errorf("a student's act: %d", code)
	}
}

func (l *ownPages) forged(t *testing.T) {
	for what, form := range map[string]url.Values{
		"no token": {"do": {"start"}}, "another's": {"form": {strings.Repeat("ab", 32)}, "do": {"start "}},
	} {
		if _, code := l.post(t, l.amira, "/conjured/account/server", form); code != http.StatusForbidden {
			t.Errorf("%s: %d", what, code)
		}
	}
	// What comes back to the login's last page, again or from somebody else.
	_, res, err := newStudent(l.class.url, "x", "x").do(t.Context(), "GET", "/conjured/oauth_callback?code=abc&state=1.2.3.4", nil)
	if err != nil || res.StatusCode != http.StatusForbidden {
		t.Errorf("a forged login: %v %v", statusOf(res), err)
	}
}

func (l *ownPages) live(t *testing.T) {
	b := l.teacher
	b.within(10*time.Second, "a laptop", chromedp.EmulateViewport(1366, 768))
	b.open(l.class.url + "/conjured/teach")
	b.until(20*time.Second, "the login page", "document.querySelector('#username_input')")
	b.login("teacher", "chalk and board")
	b.until(20*time.Second, "the class", "document.querySelector('#rows tr')")
	b.until(10*time.Second, "the stream", "document.querySelector('#live').textContent === 'Live'")
	b.shot("desk-class")
	l.amira = l.enter(t, "amira", "green tram 77")
	_, token := l.page(t, l.amira, "/conjured/account")
	body, code := l.post(t, l.amira, "/conjured/account/server", url.Values{"form": {token}, "do": {"start "}})
	if code != 200 || !strings.Contains(body, "Your server is being started") {
		t.Fatalf("start: %d\n%s", code, body)
	}
	row := "document.getElementById('" + fmt.Sprintf("p%x", "amira") + "')"
	b.until(5*time.Minute, "the server on the page, without loading it again", row+".classList.contains('ready')")
	b.until(20*time.Second, "its memory", row+".innerText.includes('MB')")
	b.shot("desk-class-live")
	b.phone()
	b.shot("desk-class-phone")
	b.within(10*time.Second, "a laptop again", chromedp.EmulateViewport(1366, 768))
	// The teacher stops it; nobody is there, so nothing is asked.
	b.within(10*time.Second, "stop", chromedp.Click(buttonOf("amira", "stop amira")))
	b.see(time.Minute, "amira's server is stopped")
	b.shot("desk-stopped")
}

func buttonOf(name, do string) string { return fmt.Sprintf(`#p%x button[value="%s"]`, name, do) }

// foreign: a student's server shows what the student likes. In the teacher's browser it
// must not read our pages, nor the hub's, in the teacher's name.
func (l *ownPages) foreign(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := l.amira.spawn(ctx); err != nil {
		t.Fatal(err)
	}
	b := l.teacher
	b.open(l.class.url + "/user/amira/files/evil.html")
	b.see(20*time.Second, "This is amira's server")
	b.shot("desk-open")
	// Whatever else of that server becomes a page is a stranger here.
	code := "fetch('/user/amira/api', {headers: {Accept: '*/*'}}).then(r => window.policy = r.headers.get('Content-Security-Policy'))"
	if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](code+"; 0")); err != nil {
		t.Fatal(err)
	}
	b.until(10*time.Second, "the sandbox", "window.policy && window.policy.includes('sandbox allow-scripts')")
	b.within(10*time.Second, "open it all the same", chromedp.Click("button.danger"))
	b.until(20*time.Second, "the student's server", "location.pathname.startsWith('/user/amira') || location.pathname.startsWith('/hub/')")
	b.open(l.class.url + "/conjured/teach")
	b.until(20*time.Second, "the class", "document.querySelector('#rows tr')")
}

func (l *ownPages) reset(t *testing.T) {
	b := l.teacher
	b.within(10*time.Second, "ask for a new password", chromedp.Click(buttonOf("amira", "reset amira")))
	b.see(20*time.Second, "A new password for amira")
	b.shot("desk-reset")
	b.within(10*time.Second, "a wrong password of one's own", chromedp.SetValue("#password", "not this"), chromedp.Click("button.danger"))
	b.see(20*time.Second, "own password is not right")
	b.within(10*time.Second, "the right one", chromedp.SetValue("#password", "chalk and board"), chromedp.Click("button.danger"))
	b.until(20*time.Second, "the card", "document.querySelector('.login .password')")
	b.shot("desk-card")
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	fresh, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.querySelector('.login .password').textContent"))
	if err != nil {
		t.Fatal(err)
	}
	b.within(10*time.Second, "done", chromedp.Click(`button[value="forget"]`))
	b.see(20*time.Second, "no longer shown")
	b.open(l.class.url + "/conjured/teach/passwords")
	b.see(20*time.Second, "These passwords are no longer shown")
	l.class.eventually(20*time.Second, "the student is out", func() bool {
		_, res, err := l.amira.do(t.Context(), "GET", "/conjured/account", nil)
		return err == nil && strings.HasSuffix(res.Request.URL.Path, "/hub/login")
	})
	l.amira = l.enter(t, "amira", fresh)
	if body, _ := l.page(t, l.amira, "/conjured/account"); !strings.Contains(body, "Your password was given to you") {
		t.Error("the new password does not count as given")
	}
}

func (l *ownPages) logout(t *testing.T) {
	if _, _, err := l.amira.do(t.Context(), "GET", "/hub/logout", nil); err != nil {
		t.Fatal(err)
	}
	l.class.eventually(30*time.Second, "logged out here too", func() bool {
		_, res, err := l.amira.do(t.Context(), "GET", "/conjured/account", nil)
		return err == nil && strings.HasSuffix(res.Request.URL.Path, "/hub/login")
	})
	// The next one at the same computer is not taken for the one before.
	shared := l.enter(t, "teacher", "chalk and board")
	if body, _ := l.page(t, shared, "/conjured/account"); !strings.Contains(body, ">teacher<") {
		t.Error("not the teacher")
	}
	if _, _, err := shared.do(t.Context(), "GET", "/hub/logout", nil); err != nil {
		t.Fatal(err)
	}
	shared.name, shared.password = l.amira.name, l.amira.password
	if err := shared.login(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/user/amira/lab", "/conjured/account"} {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", l.class.url+path, nil)
		req.Header.Set("Accept", "text/html")
		res, err := shared.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if res.Body.Close(); strings.HasPrefix(res.Request.URL.Path, "/conjured/open") || res.StatusCode != 200 {
			t.Errorf("%s: %s", path, statusOf(res))
		}
	}
	b := l.teacher
	b.open(l.class.url + "/conjured/account")
	b.see(20*time.Second, "My account")
	b.within(10*time.Second, "log out", chromedp.Click("form.out button"))
	b.until(20*time.Second, "the hub's login", "location.pathname.startsWith('/hub/')")
	b.open(l.class.url + "/conjured/teach")
	b.until(20*time.Second, "the login page", "document.querySelector('#username_input')")
}
