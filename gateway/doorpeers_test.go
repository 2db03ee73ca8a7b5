package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/conjuring/conjured/api"
)

// roleVar makes the test's program a process of the measurement instead.
const roleVar = "CONJURED_BENCH_ROLE"

// benchToken guards the REST APIs of a measurement, on loopback.
const benchToken = "bench"

func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var err error
	switch listen, admin := os.Getenv("LISTEN"), os.Getenv("ADMIN"); os.Getenv(roleVar) {
	case "target":
		err = runTarget(ctx, listen, admin)
	case "door":
		err = runDoor(ctx, listen, admin)
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// runTarget is what all the doors lead to: a small answer, a megabyte, and an echo
// behind an upgrade. It listens on TCP and on a unix socket.
func runTarget(ctx context.Context, listen, socket string) error {
	big := make([]byte, 1<<20)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Upgrade") != "":
			c, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			early, _ := rw.Peek(rw.Reader.Buffered())
			_, _ = c.Write(early)
			_, _ = io.Copy(c, c)
		case strings.HasSuffix(r.URL.Path, "/big"):
			w.Header().Set("Content-Length", strconv.Itoa(len(big)))
			_, _ = w.Write(big)
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"connections":1,"kernels":1,"last_activity":"2026-11-21T08:00:00Z"}`)
		}
	})
	go func() { _ = serveUntil(ctx, "unix", socket, h) }()
	return serveUntil(ctx, "tcp", listen, h)
}

func serveUntil(ctx context.Context, network, listen string, h http.Handler) error {
	l, err := net.Listen(network, listen)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: h}
	defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// runDoor is the front door alone, with the REST API at admin.
func runDoor(ctx context.Context, listen, admin string) error {
	routes, err := OpenRoutes(RoutesConfig{Reserved: []string{Reserved}})
	if err != nil {
		return err
	}
	class := &room{}
	class.phase.Store(api.Serving)
	s, err := New(Config{Listen: []string{listen}, Routes: routes, Class: class, Sockets: []string{os.TempDir()}})
	if err != nil {
		return err
	}
	go func() { _ = routes.Run(ctx) }()
	go func() { _ = serveUntil(ctx, "tcp", admin, NewRoutesAPI(routes, benchToken)) }()
	return s.Serve(ctx)
}

// peer is a front door in a process of its own.
type peer struct {
	name   string
	listen string
	admin  string // of the REST API; "" has none
	target string // as a route names it
	cmd    *exec.Cmd
}

// startPeers starts ours, CHP, nginx and caddy, those that are beneath dir
// (scripts/bench.sh puts them there, and a link to ours by the name of CHP), each leading everything to the target: by TCP, and ours also by a unix socket as in a class.
func startPeers(t *testing.T, dir, target, socket string) []*peer {
	t.Helper()
	var out []*peer
	start := func(name, program string, admin bool, args func(p *peer) []string, env ...string) {
		if _, err := os.Stat(program); err != nil {
			t.Logf("%s is not measured: %v", name, err)
			return
		}
		p := &peer{name: name, listen: freeAddress(t)}
		if admin {
			p.admin = freeAddress(t)
		}
		p.cmd = exec.Command(program, args(p)...)
		p.cmd.Env = append(append(os.Environ(), env...), "LISTEN="+p.listen, "ADMIN="+p.admin, "CONFIGPROXY_AUTH_TOKEN="+benchToken)
		run(t, p.cmd)
		answers(t, p.listen)
		if admin {
			answers(t, p.admin)
			p.target = "http://" + target
			if strings.Contains(name, "socket") {
				p.target = "http+unix://" + strings.ReplaceAll(socket, "/", "%2f")
			}
			p.addRoute(t, "/", p.target)
		}
		out = append(out, p)
	}
	none := func(*peer) []string { return nil }
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	start("conjured, socket", self, true, none, roleVar+"=door")
	asCHP := func(p *peer) []string {
		ip, port, _ := net.SplitHostPort(p.listen)
		_, admin, _ := net.SplitHostPort(p.admin)
		return []string{"--ip", ip, "--port", port, "--api-ip", ip, "--api-port", admin, "--log-level", "error"}
	}
	start("conjured as CHP, TCP", filepath.Join(dir, "configurable-http-proxy"), true, asCHP)
	start("CHP", filepath.Join(dir, "node_modules/configurable-http-proxy/bin/configurable-http-proxy"), true, asCHP)
	start("nginx", filepath.Join(dir, "root/usr/sbin/nginx"), false, func(p *peer) []string {
		return []string{"-c", nginxConfig(t, p.listen, target)}
	})
	start("caddy", filepath.Join(dir, "root/usr/bin/caddy"), false, func(p *peer) []string {
		file := filepath.Join(t.TempDir(), "Caddyfile")
		_, port, _ := net.SplitHostPort(p.listen)
		write(t, file, "{\n admin off\n auto_https off\n log {\n level ERROR\n }\n}\nhttp://:"+port+" {\n reverse_proxy "+target+"\n}\n")
		return []string{"run", "--config", file}
	}, "XDG_CONFIG_HOME="+t.TempDir(), "XDG_DATA_HOME="+t.TempDir())
	return out
}

// nginxConfig is one worker that keeps connections to its target, with websockets.
func nginxConfig(t *testing.T, listen, target string) string {
	dir := t.TempDir()
	file := filepath.Join(dir, "nginx.conf")
	write(t, file, fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr crit;
events { worker_connections 8192; }
http { access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
keepalive_requests 1000000;
map $http_upgrade $to { default upgrade; '' ''; }
upstream t { server %[3]s; keepalive 32; keepalive_requests 1000000; }
server { listen %[2]s; location / { proxy_pass http://t; proxy_http_version 1.1; proxy_set_header Host $http_host;
proxy_set_header Connection $to; proxy_set_header Upgrade $http_upgrade; } } }
`, dir, listen, target))
	return file
}

// run starts a process that ends with the test.
func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// answers waits until something listens.
func answers(t *testing.T, address string) {
	t.Helper()
	eventually(t, address+" listens", func() bool {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// addRoute posts a route and returns how long that took.
func (p *peer) addRoute(t testing.TB, path, target string) time.Duration {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+p.admin+"/api/routes"+path, strings.NewReader(`{"target":"`+target+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "token "+benchToken)
	began := time.Now()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("%s: route %s: %d", p.name, path, res.StatusCode)
	}
	return took
}

// processor is the user and system time of the process (proc(5): fields 14 and 15 of
// stat, in hundredths of a second).
func (p *peer) processor() time.Duration {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// memory is the process's RSS and PSS in bytes (proc(5): smaps_rollup).
func (p *peer) memory() (rss, pss int64) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.cmd.Process.Pid))
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kb, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "Rss:":
			rss = kb << 10
		case "Pss:":
			pss = kb << 10
		}
	}
	return rss, pss
}
