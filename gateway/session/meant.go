package session

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// ErrNotMeant says that a request that changes something does not come from a form of
// ours; compare with errors.Is.
var ErrNotMeant = errors.New("the request does not come from one of our own forms")

// The field of a form, or the header of a script's request, that holds [Session.Form].
const (
	FormField  = "form"
	FormHeader = "X-Conjured"
)

// Meant tells whether the person at the browser meant a request that changes
// something: it comes from a page of this origin, as far as the browser says, and
// brings back the token that only a page of this session holds. r's form must have
// been parsed.
func (e *Session) Meant(r *http.Request) error {
	if !sameOrigin(r) {
		return ErrNotMeant
	}
	got := r.Header.Get(FormHeader)
	if got == "" {
		got = r.PostFormValue(FormField)
	}
	if subtle.ConstantTimeCompare([]byte(got), []byte(e.Form)) != 1 {
		return ErrNotMeant
	}
	return nil
}

// sameOrigin believes what browsers say and scripts of other sites can't change:
// Sec-Fetch-Site where it is sent (not over plain HTTP), and Origin. A request with
// neither comes from no browser of today, and the token decides.
func sameOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return false
	}
	origin, sent := r.Header["Origin"]
	if !sent {
		return true
	}
	if len(origin) != 1 {
		return false
	}
	u, err := url.Parse(origin[0])
	scheme := "http"
	if secure(r) {
		scheme = "https"
	}
	return err == nil && u.Scheme == scheme && strings.EqualFold(u.Host, r.Host)
}
