package session

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const loginTime = 10 * time.Minute // to type the password; the hub's codes live as long

// Begin sends the browser to the hub, which asks for name and password when it does
// not know it yet, and then back to next, a path below /conjured/. Nothing is
// remembered here: what must come back is signed and travels with the browser.
func (s *Sessions) Begin(w http.ResponseWriter, r *http.Request, next string) {
	secret, ok := cookieOf(r, loginCookie(r)) // another tab may be on its way too
	if !ok {
		secret = random()
	}
	setCookie(w, r, loginCookie(r), secret, s.config.Callback, loginTime)
	challenge := sha256.Sum256([]byte(s.verifier(secret)))
	q := url.Values{
		"client_id": {s.config.Client}, "redirect_uri": {s.config.Callback}, "response_type": {"code"},
		"state":          {s.state(secret, within(next), time.Now())},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, "/hub/api/oauth2/authorize?"+q.Encode(), http.StatusSeeOther)
}

// Finish takes the code that the hub sent the browser back with, gives the browser
// its session, and tells where it wanted to go. With ErrHubAway the same request may
// be sent again; with ErrForged and ErrRefused the login must begin anew.
func (s *Sessions) Finish(w http.ResponseWriter, r *http.Request) (next string, err error) {
	q := r.URL.Query()
	secret, ok := cookieOf(r, loginCookie(r))
	if !ok {
		return "", ErrForged
	}
	key, next, err := s.open(secret, q.Get("state"), time.Now())
	if err != nil {
		return "", err
	}
	if why := q.Get("error"); why != "" || q.Get("code") == "" {
		return next, fmt.Errorf("%w: %.80q", ErrRefused, why)
	}
	token, err := s.exchange(r.Context(), q.Get("code"), s.verifier(secret))
	if err != nil {
		return next, err
	}
	who, err := s.whose(r.Context(), token)
	if err != nil {
		return next, err
	}
	if _, on := s.config.Roster.Person(who.Name); !on {
		return next, ErrRefused
	}
	if !s.once(key) {
		return "", ErrForged
	}
	s.End(w, r) // an id that was there before the login never becomes the session's
	w.Header().Del("Set-Cookie")
	setCookie(w, r, cookieName(r), s.add(who, token), cookiePath, longest)
	s.Guard(w, r, &Session{Person: Person{Name: who.Name}})
	forgetCookie(w, r, loginCookie(r), s.config.Callback)
	return next, nil
}

// verifier is PKCE's secret for a login: 43 characters that only we can make.
func (s *Sessions) verifier(secret string) string {
	return base64.RawURLEncoding.EncodeToString(s.sign("verifier", secret))
}

// state is what the hub hands back: when, where to, and our signature over both and
// over the browser's secret.
func (s *Sessions) state(secret, next string, now time.Time) string {
	text := strconv.FormatInt(now.Unix(), 36) + "." + random()[:16] + "." + base64.RawURLEncoding.EncodeToString([]byte(next))
	return text + "." + hex.EncodeToString(s.sign("state", secret, text))
}

// open checks a state and gives its place in the book of those used up.
func (s *Sessions) open(secret, state string, now time.Time) (key [32]byte, next string, err error) {
	f := strings.Split(state, ".")
	if len(state) > 2048 || len(f) != 4 {
		return key, "", ErrForged
	}
	text := strings.Join(f[:3], ".")
	want := hex.EncodeToString(s.sign("state", secret, text))
	began, err := strconv.ParseInt(f[0], 36, 64)
	if !hmac.Equal([]byte(want), []byte(f[3])) || err != nil || now.Sub(time.Unix(began, 0)) > loginTime {
		return key, "", ErrForged
	}
	b, err := base64.RawURLEncoding.DecodeString(f[2])
	if err != nil {
		return key, "", ErrForged
	}
	return sha256.Sum256([]byte(state)), within(string(b)), nil
}

// once notes that a state was used and refuses the second time. Only logins that the
// hub vouched for get here, so the book stays as small as they are few.
func (s *Sessions) once(key [32]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for k, t := range s.used {
		if now.Sub(t) > loginTime {
			delete(s.used, k)
		}
	}
	if _, again := s.used[key]; again {
		return false
	}
	s.used[key] = now
	return true
}

func (s *Sessions) sign(parts ...string) []byte {
	h := hmac.New(sha256.New, s.seal[:])
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return h.Sum(nil)
}

// within is next when it is a plain path of ours, else the account page: whoever
// makes a link must not choose where a login ends.
func within(next string) string {
	u, err := url.Parse(next)
	plain := err == nil && u.Scheme == "" && u.Host == "" && u.User == nil && len(next) < 512 &&
		strings.HasPrefix(u.EscapedPath(), cookiePath+"/") && !strings.Contains(u.Path, "..") && !strings.ContainsAny(next, "\\\r\n\t")
	if !plain {
		return cookiePath + "/account"
	}
	return next
}
