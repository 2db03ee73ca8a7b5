package gateway

import (
	"iter"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// A key is a decoded path without slashes at both ends; "" is the root. The
// table's places are the key's segments, empty ones in the middle included, as in
// configurable-http-proxy.

// key is the place that a route's path names.
func key(path string) string { return strings.Trim(path, "/") }

// cut splits the first segment off a key; more is false at its end. As a key has
// no slash at its ends, only the end is empty.
func cut(k string) (segment, rest string, more bool) {
	if k == "" {
		return "", "", false
	}
	segment, rest, _ = strings.Cut(k, "/")
	return segment, rest, true
}

// segments yields the segments of a key.
func segments(k string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for k != "" {
			segment, rest, _ := strings.Cut(k, "/")
			if !yield(segment) {
				return
			}
			k = rest
		}
	}
}

// rawTarget is the path and query of a request as they came on the wire.
func rawTarget(r *http.Request) string {
	uri := r.RequestURI
	if uri == "" || uri[0] == '/' {
		return uri
	}
	_, rest, ok := strings.Cut(uri, "://") // absolute form, as a proxy is asked
	if !ok {
		return r.URL.RequestURI()
	}
	i := strings.IndexAny(rest, "/?")
	switch {
	case i < 0:
		return "/"
	case rest[i] == '?':
		return "/" + rest[i:]
	}
	return rest[i:]
}

// HostKey is the place of a request in a table that is routed by host names first, as
// configurable-http-proxy does with --host-routing: the host without its port, then
// the path. A request without a host has only the path's place.
func HostKey(r *http.Request) string {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return key(host + "/" + lookupKey(r.URL))
}

// lookupKey is where a request's path lies in the table: decoded, and with dot
// segments resolved as a browser resolves them, so that no spelling of a path
// reaches another route than its meaning.
func lookupKey(u *url.URL) string {
	path := u.Path
	if strings.Contains(path, `\`) {
		path = strings.ReplaceAll(path, `\`, "/")
	}
	if !strings.Contains(path, "/.") {
		return key(path)
	}
	return key(resolve(path, func(s string) string { return s }))
}

// resolve takes dot segments out of a path; plain says what a segment means.
func resolve(path string, plain func(string) string) string {
	var out []string
	for segment := range strings.SplitSeq(path, "/") {
		switch plain(segment) {
		case ".":
		case "..":
			out = out[:max(0, len(out)-1)]
		default:
			out = append(out, segment)
		}
	}
	return strings.Join(out, "/")
}

// spelt is the decoded path of a request to the API. Dots are resolved before it is
// decoded, as every URL library of its clients does: a slash in a name (%2F) makes no
// segment then.
func spelt(u *url.URL) string {
	path := resolve(u.EscapedPath(), func(s string) string {
		return strings.ReplaceAll(strings.ReplaceAll(s, "%2e", "."), "%2E", ".")
	})
	plain, err := url.PathUnescape(path)
	if err != nil {
		return u.Path
	}
	return plain
}
