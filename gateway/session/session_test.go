package session_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/conjuring/conjured/gateway/session"
	"github.com/conjuring/conjured/gateway/session/sessiontest"
)

// roster is who is in the class.
type roster struct {
	mu     sync.Mutex
	people map[string]bool // admin
}

func (r *roster) Person(name string) (session.Person, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	admin, ok := r.people[name]
	return session.Person{Name: name, Admin: admin}, ok
}

func (r *roster) change(f func(map[string]bool)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r.people)
}

// site is a server with the fake hub and one page of ours.
type site struct {
	*httptest.Server
	t        *testing.T
	hub      *sessiontest.Hub
	roster   *roster
	sessions *session.Sessions
}

func newSite(t *testing.T, check time.Duration) *site {
	s := &site{t: t, hub: sessiontest.New(), roster: &roster{people: map[string]bool{"anna": true, "ben": false}}}
	var err error
	s.sessions, err = session.New(session.Config{Hub: s.hub.Client(), Secret: sessiontest.Secret, Roster: s.roster, Check: check})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/hub/", s.hub)
	mux.HandleFunc("/conjured/oauth_callback", func(w http.ResponseWriter, r *http.Request) {
		next, err := s.sessions.Finish(w, r)
		if err != nil {
			http.Error(w, err.Error(), status(err))
			return
		}
		http.Redirect(w, r, next, http.StatusSeeOther)
	})
	mux.HandleFunc("/conjured/", s.page)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// page says who is there, or sends to the login; a POST must be meant.
func (s *site) page(w http.ResponseWriter, r *http.Request) {
	e, err := s.sessions.Of(r)
	switch {
	case errors.Is(err, session.ErrNone) && r.Method == http.MethodGet:
		s.sessions.Begin(w, r, r.URL.RequestURI())
	case err != nil:
		http.Error(w, err.Error(), status(err))
	case r.Method == http.MethodPost && e.Meant(r) != nil:
		http.Error(w, "not meant", http.StatusForbidden)
	case r.URL.Path == "/conjured/out":
		s.sessions.End(w, r)
	default:
		fmt.Fprintf(w, "%s admin=%t form=%s login=%s", e.Name, e.Admin, e.Form, e.Login)
	}
}

func status(err error) int {
	switch {
	case errors.Is(err, session.ErrHubAway):
		return http.StatusServiceUnavailable
	case errors.Is(err, session.ErrNone):
		return http.StatusUnauthorized
	}
	return http.StatusForbidden
}

// visitor is a browser; user "" is not logged in at the hub.
func (s *site) visitor(user string) *http.Client {
	jar, _ := cookiejar.New(nil)
	c := &http.Client{Jar: jar}
	if user != "" {
		s.get(c, "/hub/login?user="+user)
	}
	return c
}

func (s *site) get(c *http.Client, path string) (string, int) {
	s.t.Helper()
	res, err := c.Get(s.URL + path)
	if err != nil {
		s.t.Fatal(err)
	}
	return read(s.t, res)
}

func read(t *testing.T, res *http.Response) (string, int) {
	t.Helper()
	defer res.Body.Close()
	b := new(strings.Builder)
	if _, err := fmt.Fprint(b, res.Header.Get("Location")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := res.Body.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			break
		}
	}
	return b.String(), res.StatusCode
}

func (s *site) want(c *http.Client, path, text string, code int) {
	s.t.Helper()
	if got, n := s.get(c, path); n != code || !strings.Contains(got, text) {
		s.t.Errorf("GET %s: %d %q, want %d with %q", path, n, got, code, text)
	}
}

// noFollow stops at the first redirect.
func noFollow(c *http.Client) *http.Client {
	d := *c
	d.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &d
}

func TestLogin(t *testing.T) {
	s := newSite(t, time.Hour)
	c := s.visitor("anna")
	s.want(c, "/conjured/account?x=1", "anna admin=true", 200)
	s.want(c, "/conjured/account", "login=session of anna", 200)
	s.want(s.visitor("ben"), "/conjured/account", "ben admin=false", 200)
	s.want(s.visitor(""), "/conjured/account", "the login form", 401)
	if n := s.hub.Asked(); n != 2 {
		t.Errorf("the hub was asked %d times for two logins and three pages", n)
	}
	s.roster.change(func(p map[string]bool) { p["anna"] = false })
	s.want(c, "/conjured/account", "anna admin=false", 200)
}

func TestCookie(t *testing.T) {
	s := newSite(t, time.Hour)
	c := s.visitor("anna")
	s.get(c, "/conjured/account")
	r := httptest.NewRequest(http.MethodGet, "/conjured/account", nil)
	w := httptest.NewRecorder()
	s.sessions.Begin(w, r, "/conjured/account")
	for _, k := range w.Result().Cookies() {
		if !k.HttpOnly || k.SameSite != http.SameSiteLaxMode || k.Secure || k.Path != "/conjured/oauth_callback" || k.Domain != "" {
			t.Errorf("cookie %v", k)
		}
	}
	r.TLS = &tls.ConnectionState{}
	w = httptest.NewRecorder()
	s.sessions.Begin(w, r, "/conjured/account")
	if k := w.Result().Cookies()[0]; !k.Secure || !strings.HasPrefix(k.Name, "__Secure-") {
		t.Errorf("cookie by HTTPS %v", k)
	}
	// A page of a student's sets one more, for a deeper path: it is sent first.
	u, _ := url.Parse(s.URL + "/conjured/account")
	c.Jar.SetCookies(u, []*http.Cookie{{Name: "conjured-session", Value: strings.Repeat("ab", 32), Path: "/conjured/account"}})
	d := noFollow(c)
	s.want(d, "/conjured/account", "/hub/api/oauth2/authorize", 303)
	s.want(d, "/conjured/teach", "anna", 200)
}

func TestFixation(t *testing.T) {
	s := newSite(t, time.Hour)
	c := s.visitor("anna")
	u, _ := url.Parse(s.URL + "/conjured/account")
	planted := strings.Repeat("cd", 32)
	c.Jar.SetCookies(u, []*http.Cookie{{Name: "conjured-session", Value: planted, Path: "/conjured"}})
	s.want(c, "/conjured/account", "anna", 200)
	for _, k := range c.Jar.Cookies(u) {
		if k.Name == "conjured-session" && k.Value == planted {
			t.Error("the planted session was kept")
		}
	}
	// A second login gives another id, and the first one is worth nothing.
	before := c.Jar.Cookies(u)
	thief := s.visitor("")
	state := beginAndStop(t, s, c)
	s.get(c, state)
	thief.Jar.SetCookies(u, before)
	s.want(noFollow(thief), "/conjured/account", "/hub/api/oauth2/authorize", 303)
}

// beginAndStop walks a login up to the address that the hub sends the browser to.
func beginAndStop(t *testing.T, s *site, c *http.Client) (callback string) {
	t.Helper()
	d := noFollow(c)
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/conjured/account", nil)
	s.sessions.Begin(w, r, "/conjured/account")
	u, _ := url.Parse(s.URL + "/conjured/oauth_callback")
	c.Jar.SetCookies(u, w.Result().Cookies())
	to, code := s.get(d, w.Header().Get("Location"))
	if code != 302 {
		t.Fatalf("the hub answers %d %s", code, to)
	}
	callback, _, _ = strings.Cut(to, "<")
	return strings.TrimSpace(callback)
}

func TestForgedLogins(t *testing.T) {
	s := newSite(t, time.Hour)
	anna, ben := s.visitor("anna"), s.visitor("ben")
	// Ben sends Anna the end of his own login: she would work in his name.
	s.want(anna, beginAndStop(t, s, ben), "did not begin", 403)
	own := beginAndStop(t, s, anna)
	s.want(anna, strings.Replace(own, "state=", "state=x", 1), "did not begin", 403)
	s.want(anna, own, "anna", 200)
	// The same address once more, by anybody.
	s.want(anna, own, "did not begin", 403)
	s.want(ben, own, "did not begin", 403)
	// A code that was got with another verifier.
	u, _ := url.Parse(beginAndStop(t, s, ben))
	v, _ := url.Parse(beginAndStop(t, s, anna))
	q := v.Query()
	q.Set("code", u.Query().Get("code"))
	s.want(anna, v.Path+"?"+q.Encode(), "let this person in", 403)
	s.want(anna, "/conjured/oauth_callback?state=a.b.c.d&code=1", "did not begin", 403)
	s.want(anna, "/conjured/oauth_callback?error=access_denied&state="+url.QueryEscape(mustState(t, s, anna)), "let this person in", 403)
}

func mustState(t *testing.T, s *site, c *http.Client) string {
	u, err := url.Parse(beginAndStop(t, s, c))
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("state")
}

// Where a login leads is ours to say, whatever link it began with.
func TestNext(t *testing.T) {
	s := newSite(t, time.Hour)
	for next, want := range map[string]string{
		"/conjured/teach?show=here": "/conjured/teach?show=here", "//evil.example/conjured/": "/conjured/account",
		"https://evil.example/conjured/x": "/conjured/account", "/hub/logout": "/conjured/account", "/conjured/../hub/": "/conjured/account",
		"/conjured\\@evil": "/conjured/account", "/conjured/%2e%2e/hub": "/conjured/account", "/conjured/a\r\nSet-Cookie: x=1": "/conjured/account",
		"/conjured/" + strings.Repeat("a", 600): "/conjured/account", "": "/conjured/account",
	} {
		c := s.visitor("anna")
		w := httptest.NewRecorder()
		s.sessions.Begin(w, httptest.NewRequest(http.MethodGet, "/conjured/account", nil), next)
		u, _ := url.Parse(s.URL + "/conjured/oauth_callback")
		c.Jar.SetCookies(u, w.Result().Cookies())
		to, _ := s.get(noFollow(c), w.Header().Get("Location"))
		to, _, _ = strings.Cut(to, "<")
		got, _ := s.get(noFollow(c), strings.TrimSpace(to))
		if got, _, _ = strings.Cut(got, "<"); got != want {
			t.Errorf("next %q leads to %q, want %q", next, got, want)
		}
	}
}

func TestEnds(t *testing.T) {
	s := newSite(t, time.Nanosecond)
	login := func(user string) *http.Client {
		c := s.visitor(user)
		s.want(c, "/conjured/account", user, 200)
		return noFollow(c)
	}
	gone := func(c *http.Client) {
		t.Helper()
		s.want(c, "/conjured/account", "/hub/api/oauth2/authorize", 303)
	}
	c := login("ben")
	s.roster.change(func(p map[string]bool) { delete(p, "ben") })
	gone(c)
	s.roster.change(func(p map[string]bool) { p["ben"] = false })
	gone(c) // an account that comes back does not bring old sessions
	c = login("ben")
	s.hub.Logout("ben")
	gone(c)
	c, d := login("ben"), login("ben")
	s.get(c, "/conjured/out")
	gone(c)
	s.want(d, "/conjured/account", "ben", 200)
	s.sessions.EndUser("ben", nil)
	gone(d)
	c = login("anna")
	s.hub.SetAway(true)
	s.want(c, "/conjured/account", "anna", 200) // its last word stands for a while
	s.want(s.visitor(""), "/conjured/account", "", 503)
	s.hub.SetAway(false)
	s.want(c, "/conjured/account", "anna", 200)
}

// A hub that is away in the middle of a login leaves the way open.
func TestHubAwayInLogin(t *testing.T) {
	s := newSite(t, time.Hour)
	c := s.visitor("anna")
	to := beginAndStop(t, s, c)
	s.hub.SetAway(true)
	s.want(c, to, "does not answer", 503)
	s.hub.SetAway(false)
	s.want(c, to, "anna", 200)
}

func TestMeant(t *testing.T) {
	s := newSite(t, time.Hour)
	c := s.visitor("anna")
	page, _ := s.get(c, "/conjured/account")
	_, form, _ := strings.Cut(page, "form=")
	form, _, _ = strings.Cut(form, " ")
	other, _ := s.get(s.visitor("ben"), "/conjured/account")
	_, bens, _ := strings.Cut(other, "form=")
	bens, _, _ = strings.Cut(bens, " ")
	for _, x := range []struct {
		what   string
		form   string
		header [][2]string
		code   int
	}{
		{"a form of ours", form, [][2]string{{"Origin", s.URL}, {"Sec-Fetch-Site", "same-origin"}}, 200},
		{"a browser that says little", form, nil, 200},
		{"our script", "", [][2]string{{"X-Conjured", form}, {"Origin", s.URL}}, 200},
		{"no token", "", [][2]string{{"Origin", s.URL}}, 403},
		{"another's token", bens, [][2]string{{"Origin", s.URL}}, 403},
		{"another site", form, [][2]string{{"Origin", "http://evil.example"}}, 403},
		{"another site of this machine", form, [][2]string{{"Sec-Fetch-Site", "same-site"}}, 403},
		{"a page without an origin", form, [][2]string{{"Origin", "null"}}, 403},
		{"two origins", form, [][2]string{{"Origin", s.URL}, {"Origin", "http://evil.example"}}, 403},
		{"another scheme", form, [][2]string{{"Origin", strings.Replace(s.URL, "http:", "https:", 1)}}, 403},
	} {
		r, _ := http.NewRequest(http.MethodPost, s.URL+"/conjured/account", strings.NewReader(url.Values{"form": {x.form}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, h := range x.header {
			r.Header.Add(h[0], h[1])
		}
		res, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if res.Body.Close(); res.StatusCode != x.code {
			t.Errorf("%s: %d, want %d", x.what, res.StatusCode, x.code)
		}
	}
}

// One person's browsers push out each other, never another's.
func TestCrowdOfSessions(t *testing.T) {
	s := newSite(t, time.Hour)
	anna := s.visitor("anna")
	s.want(anna, "/conjured/account", "anna", 200)
	first := s.visitor("ben")
	s.want(first, "/conjured/account", "ben", 200)
	for range 16 {
		s.want(s.visitor("ben"), "/conjured/account", "ben", 200)
	}
	s.want(noFollow(first), "/conjured/account", "authorize", 303)
	s.want(noFollow(anna), "/conjured/account", "anna", 200)
}
