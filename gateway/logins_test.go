package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// oneByOne lets one login in at a time, and tells addresses on its list to wait.
type oneByOne struct {
	place chan struct{}
	later map[string]time.Duration
	ended chan bool
}

func (o *oneByOne) Enter(ctx context.Context, address string) (func(bool), time.Duration, error) {
	if w := o.later[address]; w > 0 {
		return nil, w, nil
	}
	select {
	case o.place <- struct{}{}:
		return func(failed bool) { <-o.place; o.ended <- failed }, 0, nil
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
}

// Login forms wait for their turn, arrive whole, and the answer is reported; every
// other request passes by.
func TestLogins(t *testing.T) {
	h := open(t)
	gate := &oneByOne{make(chan struct{}, 1), map[string]time.Duration{}, make(chan bool, 1)}
	h.door.config.Logins = gate
	h.target("/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if strings.Contains(string(b), "wrong") {
			w.WriteHeader(http.StatusForbidden)
		}
		fmt.Fprintf(w, "%s %d %s", r.Method, r.ContentLength, b)
	}))
	send := func(method, path, body string, header ...string) (int, string) {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), method, h.url+path, struct{ io.Reader }{strings.NewReader(body)})
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(b)
	}
	for body, failed := range map[string]bool{"password=right": false, "password=wrong": true} {
		want := fmt.Sprintf("POST %d %s", len(body), body)
		if _, got := send("POST", "/hub/login?next=/", body); got != want {
			t.Errorf("%s: the hub saw %q", body, got)
		}
		if f := <-gate.ended; f != failed {
			t.Errorf("%s: failed is %v", body, f)
		}
	}
	gate.place <- struct{}{} // somebody is at it
	for _, other := range [][2]string{{"GET", "/hub/login"}, {"POST", "/hub/loginx"}, {"POST", "/user/al/hub/login"}, {"POST", "/hub/api/users"}} {
		if code, got := send(other[0], other[1], "x"); code != 200 {
			t.Errorf("%v: %d %s", other, code, got)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "POST", h.url+"/hub/%6cogin", strings.NewReader("x"))
	if res, err := http.DefaultClient.Do(req); err == nil {
		res.Body.Close()
		t.Error("a login did not wait for its turn")
	}
	if code, _ := send("POST", "/hub/login", strings.Repeat("x", maxLogin+1)); code != http.StatusBadRequest {
		t.Errorf("a form of %d bytes: %d", maxLogin+1, code)
	}
	gate.later["127.0.0.1"] = 5 * time.Second
	code, page := send("POST", "/hub/login", "x", "Accept", "text/html")
	if code != http.StatusTooManyRequests || !strings.Contains(page, "Wait 5 seconds") || !strings.Contains(page, "<html") {
		t.Errorf("%d %.300s", code, page)
	}
	code, page = send("POST", "/hub/login", "x", "Accept", "application/json")
	if code != http.StatusTooManyRequests || !strings.Contains(page, `"message":"Too many people`) {
		t.Errorf("%d %.300s", code, page)
	}
}

// Whoever sends a form byte by byte takes nobody's place.
func TestLogins_slowForm(t *testing.T) {
	h := open(t)
	gate := &oneByOne{make(chan struct{}, 1), nil, make(chan bool, 1)}
	h.door.config.Logins = gate
	h.target("/", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "POST /hub/login HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx")
	res, err := http.Post(h.url+"/hub/login", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	<-gate.ended
}
