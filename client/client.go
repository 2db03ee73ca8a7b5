package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/notice"
)

// ErrNotRunning means that no daemon listens on the socket.
var ErrNotRunning = errors.New("the daemon is not running")

const maxAnswer = 16 << 20 // bytes; a status of hundreds of students is far below

// Client calls one daemon. It is safe for concurrent use.
type Client struct {
	socket string
	http   http.Client
}

// New makes a client of the daemon that listens on socket, a path. Nothing is
// dialled before the first call.
func New(socket string) *Client {
	c := &Client{socket: socket}
	c.http.Transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			d := net.Dialer{Timeout: 5 * time.Second}
			return d.DialContext(ctx, "unix", socket)
		},
		MaxIdleConns: 2,
	}
	return c
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// do sends in (nil: no body) and decodes the answer into out (nil: ignored).
func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	res, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("cannot read the daemon's answer to %s: %w", path, err)
	}
	return nil
}

// send returns a 2xx response, whose body the caller closes, or an error.
func (c *Client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("cannot encode the request for %s: %w", path, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://conjured"+path, body)
	if err != nil {
		return nil, fmt.Errorf("cannot make the request for %s: %w", path, err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	if res.StatusCode/100 == 2 {
		return res, nil
	}
	defer res.Body.Close()
	return nil, refusal(path, res)
}

// explain words the failure to reach the daemon.
func (c *Client) explain(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return &notice.Error{Notice: notice.Notice{
			Code: "daemon-not-running", Severity: notice.SeverityError,
			What:  "conjured is not running (nobody listens on " + c.socket + ")",
			Means: "there is no class to ask or to change at the moment",
			Do:    "start it with: conjured up",
		}, Err: ErrNotRunning}
	case errors.Is(err, fs.ErrPermission):
		return &notice.Error{Notice: notice.Notice{
			Code: "daemon-no-permission", Severity: notice.SeverityError,
			What:  "this user may not talk to conjured (" + c.socket + ")",
			Means: "the class is not affected",
			Do:    "run the same command with sudo",
		}, Err: err}
	}
	return fmt.Errorf("cannot talk to the daemon: %w", err)
}

// refusal is the error that an answer other than 2xx stands for.
func refusal(path string, res *http.Response) error {
	var p api.Problem
	err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&p)
	if err != nil || len(p.Notices) == 0 {
		return fmt.Errorf("cannot use the daemon's answer to %s: status %d", path, res.StatusCode)
	}
	return p.Notices
}
