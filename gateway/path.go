package gateway

import (
	"iter"
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

// lookupKey is where a request's path lies in the table: decoded, and with dot
// segments resolved as a browser resolves them, so that no spelling of a path
// reaches another route than its meaning.
func lookupKey(u *url.URL) string {
	path := u.Path
	if !strings.Contains(path, "/.") && !strings.Contains(path, `\`) {
		return key(path)
	}
	var out []string
	for segment := range strings.SplitSeq(strings.ReplaceAll(path, `\`, "/"), "/") {
		switch segment {
		case ".":
		case "..":
			out = out[:max(0, len(out)-1)]
		default:
			out = append(out, segment)
		}
	}
	return key(strings.Join(out, "/"))
}
