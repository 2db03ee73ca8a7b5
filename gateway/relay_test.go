package gateway

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// A browser that reads slowly gets every byte in its order, and holds no other one up.
func TestRelay_backpressure(t *testing.T) {
	h := open(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	h.target("/user/al", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		if _, err := c.Write(sent); err != nil {
			t.Error(err)
		}
	}))
	h.target("/user/bo", wsEcho(t))
	slow, quick := dialDoor(t, h), dialWS(t, h, "/user/bo/ws")
	_ = slow.(*net.TCPConn).SetReadBuffer(16 << 10)
	_, _ = io.WriteString(slow, "GET /user/al/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	var got bytes.Buffer
	for buf := make([]byte, 64<<10); ; {
		n, err := slow.Read(buf)
		got.Write(buf[:n])
		if err != nil {
			break
		}
		if got.Len()%7 == 0 { // now and then something else happens
			echoWS(t, quick, buf[:n/2])
		}
	}
	_, body, _ := strings.Cut(got.String(), "\r\n\r\n")
	if body != string(sent) {
		t.Errorf("%d bytes of %d arrived, or not as they went", len(body), len(sent))
	}
}

// What one side says last arrives though the other one has ended.
func TestRelay_lastWords(t *testing.T) {
	h := open(t)
	h.target("/user/al", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		said, _ := io.ReadAll(rw)
		_, _ = c.Write(append([]byte("you said "), said...))
	}))
	c := dialDoor(t, h)
	_, _ = io.WriteString(c, "GET /user/al/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	br := bufio.NewReader(c)
	readHead(br)
	_, _ = io.WriteString(c, "good")
	_, _ = io.WriteString(c, "bye")
	_ = c.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(br); err != nil || string(b) != "you said goodbye" {
		t.Errorf("%q %v", b, err)
	}
}

// A target behind TLS is carried in the other way.
func TestJoint_tls(t *testing.T) {
	target := httptest.NewTLSServer(wsEcho(t))
	defer target.Close()
	routes, err := OpenRoutes(RoutesConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := routes.Add("/user/al", data(target.URL)); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(target.Certificate())
	p, err := NewProxy(ProxyConfig{Routes: routes, TLS: &tls.Config{RootCAs: roots}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(p)
	srv.Config.ConnContext = WithConn
	srv.Start()
	defer srv.Close()
	c := dialWS(t, &house{t: t, url: srv.URL}, "/user/al/ws")
	for _, n := range []int{0, 100, 1 << 20} {
		echoWS(t, c, bytes.Repeat([]byte("x"), n))
	}
	other := dialWS(t, &house{t: t, url: srv.URL}, "/user/al/ws")
	_ = other.Close(websocket.StatusNormalClosure, "")
	p.CloseUser("al")
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("the websocket ends with %v", err)
	}
	p.Close()
	if p.flights.count != 0 {
		t.Errorf("%d flights are left", p.flights.count)
	}
}
