package chp

import (
	"fmt"
	"net"
	"net/http"
	"strings"
)

// redirect sends every request to the same address over HTTPS at port.
func redirect(port string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
			if strings.Contains(name, ":") {
				host = "[" + name + "]"
			}
		}
		if host == "" {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, "This server is HTTPS-only on port %s, but an HTTP request was made and the host could not be determined from the request.", port)
			return
		}
		if port != "443" {
			host += ":" + port
		}
		uri := r.RequestURI
		if !strings.HasPrefix(uri, "/") {
			uri = r.URL.RequestURI()
		}
		w.Header()["Location"] = []string{"https://" + host + uri}
		w.WriteHeader(http.StatusMovedPermanently)
	})
}
