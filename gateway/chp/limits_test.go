package chp

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// A websocket goes through HTTPS and a connection that is watched for silence, and what
// the target says counts as activity.
func TestWebsocket(t *testing.T) {
	k := newKeys(t)
	say := make(chan string)
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		for text := range say {
			_ = c.Write(r.Context(), websocket.MessageText, []byte(text))
		}
		_ = c.Close(websocket.StatusNormalClosure, "")
	}))
	defer target.Close()
	defer close(say)
	p := start(t, "--ssl-key", k.key, "--ssl-cert", k.cert, "--timeout", "60000", "--host-routing")
	p.route(t, "/127.0.0.1/user/al", target.URL)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, res, err := websocket.Dial(ctx, "wss://"+p.public+"/user/al/ws", &websocket.DialOptions{HTTPClient: k.client})
	if err != nil {
		t.Fatal(err, res)
	}
	defer c.CloseNow()
	before := p.activity(t)
	for p.activity(t) == before { // until the clock has gone on
		say <- "hello"
		if _, text, err := c.Read(ctx); err != nil || string(text) != "hello" {
			t.Fatalf("%q, %v", text, err)
		}
	}
}

func (r *running) activity(t testing.TB) string {
	t.Helper()
	_, body := r.call(t, "GET", "/api/routes/127.0.0.1/user/al", "")
	var got struct {
		Host string `json:"host"`
		Last string `json:"last_activity"`
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || got.Host != "127.0.0.1" || got.Last == "" {
		t.Fatalf("%s: %v", body, err)
	}
	return got.Last
}

// A target that says nothing is given up, and a browser that waits for it too.
func TestTimeouts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // nobody accepts: requests lie there
	p := start(t, "--default-target", "http://"+l.Addr().String(), "--proxy-timeout", "50")
	if status, _ := send(t, http.DefaultClient, "GET", "http://"+p.public+"/", "", ""); status != http.StatusServiceUnavailable {
		t.Errorf("a silent target: %d", status)
	}
	p = start(t, "--default-target", "http://"+l.Addr().String(), "--timeout", "50")
	c, err := net.Dial("tcp", p.public)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); len(b) > 0 {
		t.Errorf("a silent exchange: %q, %v", b, err)
	}
}

// Where the error target is gone too, the answer is still the right one.
func TestRefuse_withoutErrorTarget(t *testing.T) {
	p := start(t, "--error-target", "http://127.0.0.1:"+freePort(t))
	if status, body := send(t, http.DefaultClient, "GET", "http://"+p.public+"/x", "", ""); status != http.StatusNotFound || body != "Not Found" {
		t.Errorf("%d %q", status, body)
	}
}

// An error target may be a unix socket, as JupyterHub's is when it listens on one.
func TestRefuse_socket(t *testing.T) {
	l, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.String()) })}
	go func() { _ = s.Serve(l) }()
	defer s.Close()
	p := start(t, "--error-target", "http+unix://"+url.PathEscape(l.Addr().String())+"/hub/error")
	if status, body := send(t, http.DefaultClient, "GET", "http://"+p.public+"/x?y", "", ""); status != http.StatusNotFound || body != "/hub/error/404?url=%2Fx%3Fy" {
		t.Errorf("%d %q", status, body)
	}
	p.route(t, "/there", "http+unix://"+url.PathEscape(l.Addr().String()))
	if status, body := send(t, http.DefaultClient, "GET", "http://"+p.public+"/there", "", ""); status != http.StatusOK || body != "/there" {
		t.Errorf("%d %q", status, body)
	}
}
