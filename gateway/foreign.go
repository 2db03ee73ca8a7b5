package gateway

import (
	"net/http"
	"slices"
	"strings"
)

// Guard knows whose browser asks. Foreign is asked for each request to a student's
// server, and must not block.
type Guard interface {
	// Foreign tells whether the person at the browser is known, is not user, and has not
	// chosen to open user's server.
	Foreign(r *http.Request, user string) bool
	// GuardCookies are the names of cookies that are not passed on.
	GuardCookies() []string
}

// OpenPath asks whether somebody wants to open another person's server; "to" is where
// they were going.
const OpenPath = Reserved + "/open"

// sandbox lets a page of somebody else's server run, as a stranger to the class: it
// can neither read other pages nor send forms in the name of who looks at it.
const sandbox = "sandbox allow-scripts allow-forms allow-popups allow-downloads allow-modals"

// foreign tells whether r goes to a server that is not of the person who asks.
func (d *door) foreign(r *http.Request) bool {
	if d.config.Guard == nil || !hasGuard(r.Header) {
		return false
	}
	user := userOf(lookupKey(r.URL))
	return user != "" && d.config.Guard.Foreign(r, user)
}

// hasGuard is a quick look whether there may be a guard.
func hasGuard(h http.Header) bool {
	for _, c := range h["Cookie"] {
		if strings.Contains(c, "conjured-") {
			return true
		}
	}
	return false
}

// toForeign tells whether a window is about to show a foreign server.
func (d *door) toForeign(r *http.Request) bool {
	window := r.Header.Get("Sec-Fetch-Dest") == "document" || strings.Contains(r.Header.Get("Accept"), "text/html")
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && window && r.Header.Get("Upgrade") == "" && d.foreign(r)
}

// fenceIn makes whatever a foreign server answers harmless, should it become a page.
func (d *door) fenceIn(r *http.Request, _ int, in http.Header) {
	if d.foreign(r) {
		in["Content-Security-Policy"] = append(slices.Clone(in["Content-Security-Policy"]), sandbox)
	}
}

// hideGuard takes the guard's cookies out of what goes to a target.
func (d *door) hideGuard(_ *http.Request, out http.Header) {
	if d.config.Guard == nil || !hasGuard(out) {
		return
	}
	var kept []string
	for _, line := range out["Cookie"] {
		for part := range strings.SplitSeq(line, ";") {
			name, _, _ := strings.Cut(strings.TrimSpace(part), "=")
			if !slices.Contains(d.config.Guard.GuardCookies(), name) {
				kept = append(kept, strings.TrimSpace(part))
			}
		}
	}
	if len(kept) == 0 {
		delete(out, "Cookie")
		return
	}
	out["Cookie"] = []string{strings.Join(kept, "; ")}
}
