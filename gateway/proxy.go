package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// ProxyConfig makes a [Proxy]. Routes is required; the zero value of all the rest is
// what the front door of a class wants.
type ProxyConfig struct {
	Routes  *Routes
	Sockets []string // directories beneath which unix targets may lie; absolute; "/": anywhere, links followed
	Log     *slog.Logger

	// Refuse answers where there is no target's answer to pass on: 404 without a route,
	// 503 when its target does not answer; err says why, nil for 404. nil: status only.
	Refuse func(w http.ResponseWriter, r *http.Request, status int, err error)
	// Key says where a request lies in the table, nil: at its path, see [PathKey].
	Key      func(r *http.Request) string
	Statics  Statics    // nil: every request goes to its target
	Compress Compressor // nil: no answer is changed
	Meter    Meter      // nil: nothing is counted

	Claims       Claims
	NoPrepend    bool          // a target's own path is left out
	NoInclude    bool          // the route's prefix is left out of the path that the target sees
	ChangeOrigin bool          // a target sees its own name as Host
	TLS          *tls.Config   // for https targets; nil: the system's
	FirstByte    time.Duration // how long a target may take to begin its answer; 0: for ever

	// TrustTargets lets what the servers below /user/ say about the whole site pass:
	// cookies for other paths, Clear-Site-Data and their like.
	TrustTargets bool

	// Request has the last word on the header that goes to a target, Response on the
	// one that comes back. Either may be nil.
	Request  func(r *http.Request, out http.Header)
	Response func(r *http.Request, status int, in http.Header)
}

// Claims says what becomes of the X-Forwarded-* that a browser sends.
type Claims int

// The zero value suits a door with nobody before it.
const (
	ReplaceClaims Claims = iota // they are dropped and set anew
	AppendClaims                // ours are put behind them, as configurable-http-proxy does
	KeepClaims                  // they pass, and nothing is set
)

// Statics may answer a request in its target's place. It gets the route and what
// follows the route's path, decoded, with dot segments resolved and no slash at its
// ends. It is asked only about GET and HEAD whose path is spelt in the usual way.
type Statics interface {
	Serve(w http.ResponseWriter, r *http.Request, route Route, rest string) bool
}

// Compressor may put itself between an answer and the browser; done is called when the
// body is complete. It returns w itself, and any done, to leave an answer alone. Its
// writer must flush (Unwrap or FlushError).
type Compressor interface {
	Wrap(w http.ResponseWriter, r *http.Request, route Route, rest string) (to http.ResponseWriter, done func())
}

// Meter counts what a [Proxy] does. Its methods must not block.
type Meter interface {
	Asked(websocket bool)
	Found(took time.Duration) // one look-up in the table
	Answered(status int)      // by a target
}

// Proxy carries requests to the routes' targets. It is a director of its own:
// httputil.ReverseProxy copies each request twice.
type Proxy struct {
	config  ProxyConfig
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	trip    http.RoundTripper
	carrier carrier
	buffers sync.Pool // *[]byte of bodyBuffer
	flights flights
	pumps   sync.WaitGroup
	relays  struct {
		sync.Mutex
		one *relay // nil until there is a websocket
	}
	lab *labStreams // nil: the feed is the targets' own
}

// NewProxy makes a proxy. Its handler may be served by an http.Server of the caller's
// whose ConnContext is [WithConn]; see also [Server].
func NewProxy(c ProxyConfig) (*Proxy, error) {
	if c.Routes == nil {
		return nil, errors.New("cannot make a proxy without routes")
	}
	d, err := newDialer(c.Sockets)
	if err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Refuse == nil {
		c.Refuse = func(w http.ResponseWriter, _ *http.Request, status int, _ error) { w.WriteHeader(status) }
	}
	if c.Key == nil {
		c.Key = PathKey
	}
	p := &Proxy{config: c, dial: d.dial, trip: newTransport(c, d), carrier: carrier{dial: d.dial, firstByte: c.FirstByte}}
	c.Routes.onGone(func(t target) { p.carrier.forget(t.host) })
	p.buffers.New = func() any { b := make([]byte, bodyBuffer); return &b }
	return p, nil
}

// PathKey is the place of a request in a table that is routed by paths alone.
func PathKey(r *http.Request) string { return lookupKey(r.URL) }

// Close ends every connection that is in the middle of something, waits for the
// websockets' ends, and gives idle connections back.
func (p *Proxy) Close() {
	p.flights.closeAll()
	p.wait()
}

// CloseUser ends at once all connections that lead below /user/<user>/.
func (p *Proxy) CloseUser(user string) { p.flights.close(user) }

func (p *Proxy) wait() {
	p.pumps.Wait()
	p.relays.Lock()
	if p.relays.one != nil {
		p.relays.one.close()
		p.relays.one = nil
	}
	p.relays.Unlock()
	p.carrier.close()
	if t, ok := p.trip.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

// relaying is what carries websockets, nil when the machine has none to give.
func (p *Proxy) relaying() *relay {
	p.relays.Lock()
	defer p.relays.Unlock()
	if p.relays.one == nil {
		r, err := newRelay(p)
		if err != nil {
			p.config.Log.Warn("websockets take more memory than they need", slog.Any("error", err))
			return nil
		}
		p.relays.one = r
	}
	return p.relays.one
}

// ServeHTTP answers with what the target of r's route answers.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin(w, r)
	k, ws := p.config.Key(r), isWebsocket(r)
	var f flight
	if user := userOf(k); user != "" || ws {
		// Before the look-up: a user who is closed meanwhile either has no route
		// any more or is found among the flights.
		f = p.flights.board(user, connOf(r))
	}
	rt := p.find(k, ws)
	switch {
	case rt == nil:
		f.land()
		p.config.Refuse(w, r, http.StatusNotFound, nil)
	case r.Method == http.MethodConnect:
		f.land()
		w.WriteHeader(http.StatusMethodNotAllowed)
	case ws:
		p.upgrade(w, r, rt, f)
	default:
		defer f.land()
		p.plain(w, r, rt, k)
	}
}

// find looks a key up, and counts that if somebody wants to know.
func (p *Proxy) find(k string, ws bool) *route {
	m := p.config.Meter
	if m == nil {
		return p.config.Routes.find(k)
	}
	m.Asked(ws)
	began := time.Now()
	rt := p.config.Routes.find(k)
	m.Found(time.Since(began))
	return rt
}

// plain answers what is no upgrade: from the statics, or from the target.
func (p *Proxy) plain(w http.ResponseWriter, r *http.Request, rt *route, k string) {
	if s, ok := p.lab.theirs(rt, k); ok {
		p.lab.serve(w, r, rt, s)
		return
	}
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	if (p.config.Statics == nil && p.config.Compress == nil) || !read || r.URL.RawPath != "" {
		p.forward(w, r, rt)
		return
	}
	rest := strings.TrimPrefix(strings.TrimPrefix(k, key(rt.path)), "/")
	shown := rt.show()
	if p.config.Statics != nil && p.config.Statics.Serve(w, r, shown, rest) {
		return
	}
	if p.config.Compress != nil {
		var done func()
		w, done = p.config.Compress.Wrap(w, r, shown, rest)
		defer done()
	}
	p.forward(w, r, rt)
}

// userOf is the user whose server a key leads to, "" when none.
func userOf(k string) string {
	rest, ok := strings.CutPrefix(k, "user/")
	if !ok {
		return ""
	}
	user, _, _ := strings.Cut(rest, "/")
	return user
}

// request is r as it goes to rt's target.
func (p *Proxy) request(r *http.Request, rt *route) *http.Request {
	raw, to := rawTarget(r), rt.target
	if p.config.NoInclude {
		raw = strip(raw, p.config.Routes.prefix(rt))
	}
	if p.config.NoPrepend {
		to.prefix, to.query = "", ""
	}
	out := r.WithContext(r.Context())
	out.URL = to.url(raw)
	out.Header = outbound(r, p.config.Claims)
	if p.config.ChangeOrigin {
		out.Host = to.name()
	}
	if p.config.Request != nil {
		p.config.Request(r, out.Header)
	}
	out.RequestURI, out.Close, out.TransferEncoding = "", false, nil
	if r.ContentLength == 0 {
		out.Body = nil // so that it can be sent again on a connection that was just closed
	}
	return out
}

// strip takes as many segments off a raw path as the key k has.
func strip(raw, k string) string {
	path, query, asked := strings.Cut(raw, "?")
	for range segments(k) {
		_, after, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		path = "/" + after
	}
	if asked {
		path += "?" + query
	}
	return path
}

// url puts raw, a path and query as they came on the wire, behind the target.
func (t target) url(raw string) *url.URL {
	path, query, has := strings.Cut(raw, "?")
	if t.query != "" && query != "" {
		query = t.query + "&" + query
	} else if t.query != "" {
		query = t.query
	}
	u := &url.URL{Scheme: t.scheme, Host: t.host, RawQuery: query, ForceQuery: has && query == ""}
	path = t.prefix + path
	if !strings.HasPrefix(path, "//") {
		u.Opaque = path // sent as it is
		return u
	}
	// An opaque "//x" would be sent as the absolute "http://x". Sent this way bytes
	// that RFC 3986 does not allow in a path are escaped; its meaning stays.
	u.RawPath = path
	if plain, err := url.PathUnescape(path); err == nil {
		u.Path = plain
	}
	return u
}
