package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// student is somebody at the front door without a browser: what a browser's scripts
// would send, so that many can be had cheaply. Each has cookies of its own.
type student struct {
	name, password string
	base           *url.URL
	http           *http.Client
	said           []string // what the waiting page told, in order
}

var errRefused = errors.New("the login was refused")

func newStudent(base, name, password string) *student {
	u, err := url.Parse(base)
	if err != nil {
		panic(err)
	}
	jar, _ := cookiejar.New(nil)
	return &student{name: name, password: password, base: u, http: &http.Client{Jar: jar, Timeout: time.Minute}}
}

// login fills in the form. errRefused when the password is wrong or unknown.
func (s *student) login(ctx context.Context) error {
	body, res, err := s.do(ctx, "GET", "/hub/login", nil)
	if err != nil {
		return err
	}
	if res.StatusCode != 200 {
		return fmt.Errorf("login page: %s: %.200s", res.Status, body)
	}
	form := url.Values{"username": {s.name}, "password": {s.password}, "_xsrf": {s.xsrf("/hub/")}}
	body, res, err = s.do(ctx, "POST", "/hub/login?next=/hub/home", form)
	switch {
	case err != nil:
		return err
	case res.StatusCode == http.StatusForbidden || res.StatusCode == http.StatusUnauthorized,
		strings.HasSuffix(res.Request.URL.Path, "/hub/login"):
		return errRefused
	case res.StatusCode >= 400:
		return fmt.Errorf("login: %s: %.300s", res.Status, body)
	}
	return nil
}

// spawn asks for the server and waits until Lab answers.
func (s *student) spawn(ctx context.Context) error {
	if _, _, err := s.do(ctx, "GET", "/hub/spawn", nil); err != nil {
		return err
	}
	for {
		body, res, err := s.do(ctx, "GET", "/user/"+s.name+"/lab", nil)
		if err == nil && res.StatusCode == 200 && strings.Contains(string(body), "jupyter-config-data") {
			return nil
		}
		if err == nil && res.StatusCode == http.StatusFailedDependency { // it was stopping; the page would ask again
			_, _, _ = s.do(ctx, "GET", "/hub/spawn", nil)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("lab did not open: %w (last: %v)", ctx.Err(), statusOf(res))
		case <-time.After(150 * time.Millisecond):
		}
	}
}

// run executes code in a new kernel and gives what it prints.
func (s *student) run(ctx context.Context, code string) (string, error) {
	k, err := s.kernel(ctx)
	if err != nil {
		return "", err
	}
	defer k.close()
	return k.run(ctx, code)
}

// kernel is one running kernel with its socket.
type kernel struct {
	s  *student
	id string
	ws *websocket.Conn
	n  int

	came  chan []byte   // messages, as they come
	ended chan struct{} // closed when the socket has ended, for the reason in why
	why   error
}

// kernel starts the kernel that a notebook has when nothing else is asked for.
func (s *student) kernel(ctx context.Context) (*kernel, error) { return s.kernelOf(ctx, "python3") }

// kernelOf starts a kernel of the list.
func (s *student) kernelOf(ctx context.Context, name string) (*kernel, error) {
	api := "/user/" + s.name + "/api/kernels"
	body, res, err := s.do(ctx, "POST", api, map[string]string{"name": name})
	if err != nil {
		return nil, err
	}
	var k struct{ ID string }
	if err := json.Unmarshal(body, &k); err != nil || k.ID == "" {
		return nil, fmt.Errorf("no kernel: %s: %.300s", res.Status, body)
	}
	u := *s.base
	u.Scheme, u.Path = "ws", api+"/"+k.ID+"/channels"
	ws, _, err := websocket.Dial(ctx, u.String(), &websocket.DialOptions{
		HTTPClient: s.http, HTTPHeader: http.Header{"Origin": {s.base.String()}},
	})
	if err != nil {
		return nil, fmt.Errorf("no socket to the kernel: %w", err)
	}
	one := &kernel{s: s, id: k.ID}
	one.attach(ws)
	return one, nil
}

// attach reads from the socket as a browser does, all the time: it is what answers the
// server's pings.
func (k *kernel) attach(ws *websocket.Conn) {
	ws.SetReadLimit(16 << 20)
	k.ws, k.came, k.ended = ws, make(chan []byte, 1000), make(chan struct{})
	go func(came chan<- []byte, ended chan<- struct{}) {
		defer close(ended)
		for {
			_, b, err := ws.Read(context.Background())
			if err != nil {
				k.why = err
				return
			}
			select {
			case came <- b:
			default: // news that nobody waits for
			}
		}
	}(k.came, k.ended)
}

// next is the next message of the kernel.
func (k *kernel) next(ctx context.Context) ([]byte, error) {
	select {
	case b := <-k.came:
		return b, nil
	case <-k.ended:
		return nil, k.why
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (k *kernel) close() { _ = k.ws.CloseNow() }

// run executes code and gives what it prints; a Python error is an error.
func (k *kernel) run(ctx context.Context, code string) (string, error) {
	k.n++
	id := fmt.Sprintf("%s-%d", k.id, k.n)
	msg, _ := json.Marshal(map[string]any{
		"channel": "shell", "parent_header": map[string]any{}, "metadata": map[string]any{},
		"header":  map[string]any{"msg_id": id, "msg_type": "execute_request", "username": k.s.name, "session": k.id, "version": "5.3", "date": time.Now().UTC().Format(time.RFC3339)},
		"content": map[string]any{"code": code, "silent": false, "store_history": false, "user_expressions": map[string]any{}, "allow_stdin": false, "stop_on_error": true},
	})
	if err := k.ws.Write(ctx, websocket.MessageText, msg); err != nil {
		return "", err
	}
	var out strings.Builder
	for {
		b, err := k.next(ctx)
		if err != nil {
			return out.String(), err
		}
		var m struct {
			Parent  struct{ Msg_id string } `json:"parent_header"`
			Header  struct{ Msg_type string }
			Content struct {
				Text, Ename, Evalue, Execution_state string
				Data                                 map[string]any
			}
		}
		if json.Unmarshal(b, &m) != nil || m.Parent.Msg_id != id {
			continue
		}
		switch m.Header.Msg_type {
		case "stream":
			out.WriteString(m.Content.Text)
		case "execute_result":
			fmt.Fprint(&out, m.Content.Data["text/plain"])
		case "error":
			return out.String(), fmt.Errorf("%s: %s", m.Content.Ename, m.Content.Evalue)
		case "status":
			if m.Content.Execution_state == "idle" {
				return out.String(), nil
			}
		}
	}
}

// do sends one request, following redirects, with the XSRF token of the path.
func (s *student) do(ctx context.Context, method, path string, in any) ([]byte, *http.Response, error) {
	var body io.Reader
	kind := ""
	switch v := in.(type) {
	case url.Values:
		body, kind = strings.NewReader(v.Encode()), "application/x-www-form-urlencoded"
	case nil:
	default:
		b, err := json.Marshal(v)
		if err != nil {
			return nil, nil, err
		}
		body, kind = bytes.NewReader(b), "application/json"
	}
	req, err := http.NewRequestWithContext(ctx, method, s.base.String()+path, body)
	if err != nil {
		return nil, nil, err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	req.Header.Set("X-XSRFToken", s.xsrf(path))
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	res, err := s.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return b, res, err
}

func (s *student) xsrf(path string) string {
	u := *s.base
	u.Path, _, _ = strings.Cut(path, "?")
	for _, c := range s.http.Jar.Cookies(&u) {
		if c.Name == "_xsrf" {
			return c.Value
		}
	}
	return ""
}

func statusOf(res *http.Response) string {
	if res == nil {
		return "no answer"
	}
	return res.Request.URL.Path + " " + res.Status
}

func readBody(res *http.Response) string {
	b, _ := io.ReadAll(res.Body) // a page that is cut short lacks what is looked for
	return string(b)
}
