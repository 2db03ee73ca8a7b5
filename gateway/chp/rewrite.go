package chp

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/conjuring/conjured/gateway"
)

// rewriting changes headers on their way, for --custom-header, --auto-rewrite and
// --protocol-rewrite.
type rewriting struct {
	custom   map[string]string
	host     bool   // put the proxy's host into a redirect to the target's
	protocol string // put this scheme there; "" leaves it
	routes   *gateway.Routes
	key      func(*http.Request) string
}

// request is a gateway.ProxyConfig's Request.
func (c *rewriting) request(_ *http.Request, out http.Header) {
	for name, value := range c.custom {
		out.Set(name, value)
	}
}

// response is a gateway.ProxyConfig's Response: a redirect that names the target's own
// host leads to the proxy again.
func (c *rewriting) response(r *http.Request, status int, in http.Header) {
	switch status {
	case 201, 301, 302, 307, 308:
	default:
		return
	}
	to, err := url.Parse(in.Get("Location"))
	if err != nil || to.Host == "" {
		return
	}
	route, ok := c.routes.Match(c.key(r))
	if !ok {
		return
	}
	target, err := url.Parse(route.Target)
	if err != nil || !sameHost(target, to) {
		return
	}
	if c.host {
		to.Host = r.Host
	}
	if c.protocol != "" {
		to.Scheme = strings.TrimSuffix(c.protocol, ":")
	}
	in.Set("Location", to.String())
}

// sameHost compares hosts with their ports; a scheme's own port need not be written.
func sameHost(a, b *url.URL) bool {
	full := func(u *url.URL) string {
		p := u.Port()
		if p == map[string]string{"http": "80", "https": "443"}[u.Scheme] {
			p = ""
		}
		return strings.ToLower(u.Hostname()) + ":" + p
	}
	return full(a) == full(b)
}
