package statics

import (
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// Serve answers r with the file at an address below a student's server, and tells
// whether it did: false leaves r to the server, with nothing written. at is decoded,
// without a slash at its ends. It answers GET and HEAD for proven files whose
// compressed form is ready; ranges are served of the file as it is.
func (c *Cache) Serve(w http.ResponseWriter, r *http.Request, at string) bool {
	if c == nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	f, ok := c.index.Load().files[at]
	if !ok {
		return false
	}
	v, ok := versioned(r.URL.RawQuery)
	if !ok || !f.named && !f.hashes.proves(v) {
		return false
	}
	k, path := identity, f.path
	if r.Header.Get("Range") == "" && f.press {
		accept := r.Header["Accept-Encoding"]
		k = choose(accept, f.ready.Load())
		if k == identity && choose(accept, allCodings) != identity {
			return false // not ready; the server's answer is compressed on its way
		}
	}
	if k != identity {
		path = c.path(f.content, k)
	}
	body, err := os.Open(path)
	if err != nil {
		return false // its generation was removed
	}
	defer body.Close()
	fi, err := body.Stat()
	if err != nil || k == identity && fi.Size() != f.size {
		return false
	}
	head(w.Header(), f, k)
	if k == identity {
		http.ServeContent(w, r, "", fi.ModTime(), body)
		return true
	}
	if unchanged(r.Header["If-None-Match"], f) {
		w.WriteHeader(http.StatusNotModified)
		return true
	}
	w.Header().Set("Content-Encoding", k.String())
	w.Header().Set("Content-Length", strconv.FormatInt(fi.Size(), 10))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		// From the page cache to the socket; what is missing the browser notices.
		_, _ = io.CopyN(w, body, fi.Size())
	}
	return true
}

// head is what the answers for f have in common.
func head(h http.Header, f file, k coding) {
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	tag := f.tag()
	if k != identity {
		tag += "-" + k.String()
	}
	h.Set("ETag", `"`+tag+`"`)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "frame-ancestors 'none'") // as Jupyter says
	if f.press {
		h.Set("Vary", "Accept-Encoding")
	}
}

// tag is what the tags of f in all codings begin with.
func (f file) tag() string { return f.hashes.sha256[:20] }

// unchanged tells whether the browser has f, in whatever coding: its content cannot
// have changed.
func unchanged(header []string, f file) bool {
	for _, line := range header {
		for tag := range strings.SplitSeq(line, ",") {
			tag = strings.Trim(strings.TrimPrefix(strings.TrimSpace(tag), "W/"), `"`)
			if base, _, _ := strings.Cut(tag, "-"); base == f.tag() || tag == "*" {
				return true
			}
		}
	}
	return false
}
