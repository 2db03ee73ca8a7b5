package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	wireBuffer    = 4 << 10 // bytes; a longer body is read past it
	maxEarlyHeads = 8       // 1xx answers before the answer
)

var (
	errEarlyHeads = errors.New("the target sends informational answers without end")
	errLongHead   = errors.New("the head of the target's answer is too long")
)

// carrier sends requests that have no body, or a short one, to targets that speak plain
// HTTP. It does so in the goroutine that asks: http.Transport hands each request to two
// goroutines of its connection and back, which costs more than all the rest.
//
// A kept connection is looked at before it is used again: bytes that nobody has asked
// for (a second answer put behind the first) or an end make it unusable.
type carrier struct {
	dial      func(ctx context.Context, network, addr string) (net.Conn, error)
	firstByte time.Duration // 0: for ever
	heads     sync.Pool     // *bytes.Buffer

	mu    sync.Mutex
	pools map[string]*pool // by the target's host
}

// carries tells whether c can send out; what it cannot is http.Transport's.
func (c *carrier) carries(out *http.Request) bool {
	return out.URL.Scheme == "http" && out.Header["Expect"] == nil && len(out.Trailer) == 0 &&
		(out.Body == nil || out.ContentLength > 0 && out.ContentLength <= bodyBuffer)
}

// send sends out, whose whole body is given, and returns the answer; its body must be
// closed. early gets each informational answer.
func (c *carrier) send(out *http.Request, body []byte, early func(status int, h http.Header)) (*http.Response, error) {
	p := c.pool(out.URL.Host)
	for {
		w := p.get()
		kept := w != nil
		if !kept {
			conn, err := c.dial(out.Context(), "tcp", withPort(out.URL))
			if err != nil {
				return nil, err
			}
			w = newWire(conn, p)
		}
		res, err := c.exchange(w, out, body, early)
		if err == nil {
			return res, nil
		}
		w.close()
		if !kept || w.began || !idempotent(out.Method) || out.Context().Err() != nil {
			return nil, err
		}
	}
}

// idempotent tells whether a request may be sent again when a kept connection ended
// before a byte of the answer came (RFC 9110 §9.2.2).
func idempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

func withPort(u *url.URL) string {
	if u.Port() == "" {
		return net.JoinHostPort(u.Hostname(), "80")
	}
	return u.Host
}

// exchange sends out on w and reads the head of the answer.
func (c *carrier) exchange(w *wire, out *http.Request, body []byte, early func(int, http.Header)) (*http.Response, error) {
	w.began = false
	w.unwatch = context.AfterFunc(out.Context(), func() { _ = w.conn.Close() })
	head, _ := c.heads.Get().(*bytes.Buffer)
	if head == nil {
		head = new(bytes.Buffer)
	}
	head.Reset()
	writeHead(head, out)
	head.Write(body)
	_, err := w.conn.Write(head.Bytes())
	c.heads.Put(head)
	if err != nil {
		return nil, fmt.Errorf("cannot send to the target: %w", err)
	}
	if c.firstByte > 0 {
		_ = w.conn.SetReadDeadline(time.Now().Add(c.firstByte))
		defer func() { _ = w.conn.SetReadDeadline(time.Time{}) }()
	}
	for range maxEarlyHeads {
		w.left = maxHeaderBytes
		res, err := http.ReadResponse(w.br, out)
		if err != nil {
			return nil, fmt.Errorf("cannot read the target's answer: %w", err)
		}
		if res.StatusCode == http.StatusSwitchingProtocols {
			return nil, errSwitched
		}
		if res.StatusCode >= 200 {
			w.left = math.MaxInt64
			body := &answerBody{Reader: res.Body, wire: w, keep: !res.Close, over: res.Body == http.NoBody}
			if body.over {
				return res, body.Close()
			}
			res.Body = body
			return res, nil
		}
		if early != nil && res.StatusCode != http.StatusContinue {
			early(res.StatusCode, res.Header)
		}
	}
	return nil, errEarlyHeads
}

// writeHead writes out's head as HTTP/1.1. Names and values have been through net/http.
func writeHead(b *bytes.Buffer, out *http.Request) {
	b.WriteString(out.Method)
	b.WriteByte(' ')
	b.WriteString(out.URL.RequestURI())
	b.WriteString(" HTTP/1.1\r\nHost: ")
	b.WriteString(out.Host)
	b.WriteString("\r\n")
	for name, values := range out.Header {
		if name == "Content-Length" || name == "Host" {
			continue
		}
		for _, v := range values {
			b.WriteString(name)
			b.WriteString(": ")
			b.WriteString(v)
			b.WriteString("\r\n")
		}
	}
	if out.ContentLength > 0 || out.Method == http.MethodPost || out.Method == http.MethodPut || out.Method == http.MethodPatch {
		fmt.Fprintf(b, "Content-Length: %d\r\n", out.ContentLength)
	}
	b.WriteString("\r\n")
}

// answerBody gives its wire back at the body's end, and closes it when the body is not
// read to its end.
type answerBody struct {
	io.Reader
	wire *wire
	keep bool
	over bool
}

func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && b.wire != nil {
		b.over = errors.Is(err, io.EOF)
		_ = b.Close()
	}
	return n, err
}

func (b *answerBody) Close() error {
	w := b.wire
	if w == nil {
		return nil
	}
	b.wire = nil
	if watching := w.unwatch(); b.over && b.keep && watching && w.br.Buffered() == 0 {
		w.pool.put(w)
	} else {
		_ = w.conn.Close()
	}
	return nil
}

func (c *carrier) pool(host string) *pool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pools[host]
	if p == nil {
		if c.pools == nil {
			c.pools = map[string]*pool{}
		}
		p = &pool{}
		c.pools[host] = p
	}
	return p
}

// forget ends what is kept for a target that no route leads to any more.
func (c *carrier) forget(host string) {
	c.mu.Lock()
	p := c.pools[host]
	delete(c.pools, host)
	c.mu.Unlock()
	if p != nil {
		p.close()
	}
}

func (c *carrier) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for host, p := range c.pools {
		p.close()
		delete(c.pools, host)
	}
}
