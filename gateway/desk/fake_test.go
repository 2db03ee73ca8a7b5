package desk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/conjuring/conjured/gateway/desk"
	"github.com/conjuring/conjured/gateway/session"
	"github.com/conjuring/conjured/gateway/session/sessiontest"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// class is everything behind the pages, in memory.
type class struct {
	mu        sync.Mutex
	people    []desk.Person
	broken    bool
	passwords map[string]string
	kept      string // the login that the last change kept
	acts      []string
	lesson    desk.Lesson
	notices   []notice.Notice

	environments []desk.Environment
}

func (c *class) Name() string { return "Room 12" }

func (c *class) People(context.Context) ([]desk.Person, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken {
		return nil, errors.New("docker is away")
	}
	return slices.Clone(c.people), nil
}

func (c *class) Person(name string) (session.Person, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.people {
		if p.Name == name {
			return session.Person{Name: name, Admin: p.Admin}, true
		}
	}
	return session.Person{}, false
}

func (c *class) change(name string, f func(*desk.Person)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.people {
		if c.people[i].Name == name {
			f(&c.people[i])
		}
	}
}

func (c *class) did(act string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acts = append(c.acts, act)
}

func (c *class) done() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.acts)
}

func (c *class) StartServer(_ context.Context, user, server string) error {
	c.did("start " + user + "/" + server)
	c.change(user, func(p *desk.Person) { p.Servers = []desk.Server{{State: "starting", Since: time.Now()}} })
	return nil
}

func (c *class) StopServer(_ context.Context, user, server string) error {
	c.did("stop " + user + "/" + server)
	c.change(user, func(p *desk.Person) { p.Servers = nil })
	return nil
}

func (c *class) Check(_ context.Context, user, password, address string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.passwords[user] != password || address != "127.0.0.1" {
		return &notice.Error{Notice: notice.Notice{Code: "login-wrong", Severity: notice.SeverityInfo, What: "the name or the password is not right"}}
	}
	return nil
}

func (c *class) Change(_ context.Context, user, password, keep string) error {
	if len(password) < 6 {
		return &notice.Error{Notice: notice.Notice{Code: "password-short", Severity: notice.SeverityError, What: "the new password has 3 characters; it needs 6 or more"}}
	}
	c.did("change " + user)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passwords[user], c.kept = password, keep
	return nil
}

func (c *class) Reset(_ context.Context, user string) (string, error) {
	c.did("reset " + user)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passwords[user] = "lamp-river-otter-" + user
	return c.passwords[user], nil
}

func (c *class) Lesson(context.Context) (desk.Lesson, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lesson, nil
}

func (c *class) Begin(context.Context) error {
	c.did("begin")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lesson = desk.Lesson{On: true, Since: time.Now(), Busy: true, Total: 3, Ready: 1, Left: 40 * time.Second}
	return nil
}

func (c *class) End(_ context.Context, all bool) (int, error) {
	c.did(fmt.Sprintf("end all=%t", all))
	return 0, nil
}

func (c *class) Notices() []notice.Notice {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.notices)
}

func (c *class) Dismiss(n notice.Notice) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notices = slices.DeleteFunc(c.notices, func(o notice.Notice) bool { return o == n })
}

// site is the pages with a hub, on a listener.
type site struct {
	*httptest.Server
	t     testing.TB
	hub   *sessiontest.Hub
	class *class
	news  *progress.Hub
	stop  func() // ends Run and waits
}

func newSite(t testing.TB, people ...desk.Person) *site {
	s := &site{t: t, hub: sessiontest.New(), news: &progress.Hub{}, class: &class{people: people, passwords: map[string]string{}}}
	for _, p := range people {
		s.class.passwords[p.Name] = "password of " + p.Name
	}
	sessions, err := session.New(session.Config{Hub: s.hub.Client(), Secret: sessiontest.Secret, Roster: s.class, Check: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	d, err := desk.New(desk.Config{
		Sessions: sessions, Class: s.class, Servers: s.class, Passwords: s.class, Lessons: s.class, Board: s.class, Progress: s.news,
		Environments: s.class,
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/hub/", s.hub)
	mux.Handle("/conjured/static/", http.StripPrefix("/conjured/static/", http.FileServer(http.Dir("../pages/static"))))
	for _, p := range desk.Paths() {
		mux.Handle(p, d)
	}
	s.Server = httptest.NewServer(mux)
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- d.Run(ctx) }()
	s.stop = sync.OnceFunc(func() { cancel(); <-over })
	t.Cleanup(func() { s.stop(); s.CloseClientConnections(); s.Close() })
	return s
}

func three() []desk.Person {
	return []desk.Person{{Name: "mara", Admin: true}, {Name: "anna"}, {Name: "ben", OwnPassword: true}}
}

// visitor is a browser that is logged in at the hub.
type visitor struct {
	*site
	http *http.Client
	form string // the token of the page seen last
}

func (s *site) visitor(user string) *visitor {
	s.t.Helper()
	jar, _ := cookiejar.New(nil)
	v := &visitor{site: s, http: &http.Client{Jar: jar}}
	if user != "" {
		v.get("/hub/login?user=" + user)
	}
	return v
}

var token = regexp.MustCompile(`name="form" value="([0-9a-f]{64})"`)

func (v *visitor) send(r *http.Request) (string, *http.Response) {
	v.t.Helper()
	res, err := v.http.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	if m := token.FindSubmatch(b); m != nil {
		v.form = string(m[1])
	}
	return string(b), res
}

func (v *visitor) get(path string) (string, int) {
	v.t.Helper()
	r, err := http.NewRequest(http.MethodGet, v.URL+path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	b, res := v.send(r)
	return b, res.StatusCode
}

// post sends a form with the page's token, as a browser without scripts does.
func (v *visitor) post(path string, fields ...string) (string, int) {
	v.t.Helper()
	q := url.Values{"form": {v.form}}
	for i := 0; i < len(fields); i += 2 {
		q.Set(fields[i], fields[i+1])
	}
	r, err := http.NewRequest(http.MethodPost, v.URL+path, strings.NewReader(q.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", v.URL)
	b, res := v.send(r)
	return b, res.StatusCode
}

func (v *visitor) want(text string, code int) func(body string, got int) {
	return func(body string, got int) {
		v.t.Helper()
		if got != code || !strings.Contains(body, text) {
			v.t.Errorf("%d, want %d with %q:\n%.3000s", got, code, text, body)
		}
	}
}

// eventually opens a page until it shows text: a look at the class may be a second old.
func (v *visitor) eventually(path, text string) {
	v.t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if b, _ := v.get(path); strings.Contains(b, text) {
			return
		}
	}
	v.t.Errorf("%s never shows %q", path, text)
}

func (s *site) wantActs(want ...string) {
	s.t.Helper()
	if got := s.class.done(); !slices.Equal(got, want) {
		s.t.Errorf("done: %q, want %q", got, want)
	}
}

func (c *class) Environments(context.Context) ([]desk.Environment, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.environments), nil
}

func (c *class) Promote(_ context.Context, name string) (string, error) {
	c.did("promote " + name)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, e := range c.environments {
		if e.Name == name {
			c.environments[i].Waiting, c.environments[i].Before = "", true
			return e.Waiting, nil
		}
	}
	return "", &notice.Error{Notice: notice.Notice{Code: "env-unknown", Severity: notice.SeverityError, What: "there is no environment called " + name}}
}

func (c *class) Rollback(_ context.Context, name string) (string, error) {
	c.did("rollback " + name)
	return "", nil
}
