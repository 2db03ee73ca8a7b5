package gateway

import (
	"net"
	"net/http"
	"net/textproto"
	"strings"
)

// hopByHop tells whether a header is about one connection only (RFC 9110 §7.6.1).
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate",
		"Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// claimed tells whether a header says who asks and from where. There is no proxy
// before us, so what comes in is made up: JupyterHub, and tornado's xheaders,
// would log it and throttle by it.
func claimed(name string) bool {
	switch name {
	case "Forwarded", "X-Real-Ip", "X-Scheme":
		return true
	}
	return strings.HasPrefix(name, "X-Forwarded-")
}

// outbound is the header that goes to the target. Values are shared with r.
func outbound(r *http.Request, c Claims) http.Header {
	h := make(http.Header, len(r.Header)+5)
	for name, values := range r.Header {
		if !hopByHop(name) && (c != ReplaceClaims || !claimed(name)) {
			h[name] = values
		}
	}
	dropListed(h, r.Header["Connection"])
	if listed(r.Header["Te"], "trailers") {
		h["Te"] = []string{"trailers"}
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // else the transport adds its own
	}
	switch c {
	case ReplaceClaims:
		seen(h, r)
	case AppendClaims:
		ours := make(http.Header, 4)
		seen(ours, r)
		for name, values := range ours {
			switch said := r.Header[name]; {
			case len(said) == 0:
				h[name] = values
			case name != "X-Forwarded-Host": // it is set only where nobody has
				h[name] = []string{strings.Join(said, ",") + "," + values[0]}
			}
		}
	case KeepClaims:
	}
	return h
}

// seen puts into h who asks, as we see it.
func seen(h http.Header, r *http.Request) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	from := []string{host, "http", "80", r.Host}
	if r.TLS != nil {
		from[1], from[2] = "https", "443"
	}
	if _, port, err := net.SplitHostPort(r.Host); err == nil && port != "" {
		from[2] = port
	}
	if err == nil { // a unix socket's peer has no address
		h["X-Forwarded-For"] = from[0:1:1]
	}
	h["X-Forwarded-Proto"] = from[1:2:2]
	h["X-Forwarded-Port"] = from[2:3:3]
	h["X-Forwarded-Host"] = from[3:4:4]
}

// inbound copies a target's header into w's.
func inbound(w, in http.Header) {
	for name, values := range in {
		if !hopByHop(name) {
			w[name] = values
		}
	}
	dropListed(w, in["Connection"])
	for _, name := range []string{"Content-Type", "Date"} {
		if _, ok := w[name]; !ok {
			w[name] = nil // else net/http makes one up
		}
	}
}

// dropListed removes the headers that a Connection header names.
func dropListed(h http.Header, connection []string) {
	for _, v := range connection {
		for name := range strings.SplitSeq(v, ",") {
			delete(h, textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name)))
		}
	}
}

// listed tells whether a comma-separated header holds token, in any case.
func listed(values []string, token string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(textproto.TrimString(t), token) {
				return true
			}
		}
	}
	return false
}
