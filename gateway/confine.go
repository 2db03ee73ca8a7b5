package gateway

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A student decides what their server answers, and all servers share one origin: what
// it says about the whole site would reach other students' pages. So below /user/ the
// headers that speak for the site do not pass, and a cookie stays below its route.

// siteWide tells whether a header speaks for the whole site.
func siteWide(name string) bool {
	switch name {
	case "Accept-Ch", "Activate-Storage-Access", "Alt-Svc", "Clear-Site-Data", "Critical-Ch", "Expect-Ct", "Nel",
		"Origin-Agent-Cluster", "Public-Key-Pins", "Public-Key-Pins-Report-Only", "Report-To", "Sec-Session-Registration",
		"Service-Worker-Allowed", "Set-Cookie2", "Set-Login", "Strict-Transport-Security", "Use-As-Dictionary":
		return true
	}
	return false
}

// confine takes out of h what must not come from the route at path, "/user/...".
func confine(h http.Header, path string) {
	for name := range h {
		if siteWide(name) {
			delete(h, name)
		}
	}
	cookies := h["Set-Cookie"]
	if len(cookies) == 0 {
		return
	}
	own := make([]string, 0, len(cookies)) // the old one is the answer's
	for _, c := range cookies {
		if c, ok := scoped(c, path); ok {
			own = append(own, c)
		}
	}
	h["Set-Cookie"] = own
}

// scoped is a cookie without its domain and with a path at or below the given one. False
// for one that takes a foreign cookie away: moved here it would take one of our own.
func scoped(cookie, path string) (string, bool) {
	parts := strings.Split(cookie, ";")
	kept, at, foreign := parts[:1], false, false
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(part, "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "domain":
			foreign = true
		case "path":
			if below(strings.TrimSpace(value), path) {
				at, kept = true, append(kept, part)
			} else if strings.TrimSpace(value) != "" {
				foreign = true
			}
		default:
			kept = append(kept, part)
		}
	}
	if foreign && expired(cookie) {
		return "", false
	}
	if !at {
		kept = append(kept, " Path="+(&url.URL{Path: strings.TrimRight(path, "/") + "/"}).EscapedPath())
	}
	return strings.Join(kept, ";"), true
}

func expired(cookie string) bool {
	c, err := http.ParseSetCookie(cookie)
	return err == nil && (c.MaxAge < 0 || !c.Expires.IsZero() && c.Expires.Before(time.Now()))
}

// below tells whether a cookie's path, in whatever spelling, lies at or below path.
func below(value, path string) bool {
	plain, err := url.PathUnescape(value)
	if err != nil || strings.Contains(plain, "..") || strings.ContainsAny(plain, "\\%") {
		return false
	}
	path = strings.TrimRight(path, "/")
	return plain == path || strings.HasPrefix(plain, path+"/")
}
