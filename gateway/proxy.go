package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	bodyBuffer        = 32 << 10         // bytes, pooled
	idlePerTarget     = 8                // kept connections; a Lab page opens six
	idleTotal         = 512              // of all targets
	idleTargetTimeout = 60 * time.Second // below the hour that tornado keeps them
	continueTimeout   = 2 * time.Second  // for a target's 100-continue, then the body is sent anyway
)

// proxy carries requests to the routes' targets. It is a director of its own over
// a RoundTripper: httputil.ReverseProxy copies each request twice.
type proxy struct {
	routes  *Routes
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	trip    http.RoundTripper
	refuse  func(w http.ResponseWriter, r *http.Request, status int)
	log     *slog.Logger
	buffers sync.Pool // *[]byte of bodyBuffer
	flights flights
	pumps   sync.WaitGroup
	lab     *labStreams // nil: the feed is the targets' own
}

// newProxy makes a proxy that calls refuse where there is no answer to pass on:
// 404 without a route, 503 when its target cannot be reached.
func newProxy(c Config, refuse func(http.ResponseWriter, *http.Request, int)) (*proxy, error) {
	d, err := newDialer(c.Sockets)
	if err != nil {
		return nil, err
	}
	p := &proxy{routes: c.Routes, dial: d.dial, refuse: refuse, log: c.Log}
	p.buffers.New = func() any { b := make([]byte, bodyBuffer); return &b }
	p.trip = &http.Transport{
		DialContext:            d.dial,
		DisableCompression:     true,
		MaxIdleConns:           idleTotal,
		MaxIdleConnsPerHost:    idlePerTarget,
		IdleConnTimeout:        idleTargetTimeout,
		ExpectContinueTimeout:  continueTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		ReadBufferSize:         8 << 10,
		WriteBufferSize:        4 << 10,
	}
	return p, nil
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k := lookupKey(r.URL)
	land := func() {}
	if user := userOf(k); user != "" {
		// Before the look-up: a user who is closed meanwhile either has no route
		// any more or is found among the flights.
		land = p.flights.board(user, connOf(r))
	}
	rt := p.routes.find(k)
	switch {
	case rt == nil:
		land()
		p.refuse(w, r, http.StatusNotFound)
	case r.Method == http.MethodConnect:
		land()
		w.WriteHeader(http.StatusMethodNotAllowed)
	case isWebsocket(r):
		p.upgrade(w, r, rt, land)
	default:
		defer land()
		if s, ok := p.lab.theirs(rt, k); ok {
			p.lab.serve(w, r, rt, s)
			return
		}
		p.forward(w, r, rt)
	}
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
func (rt *route) request(r *http.Request) *http.Request {
	out := r.WithContext(r.Context())
	out.URL = rt.target.url(rawTarget(r))
	out.Header = outbound(r)
	out.RequestURI, out.Close, out.TransferEncoding = "", false, nil
	if r.ContentLength == 0 {
		out.Body = nil // so that it can be sent again on a connection that was just closed
	}
	return out
}

// url puts raw, a path and query as they came on the wire, behind the target.
func (t target) url(raw string) *url.URL {
	path, query, has := strings.Cut(raw, "?")
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

// forward carries one request that is no upgrade.
func (p *proxy) forward(w http.ResponseWriter, r *http.Request, rt *route) {
	out := rt.request(r)
	if out.Body != nil {
		defer out.Body.Close() // RoundTrip may read on after it has returned
	}
	res, err := p.trip.RoundTrip(out)
	if err != nil {
		p.failed(w, r, rt, err)
		return
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusSwitchingProtocols { // nobody asked for it
		p.refuse(w, r, http.StatusServiceUnavailable)
		return
	}
	inbound(w.Header(), res)
	for name := range res.Trailer {
		w.Header().Add("Trailer", name)
	}
	w.WriteHeader(res.StatusCode)
	if err := p.body(w, res, rt); err != nil {
		panic(http.ErrAbortHandler) // the only way to tell the browser that the rest is missing
	}
	for name, values := range res.Trailer {
		w.Header()[name] = values
	}
	if res.StatusCode < 300 {
		p.routes.active(rt)
	}
}

// body copies a response's body, at once when its length is not known: it may be
// a stream of events.
func (p *proxy) body(w http.ResponseWriter, res *http.Response, rt *route) error {
	if res.Body == http.NoBody {
		return nil
	}
	stream, moving := res.ContentLength < 0, res.StatusCode < 300
	flusher := http.NewResponseController(w)
	if stream {
		if err := flusher.Flush(); err != nil {
			return err
		}
	}
	buf := p.buffers.Get().(*[]byte)
	defer p.buffers.Put(buf)
	for {
		n, err := res.Body.Read(*buf)
		if n > 0 {
			if moving {
				p.routes.active(rt)
			}
			if _, werr := w.Write((*buf)[:n]); werr != nil {
				return werr
			}
			if stream {
				if ferr := flusher.Flush(); ferr != nil {
					return ferr
				}
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// failed answers for a target that cannot be reached or did not answer.
func (p *proxy) failed(w http.ResponseWriter, r *http.Request, rt *route, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the browser went, or the user was closed
	}
	p.log.Debug("a target does not answer", slog.String("route", rt.path), slog.Any("error", err))
	p.refuse(w, r, http.StatusServiceUnavailable)
}

func (p *proxy) closeIdle() {
	if t, ok := p.trip.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}
