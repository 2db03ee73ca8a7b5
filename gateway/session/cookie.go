package session

import (
	"net/http"
	"time"
)

const cookiePath = "/conjured"

// secure tells whether the browser came by HTTPS. Only the front door's own TLS
// counts: nothing stands before it that could say otherwise.
func secure(r *http.Request) bool { return r.TLS != nil }

// cookieName differs by scheme, so that a page on plain HTTP cannot put a session in
// the place of one that came by HTTPS.
func cookieName(r *http.Request) string {
	if secure(r) {
		return "__Secure-conjured-session"
	}
	return "conjured-session"
}

func loginCookie(r *http.Request) string {
	if secure(r) {
		return "__Secure-conjured-login"
	}
	return "conjured-login"
}

// cookieOf is the value of the one cookie of that name. Two of them mean that some
// page has set one for a deeper path, hoping that it is read first: none counts then.
func cookieOf(r *http.Request, name string) (string, bool) {
	all := r.CookiesNamed(name)
	if len(all) != 1 || len(all[0].Value) != 64 {
		return "", false
	}
	return all[0].Value, true
}

// setCookie gives the browser a cookie that scripts can't read and that other sites'
// forms do not send. life 0 is until the browser is closed.
func setCookie(w http.ResponseWriter, r *http.Request, name, value, path string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: path, MaxAge: int(life / time.Second),
		HttpOnly: true, Secure: secure(r), SameSite: http.SameSiteLaxMode,
	})
}

func forgetCookie(w http.ResponseWriter, r *http.Request, name, path string) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Path: path, MaxAge: -1, HttpOnly: true, Secure: secure(r), SameSite: http.SameSiteLaxMode,
	})
}
