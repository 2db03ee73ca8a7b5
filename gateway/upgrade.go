package gateway

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	handshakeBuffer = 4 << 10          // bytes
	halfOpen        = 30 * time.Second // how long one direction may outlive the other
)

// isWebsocket tells whether r asks to become a websocket. Other upgrades (h2c) are
// not passed on: behind them nobody sees what is asked.
func isWebsocket(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ContentLength == 0 &&
		listed(r.Header["Connection"], "upgrade") && listed(r.Header["Upgrade"], "websocket")
}

// upgrade carries a websocket. It dials by itself rather than through the
// transport and leaves the handler once both sides have agreed, so that an idle
// websocket holds two small goroutines and no buffer. f lands at its end.
func (p *Proxy) upgrade(w http.ResponseWriter, r *http.Request, rt *route, f flight) {
	open := false
	defer func() {
		if !open {
			f.land()
		}
	}()
	up, err := p.connect(r.Context(), rt.target)
	if err != nil {
		p.failed(w, r, rt, err)
		return
	}
	unwatch := context.AfterFunc(r.Context(), func() { _ = up.Close() })
	limit := &io.LimitedReader{R: up, N: maxHeaderBytes}
	br := bufio.NewReaderSize(limit, handshakeBuffer)
	res, err := shake(up, br, p.request(r, rt))
	if err != nil {
		unwatch()
		_ = up.Close()
		p.failed(w, r, rt, err)
		return
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		limit.N = math.MaxInt64
		defer up.Close()
		defer unwatch()
		defer res.Body.Close()
		p.answer(w, r, res, rt)
		return
	}
	unwatch()
	said, _ := br.Peek(br.Buffered()) // right behind its answer
	head := p.switched(r, res, rt, said)
	client, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = up.Close()
		p.failed(w, r, rt, err)
		return
	}
	early, _ := rw.Reader.Peek(rw.Reader.Buffered())
	_, err = bare(client).Write(head) // the guard would set a deadline that nobody moves any more
	if err == nil && len(early) > 0 {
		_, err = up.Write(early)
	}
	if err != nil {
		_, _ = client.Close(), up.Close()
		return
	}
	p.config.Routes.active(rt)
	open = true
	j := &joint{proxy: p, route: rt, flight: f, browser: client, target: up}
	j.down.feed(said)
	j.carry()
}

// connect dials a target for a websocket.
func (p *Proxy) connect(ctx context.Context, t target) (net.Conn, error) {
	u := url.URL{Host: t.host}
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[t.scheme])
	c, err := p.dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err == nil && t.scheme == "https" {
		own := &tls.Config{}
		if p.config.TLS != nil {
			own = p.config.TLS.Clone()
		}
		own.ServerName = cmp.Or(own.ServerName, u.Hostname())
		c = tls.Client(c, own)
	}
	return c, err
}

// shake sends the request to become a websocket and reads the answer.
func shake(up net.Conn, br *bufio.Reader, out *http.Request) (*http.Response, error) {
	out.Header["Connection"] = []string{"Upgrade"}
	out.Header["Upgrade"] = []string{"websocket"}
	if err := out.Write(up); err != nil {
		return nil, fmt.Errorf("cannot ask for a websocket: %w", err)
	}
	for {
		res, err := http.ReadResponse(br, out)
		if err != nil {
			return nil, fmt.Errorf("cannot read the answer about a websocket: %w", err)
		}
		if res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols {
			return res, nil
		}
	}
}

// switched is what the browser gets: the answer's head and the bytes that came
// right behind it.
func (p *Proxy) switched(r *http.Request, res *http.Response, rt *route, said []byte) []byte {
	var b bytes.Buffer
	h := make(http.Header, len(res.Header))
	p.head(h, r, res, rt)
	h["Connection"], h["Upgrade"] = []string{"Upgrade"}, res.Header["Upgrade"]
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = h.Write(&b)
	b.WriteString("\r\n")
	b.Write(said)
	return b.Bytes()
}
