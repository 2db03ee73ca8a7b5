package chp

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test's own binary be the program, when it is called by its name:
// what starts a proxy from outside (JupyterHub) needs a file to start.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == Name {
		os.Exit(calledByName())
	}
	os.Exit(m.Run())
}

// screen collects what a program prints.
type screen struct {
	mu    sync.Mutex
	text  bytes.Buffer
	fresh chan struct{}
}

func newScreen() *screen { return &screen{fresh: make(chan struct{}, 1)} }

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.fresh <- struct{}{}:
	default:
	}
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await returns when want has been printed.
func (s *screen) await(t testing.TB, want string) {
	t.Helper()
	limit := time.After(time.Minute)
	for !strings.Contains(s.String(), want) {
		select {
		case <-s.fresh:
		case <-limit:
			t.Fatalf("%q is not printed:\n%s", want, s)
		}
	}
}

// running is the program inside this test.
type running struct {
	out    *screen
	public string // host:port
	api    string
	stop   func() int
}

// start runs the program on free ports, with a token, until the test ends.
func start(t testing.TB, args ...string) *running {
	t.Helper()
	return startWith(t, map[string]string{"CONFIGPROXY_AUTH_TOKEN": "secret"}, args...)
}

func startWith(t testing.TB, env map[string]string, args ...string) *running {
	t.Helper()
	p, a := freePort(t), freePort(t)
	r := &running{out: newScreen(), public: "127.0.0.1:" + p, api: "127.0.0.1:" + a}
	all := append([]string{"--ip", "127.0.0.1", "--port", p, "--api-ip", "127.0.0.1", "--api-port", a}, args...)
	ctx, cancel := context.WithCancel(context.Background())
	code := make(chan int, 1)
	go func() {
		code <- Run(ctx, Config{Args: all, Getenv: func(k string) string { return env[k] }, Out: r.out, Err: r.out})
	}()
	r.stop = sync.OnceValue(func() int { cancel(); return <-code })
	t.Cleanup(func() { r.stop() })
	r.out.await(t, "Proxy API at ")
	return r
}

// freePort gives a port for a program that has to be told one. It is below those that the
// kernel gives to whoever names none: another test of this machine could get it meanwhile.
func freePort(t testing.TB) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(10_000 + rand.IntN(20_000))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

// call asks the REST API.
func (r *running) call(t testing.TB, method, path, body string) (int, string) {
	t.Helper()
	return send(t, http.DefaultClient, method, "http://"+r.api+path, body, "token secret")
}

func send(t testing.TB, c *http.Client, method, url, body, auth string) (int, string) {
	t.Helper()
	ask, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if auth != "" {
		ask.Header.Set("Authorization", auth)
	}
	res, err := c.Do(ask)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, b.String()
}

// route adds a route.
func (r *running) route(t testing.TB, path, target string) {
	t.Helper()
	if status, body := r.call(t, "POST", "/api/routes"+path, fmt.Sprintf(`{"target":%q}`, target)); status != http.StatusCreated {
		t.Fatalf("%s: %d %s", path, status, body)
	}
}

func calledByName() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return Run(ctx, Config{Args: os.Args[1:], Getenv: os.Getenv, Out: os.Stdout, Err: os.Stderr})
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
