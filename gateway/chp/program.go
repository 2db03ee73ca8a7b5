package chp

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/conjuring/conjured/gateway"
)

// program is the proxy with its servers.
type program struct {
	options options
	token   string // "": the API has none
	log     *slog.Logger
	routes  *gateway.Routes
	proxy   *gateway.Proxy
	meter   *meter // nil: nothing is counted
	tls     struct{ public, api, client *tls.Config }
	servers []*server
}

func newProgram(o options, getenv func(string) string, log *slog.Logger) (*program, error) {
	p := &program{options: o, token: getenv("CONFIGPROXY_AUTH_TOKEN"), log: log}
	if o.metrics.wanted() {
		p.meter = newMeter()
	}
	if err := p.secure(getenv); err != nil {
		return nil, err
	}
	var err error
	p.routes, err = gateway.OpenRoutes(gateway.RoutesConfig{
		Hosts: o.hostRouting,
		Log:   log,
		Added: func(r gateway.Route) { log.Info("Route added " + r.Path + " -> " + r.Target) },
		Removed: func(r gateway.Route) {
			log.Info("Removing route " + r.Path)
		},
	})
	if err != nil {
		return nil, err
	}
	return p, p.engine()
}

// secure reads the keys and certificates of all three sides.
func (p *program) secure(getenv func(string) string) error {
	o := &p.options
	var err error
	if p.tls.public, err = o.publicTLS.server(getenv("CONFIGPROXY_SSL_KEY_PASSPHRASE")); err != nil {
		return err
	}
	if p.tls.api, err = o.apiTLS.server(getenv("CONFIGPROXY_API_SSL_KEY_PASSPHRASE")); err != nil {
		return fmt.Errorf("the API: %w", err)
	}
	if p.tls.client, err = o.clientTLS.client(o.insecure); err != nil {
		return fmt.Errorf("https targets: %w", err)
	}
	ignored, err := o.restrict(p.tls.public, p.tls.api, p.tls.client)
	for _, what := range ignored {
		p.log.Warn("Ignored: " + what)
	}
	return err
}

// engine makes the proxy itself.
func (p *program) engine() error {
	o := &p.options
	key := gateway.PathKey
	if o.hostRouting {
		key = gateway.HostKey
	}
	f := &refusals{log: p.log, dir: o.errorPath, count: func(int) {}}
	if o.errorTarget != "" {
		if err := f.ask(o.errorTarget, &http.Transport{TLSClientConfig: p.tls.client.Clone(), DisableCompression: true}); err != nil {
			return err
		}
	}
	c := gateway.ProxyConfig{
		Routes:       p.routes,
		Sockets:      []string{"/"},
		Log:          p.log,
		Refuse:       f.refuse,
		Key:          key,
		Claims:       gateway.AppendClaims,
		NoPrepend:    o.noPrepend,
		NoInclude:    o.noInclude,
		ChangeOrigin: o.changeOrigin,
		TLS:          p.tls.client,
		FirstByte:    time.Duration(o.firstByte),
		TrustTargets: true,
	}
	if o.noForward {
		c.Claims = gateway.KeepClaims
	}
	if p.meter != nil {
		c.Meter, f.count = p.meter, p.meter.Answered
	}
	change := &rewriting{custom: o.custom, host: o.autoRewrite, protocol: o.protocolRewrite, routes: p.routes, key: key}
	if len(change.custom) > 0 {
		c.Request = change.request
	}
	if change.host || change.protocol != "" {
		c.Response = change.response
	}
	var err error
	p.proxy, err = gateway.NewProxy(c)
	return err
}

// door is what browsers reach.
func (p *program) door() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.RequestURI == "/_chp_healthz" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"status":"OK"}`))
			return
		}
		p.proxy.ServeHTTP(w, r)
	})
}

// api is what the hub reaches. Without a token it is open on a unix socket, where the
// directory says who may come, and closed on TCP, where everybody on the machine could.
func (p *program) api() http.Handler {
	h := gateway.NewRoutesAPI(p.routes, p.token)
	switch {
	case p.token != "":
	case p.options.api.socket != "":
		p.log.Warn("REST API is not authenticated.")
		h = gateway.NewOpenRoutesAPI(p.routes)
	default:
		p.log.Warn("REST API is not authenticated, and answers 403 to everybody: set CONFIGPROXY_AUTH_TOKEN, or use --api-socket.")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		h.ServeHTTP(seen, r)
		if p.meter != nil {
			p.meter.api(r, seen.status)
		}
		path, _, _ := strings.Cut(r.RequestURI, "?")
		level := slog.LevelInfo
		switch {
		case seen.status >= 500:
			level = slog.LevelError
		case seen.status >= 400:
			level = slog.LevelWarn
		}
		p.log.Log(r.Context(), level, fmt.Sprintf("%d %s %s ", seen.status, r.Method, path))
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
