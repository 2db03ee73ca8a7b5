package hub

import (
	"net/http"
	"net/http/httputil"
	"path"
	"strings"
)

// upstreamHandler is the students' way to the hub: only its REST API, only small
// questions, and none of the headers by which a proxy speaks for somebody else.
func (h *Hub) upstreamHandler() http.Handler {
	p := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", "localhost"
			r.Out.Host = "localhost"
			for k := range r.Out.Header {
				if strings.HasPrefix(k, "X-Forwarded") || strings.HasPrefix(k, "X-Real") || k == "Forwarded" || k == "Cookie" {
					r.Out.Header.Del(k)
				}
			}
		},
		Transport: over(h.paths.hubSock(), 8).Transport,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			h.cfg.Log.Debug("a server's question to the hub got no answer", "path", r.URL.Path, "error", err)
			w.Header().Set("Retry-After", "2")
			reply(w, http.StatusServiceUnavailable, refusal{"the hub is restarting"})
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !apiPath(r) || r.Method == http.MethodConnect || r.Header.Get("Upgrade") != "" {
			reply(w, http.StatusNotFound, refusal{"only the hub's API is here"})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
		p.ServeHTTP(w, r)
	})
}

// apiPath tells whether a request is for /hub/api and nothing reached from there.
func apiPath(r *http.Request) bool {
	u := r.URL.Path
	clean := path.Clean(u) == strings.TrimSuffix(u, "/")
	encoded := strings.Contains(strings.ToLower(r.URL.EscapedPath()), "%2e")
	return clean && !encoded && (u == "/hub/api" || strings.HasPrefix(u, "/hub/api/"))
}
