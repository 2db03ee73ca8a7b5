package session

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// All of a class is one origin for browsers: a page from one student's server could do
// in another's browser whatever that person may. So a browser that has been at our
// pages also holds a guard, a cookie for /user/ that says whose browser it is, and the
// front door asks [Sessions.Foreign] before it shows it anybody else's server.

const (
	guardCookie = "conjured-guard"
	guardPath   = "/user"
	openCookie  = "conjured-open"
	openFor     = 30 * time.Minute
)

// GuardCookies are the names of cookies that no student's server should see.
func (*Sessions) GuardCookies() []string { return []string{guardCookie, openCookie} }

// Foreign tells whether the person at the browser is known, is not user, and has not
// chosen lately to open user's server. It asks nobody: what it needs is sealed in the
// cookies. A cookie that a student's server has added changes nothing to its favour.
func (s *Sessions) Foreign(r *http.Request, user string) bool {
	who := ""
	for _, c := range r.CookiesNamed(guardCookie) {
		if name, ok := s.unseal(guardCookie, c.Value); ok && name != user {
			who = name
		}
	}
	if who == "" {
		return false
	}
	for _, c := range r.CookiesNamed(openCookie) {
		if pair, ok := s.unseal(openCookie, c.Value); ok && pair == who+"\x00"+user {
			return false
		}
	}
	return true
}

// Guard gives the browser its guard.
func (s *Sessions) Guard(w http.ResponseWriter, r *http.Request, e *Session) {
	setCookie(w, r, guardCookie, s.sealed(guardCookie, e.Name, longest), guardPath, longest)
}

// Open lets the browser of e show user's server as it is, for half an hour.
func (s *Sessions) Open(w http.ResponseWriter, r *http.Request, e *Session, user string) {
	path := guardPath + "/" + user
	if strings.ContainsAny(user, "; ,/\\\"") {
		return
	}
	for _, b := range []byte(user) {
		if b < 0x20 || b >= 0x7f { // such a path cannot be written in a cookie
			path = guardPath
		}
	}
	setCookie(w, r, openCookie, s.sealed(openCookie, e.Name+"\x00"+user, openFor), path, openFor)
}

// sealed signs text until then; the key is made of the hub's secret, so that a guard
// outlives the daemon.
func (s *Sessions) sealed(kind, text string, life time.Duration) string {
	t := strconv.FormatInt(time.Now().Add(life).Unix(), 36) + "." + base64.RawURLEncoding.EncodeToString([]byte(text))
	return t + "." + s.stamp(kind, t)
}

func (s *Sessions) unseal(kind, value string) (string, bool) {
	i := strings.LastIndexByte(value, '.')
	if i < 0 || len(value) > 512 || !hmac.Equal([]byte(value[i+1:]), []byte(s.stamp(kind, value[:i]))) {
		return "", false
	}
	until, text, _ := strings.Cut(value[:i], ".")
	t, err := strconv.ParseInt(until, 36, 64)
	b, berr := base64.RawURLEncoding.DecodeString(text)
	return string(b), err == nil && berr == nil && time.Now().Unix() <= t
}

func (s *Sessions) stamp(kind, text string) string {
	h := hmac.New(sha256.New, []byte("guard of the class's pages\x00"+s.config.Secret))
	h.Write([]byte(kind + "\x00" + text))
	return hex.EncodeToString(h.Sum(nil)[:16])
}
