package chp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// called is a file with the program's name.
func called(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), Name)
	if err := os.Symlink(self, name); err != nil {
		t.Fatal(err)
	}
	return name
}

// mirror answers with what it was asked: the path, the host, and headers.
func mirror(t testing.TB, headers ...string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", r.Host, r.RequestURI)
		for _, name := range headers {
			fmt.Fprintf(w, " %s", strings.Join(r.Header.Values(name), "|"))
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// The black-box cases of the original's own suite for its command line.
func TestCLI_defaultTarget(t *testing.T) {
	target := mirror(t)
	p := start(t, "--default-target", target.URL)
	p.out.await(t, "Route added / -> "+target.URL)
	if status, body := send(t, http.DefaultClient, "GET", "http://"+p.public+"/x?y", "", ""); status != 200 || body != p.public+" /x?y" {
		t.Errorf("%d %q", status, body)
	}
	if code := p.stop(); code != 2 || !strings.Contains(p.out.String(), "warn: Terminated") {
		t.Errorf("exit code %d\n%s", code, p.out)
	}
}

func TestCLI_https(t *testing.T) {
	k := newKeys(t)
	target := mirror(t, "X-Forwarded-Proto", "X-Forwarded-Port")
	redirect, other := freePort(t), freePort(t)
	p := start(t, "--ssl-key", k.key, "--ssl-cert", k.cert, "--default-target", target.URL, "--redirect-port", redirect)
	_, port, _ := net.SplitHostPort(p.public)
	p.out.await(t, "Added HTTP to HTTPS redirection from "+redirect+" to "+port)
	if status, body := send(t, k.client, "GET", "https://"+p.public+"/x", "", ""); status != 200 || body != p.public+" /x https "+port {
		t.Errorf("%d %q", status, body)
	}
	if status, _ := send(t, http.DefaultClient, "GET", "http://"+p.public+"/x", "", ""); status != 400 {
		t.Errorf("plain HTTP on the HTTPS port: %d", status)
	}
	if status, body := send(t, k.client, "GET", "http://127.0.0.1:"+redirect+"/x", "", ""); status != 200 || body != p.public+" /x https "+port {
		t.Errorf("redirected: %d %q", status, body)
	}
	p = start(t, "--ssl-key", k.key, "--ssl-cert", k.cert, "--redirect-port", other, "--redirect-to", "8443")
	p.out.await(t, "Added HTTP to HTTPS redirection from "+other+" to 8443")
	if got := location(t, "http://127.0.0.1:"+other+"/a%2Fb?c"); got != "301 https://127.0.0.1:8443/a%2Fb?c" {
		t.Error(got)
	}
}

// location is a redirect's status and where it leads.
func location(t testing.TB, url string) string {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(httptest.NewRequest("GET", url, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return fmt.Sprint(res.StatusCode, " ", res.Header.Get("Location"))
}

func TestCLI_customHeader(t *testing.T) {
	target := mirror(t, "K1", "K2")
	p := start(t, "--default-target", target.URL, "--custom-header", "k1: v1", "--custom-header", " k2 : host:123 ")
	if _, body := send(t, http.DefaultClient, "GET", "http://"+p.public+"/", "", ""); body != p.public+" / v1 host:123" {
		t.Error(body)
	}
}

// Processes with the program's name: exit codes, the pid file, signals.
func TestCLI_process(t *testing.T) {
	name := called(t)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-V"}, 0, "5.3.0"},
		{[]string{"--help"}, 0, "--redirect-port"},
		{[]string{"--custom-header", "invalid"}, 1, "A colon was expected in custom header: invalid"},
		{[]string{"--port", "1", "--socket", "s"}, 1, "cannot be used with option"},
		{[]string{"--log-level", "loud"}, 1, "none of debug, info, warn, error"},
		{[]string{"--ssl-key", "/nowhere", "--ssl-cert", "/nowhere"}, 1, "cannot read the key"},
		{[]string{"--default-target", "gopher://h", "--socket", t.TempDir() + "/s", "--api-socket", t.TempDir() + "/a"}, 1, "cannot use the default target"},
	} {
		out, err := exec.Command(name, c.args...).CombinedOutput()
		code := 0
		if err != nil {
			code = err.(*exec.ExitError).ExitCode()
		}
		if code != c.code || !strings.Contains(string(out), c.want) {
			t.Errorf("%q: exit code %d\n%s", c.args, code, out)
		}
	}
	for sig, word := range map[os.Signal]string{syscall.SIGTERM: "Terminated", os.Interrupt: "Interrupted"} {
		dir := t.TempDir()
		cmd, out := exec.Command(name, "--socket", dir+"/s", "--api-socket", dir+"/a", "--pid-file", dir+"/pid", "--default-target", "http://h"), newScreen()
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		out.await(t, "Writing pid "+strconv.Itoa(cmd.Process.Pid))
		client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", dir+"/s")
		}}}
		if status, _ := send(t, client, "GET", "http://x/_chp_healthz", "", ""); status != 200 {
			t.Errorf("health: %d", status)
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 2 {
			t.Errorf("%v\n%s", err, out)
		}
		out.await(t, "warn: "+word)
		left, _ := filepath.Glob(dir + "/*")
		if len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
}

func TestHealth(t *testing.T) {
	p := start(t)
	if status, body := send(t, http.DefaultClient, "GET", "http://"+p.public+"/_chp_healthz", "", ""); status != 200 || body != `{"status":"OK"}` {
		t.Errorf("%d %s", status, body)
	}
	if status, body := send(t, http.DefaultClient, "GET", "http://"+p.public+"/x", "", ""); status != 404 || !strings.Contains(body, "<h1>404</h1>") {
		t.Errorf("%d %s", status, body)
	}
}

// Without a token the API is closed on TCP and open on a socket.
func TestAPI_withoutToken(t *testing.T) {
	p := startWith(t, nil)
	for _, auth := range []string{"", "token ", "token x", "token undefined"} {
		if status, body := send(t, http.DefaultClient, "GET", "http://"+p.api+"/api/routes", "", auth); status != 403 || body != "" {
			t.Errorf("%q: %d %s", auth, status, body)
		}
	}
	p.out.await(t, "REST API is not authenticated")
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	out, done := newScreen(), make(chan int)
	go func() {
		done <- Run(ctx, Config{Args: []string{"--socket", dir + "/s", "--api-socket", dir + "/a"}, Getenv: func(string) string { return "" }, Out: out, Err: out})
	}()
	out.await(t, "Proxy API at ")
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", dir+"/a")
	}}}
	if status, body := send(t, client, "GET", "http://x/api/routes", "", ""); status != 200 || strings.TrimSpace(body) != "{}" {
		t.Errorf("%d %s", status, body)
	}
	cancel()
	if code := <-done; code != 2 {
		t.Errorf("exit code %d", code)
	}
}

// A socket left by a process that was killed is replaced; one that is served is not.
func TestListen_socket(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", dir+"/s")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{place: place{socket: dir + "/s"}}
	if err := s.open(t.Context()); err == nil {
		t.Error("a served socket is taken away")
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if err := s.open(t.Context()); err != nil {
		t.Error(err)
	}
	s.listener.Close()
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.place.socket = dir + "/file"
	if err := s.open(t.Context()); err == nil {
		t.Error("a file is taken away")
	}
}

// Metrics have the original's names and count what it counts.
func TestMetrics(t *testing.T) {
	m := freePort(t)
	target := mirror(t)
	p := start(t, "--metrics-ip", "127.0.0.1", "--metrics-port", m, "--default-target", target.URL)
	p.out.await(t, "Serve metrics at http://127.0.0.1:"+m+"/metrics")
	send(t, http.DefaultClient, "GET", "http://"+p.public+"/", "", "")
	p.route(t, "/dead", "http://127.0.0.1:"+freePort(t))
	send(t, http.DefaultClient, "GET", "http://"+p.public+"/dead", "", "")
	p.call(t, "GET", "/api/routes", "")
	p.call(t, "GET", "/api/routes/dead", "")
	p.call(t, "DELETE", "/api/routes/dead", "")
	p.call(t, "DELETE", "/api/routes/dead", "")
	if status, _ := send(t, http.DefaultClient, "GET", "http://127.0.0.1:"+m+"/", "", ""); status != 404 {
		t.Errorf("/: %d", status)
	}
	_, text := send(t, http.DefaultClient, "GET", "http://127.0.0.1:"+m+"/metrics", "", "")
	var got []string
	for line := range strings.SplitSeq(text, "\n") {
		for _, prefix := range []string{"api_", "requests_", "find_target_for_req_count", "last_activity_updating_count"} {
			if strings.HasPrefix(line, prefix) {
				got = append(got, line)
			}
		}
	}
	want := []string{
		"api_route_add 1", "api_route_delete 2", "api_route_get 1", "find_target_for_req_count 2",
		`requests_api{status="200"} 2`, `requests_api{status="201"} 1`, `requests_api{status="204"} 1`, `requests_api{status="404"} 1`,
		`requests_proxy{status="200"} 1`, `requests_proxy{status="503"} 1`, "requests_web 2", "requests_ws 0",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !strings.Contains(text, "process_resident_memory_bytes") {
		t.Error("nothing about the process")
	}
}

// https targets see the proxy's certificate, and the proxy checks theirs.
func TestClientTLS(t *testing.T) {
	k := newKeys(t)
	target := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "hello "+r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	pair, err := tls.LoadX509KeyPair(k.cert, k.key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(pair.Leaf)
	target.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	target.StartTLS()
	defer target.Close()
	own := []string{"--client-ssl-key", k.key, "--client-ssl-cert", k.cert}
	for name, c := range map[string]struct {
		args   []string
		status int
	}{
		"ours":           {append(own, "--client-ssl-ca", k.cert), 200},
		"no certificate": {[]string{"--client-ssl-ca", k.cert}, 503},
		"unknown target": {own, 503},
		"insecure":       {append(own, "--insecure"), 200},
	} {
		p := start(t, append(c.args, "--default-target", target.URL)...)
		if status, body := send(t, http.DefaultClient, "GET", "http://"+p.public+"/", "", ""); status != c.status || status == 200 && body != "hello localhost" {
			t.Errorf("%s: %d %s", name, status, body)
		}
		p.stop()
	}
}

// The API lets in only who has a certificate of the authority.
func TestAPI_certificates(t *testing.T) {
	k := newKeys(t)
	p := start(t, "--api-ssl-key", k.key, "--api-ssl-cert", k.cert, "--api-ssl-ca", k.cert, "--api-ssl-request-cert", "--api-ssl-reject-unauthorized")
	if res, err := k.client.Get("https://" + p.api + "/api/routes"); err == nil {
		res.Body.Close()
		t.Errorf("without a certificate: %d", res.StatusCode)
	}
	if status, _ := send(t, k.known(t), "GET", "https://"+p.api+"/api/routes", "", "token secret"); status != 200 {
		t.Errorf("with one: %d", status)
	}
}
