package chp

import (
	"fmt"
	"strings"
	"testing"
)

// whatwg is a request's path and query as a browser would write them (WHATWG URL, for
// http): what the original makes of every path before it passes it on.
func whatwg(uri string) string {
	uri, _, _ = strings.Cut(uri, "#")
	path, query, asked := strings.Cut(uri, "?")
	path = strings.ReplaceAll(path, `\`, "/")
	out, parts := []string{}, strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, part := range parts {
		last := i == len(parts)-1
		switch dots := strings.ReplaceAll(strings.ReplaceAll(part, "%2e", "."), "%2E", "."); {
		case dots == "..":
			out = out[:max(0, len(out)-1)]
			if last {
				out = append(out, "")
			}
		case dots == ".":
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, escaped(part, " \"<>`{}^"))
		}
	}
	path = "/" + strings.Join(out, "/")
	if asked && query != "" { // its library for URLs also drops a bare question mark
		path += "?" + escaped(query, ` "<>'`)
	}
	return path
}

// escaped writes the given bytes, control codes, and what is not ASCII, as %XX.
func escaped(s, bytes string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || strings.IndexByte(bytes, c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func TestWhatwg(t *testing.T) {
	for in, want := range map[string]string{
		"/": "/", "/a/../b": "/b", "/a/%2e%2E": "/", "/a/.": "/a/", `/a\b`: "/a/b", "/é?'": "/%C3%A9?%27", "/a?": "/a", "/a//b/": "/a//b/", "/a#b?c": "/a",
	} {
		if got := whatwg(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
