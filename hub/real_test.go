package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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

func (r *roster) Roster() []Account {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(maps.Values(r.accounts), func(a, b Account) int { return a.UID - b.UID })
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
	restart func()  // of the daemon
	conf    *Config // counts from the next restart
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
		Fence: func(ctx context.Context) error {
			return e.EnsureFence(ctx, engine.Fence{Network: network, Internet: true})
		},
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	c.conf = &cfg
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
		e.RemoveFence(ctx)
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
