package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Logins decides when a login form goes on to the hub, so that many wrong ones do not
// stand before a right one.
type Logins interface {
	// Enter waits for the turn of an address. done is told once whether the hub
	// refused. A wait of more than 0 means: not now.
	Enter(ctx context.Context, address string) (done func(failed bool), wait time.Duration, err error)
}

const (
	maxLogin  = 64 << 10         // bytes of a login form
	bodyTime  = 10 * time.Second // for a form to arrive
	loginTime = 5 * time.Second  // after which the next one goes on, answered or not
)

// isLogin tells whether a request brings a password for the hub.
func isLogin(r *http.Request, key string) bool {
	return r.Method == http.MethodPost && key == "hub/login"
}

// login passes a login form on when it is its address's turn. The form is read first:
// whoever sends it byte by byte keeps only themselves waiting.
func (d *door) login(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLogin))
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	if err != nil {
		answer(w, http.StatusBadRequest, "the login form did not arrive")
		return
	}
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	r.Header.Del("Expect") // it has come
	address, _, _ := net.SplitHostPort(r.RemoteAddr)
	done, wait, err := d.config.Logins.Enter(r.Context(), address)
	switch {
	case err != nil:
		return // the browser has gone
	case wait > 0:
		d.loginLater(w, r, wait)
		return
	}
	once := sync.Once{}
	over := func(failed bool) { once.Do(func() { done(failed) }) }
	defer time.AfterFunc(loginTime, func() { over(false) }).Stop()
	seen := &statusWriter{ResponseWriter: w}
	defer func() { over(seen.status >= 400) }()
	d.proxy.ServeHTTP(seen, r)
}

// loginLater says that too many logins from this address wait already.
func (d *door) loginLater(w http.ResponseWriter, r *http.Request, wait time.Duration) {
	seconds := int(wait.Round(time.Second).Seconds())
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	text := fmt.Sprintf("Too many people try to log in from this computer at once. Wait %d seconds, then try again.", seconds)
	if wantsJSON(r) {
		d.refuseJSON(w, http.StatusTooManyRequests, text)
		return
	}
	d.pages.show(w, r, http.StatusTooManyRequests, "message", view{
		Class: d.config.Class.About().title(), Phase: string(d.phase()),
		Title: "One moment", Text: text, Link: "/hub/login", Button: "To the login page",
	})
}

// statusWriter notes the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes the status; 1xx come before it.
func (s *statusWriter) WriteHeader(status int) {
	if s.status < 200 {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }
