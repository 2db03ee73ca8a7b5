package gateway

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

const (
	bodyBuffer        = 32 << 10         // bytes, pooled
	idlePerTarget     = 32               // kept connections; all pages of a class share the hub
	idleTotal         = 512              // of all targets
	idleTargetTimeout = 60 * time.Second // below the hour that tornado keeps them
	continueTimeout   = 2 * time.Second  // for a target's 100-continue, then the body is sent anyway
)

func newTransport(c ProxyConfig, d *dialer) *http.Transport {
	return &http.Transport{
		DialContext:            d.dial,
		TLSClientConfig:        c.TLS,
		DisableCompression:     true,
		MaxIdleConns:           idleTotal,
		MaxIdleConnsPerHost:    idlePerTarget,
		IdleConnTimeout:        idleTargetTimeout,
		ExpectContinueTimeout:  continueTimeout,
		ResponseHeaderTimeout:  c.FirstByte,
		MaxResponseHeaderBytes: maxHeaderBytes,
		ReadBufferSize:         8 << 10,
		WriteBufferSize:        4 << 10,
	}
}

// forward carries one request that is no upgrade.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, rt *route) {
	res, err := p.send(p.request(r, rt), func(status int, h http.Header) {
		w.Header()["Link"] = h["Link"] // all that an early answer is for
		w.WriteHeader(status)
		delete(w.Header(), "Link")
	})
	if err == nil && res.StatusCode == http.StatusSwitchingProtocols { // nobody asked for it
		res.Body.Close()
		err = errSwitched
	}
	if err != nil {
		p.failed(w, r, rt, err)
		return
	}
	defer res.Body.Close()
	p.answer(w, r, res, rt)
}

// send sends out by the carrier if it can, else by the transport. early may be nil.
func (p *Proxy) send(out *http.Request, early func(int, http.Header)) (*http.Response, error) {
	switch {
	case !p.carrier.carries(out):
		if out.Body == nil {
			return p.trip.RoundTrip(out)
		}
		// A connection for a long body to a socket is used once: it would outlive its route.
		out.Close = out.Header["Upgrade"] == nil && isSocket(out.URL.Host)
		res, err := p.trip.RoundTrip(out)
		if err != nil {
			out.Body.Close() // RoundTrip may read on after it has returned
			return nil, err
		}
		res.Body = &bothBodies{res.Body, out.Body}
		return res, nil
	case out.Body == nil:
		return p.carrier.send(out, nil, early)
	}
	buf := p.buffers.Get().(*[]byte)
	defer p.buffers.Put(buf)
	if _, err := io.ReadFull(out.Body, (*buf)[:out.ContentLength]); err != nil {
		return nil, err
	}
	return p.carrier.send(out, (*buf)[:out.ContentLength], early)
}

// bothBodies closes what is sent with what is received.
type bothBodies struct {
	io.ReadCloser
	sent io.Closer
}

func (b *bothBodies) Close() error {
	return errors.Join(b.ReadCloser.Close(), b.sent.Close())
}

var errSwitched = errors.New("the target changes the protocol unasked")

// answer passes on what a target says.
func (p *Proxy) answer(w http.ResponseWriter, r *http.Request, res *http.Response, rt *route) {
	p.head(w.Header(), r, res, rt)
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
		p.config.Routes.active(rt)
	}
}

// head makes h the header that the browser gets.
func (p *Proxy) head(h http.Header, r *http.Request, res *http.Response, rt *route) {
	inbound(h, res.Header)
	if !p.config.TrustTargets && strings.HasPrefix(rt.path, "/user/") {
		confine(h, rt.path)
	}
	if p.config.Response != nil {
		p.config.Response(r, res.StatusCode, h)
	}
	if p.config.Meter != nil {
		p.config.Meter.Answered(res.StatusCode)
	}
}

// body copies a response's body, at once when its length is not known: it may be
// a stream of events.
func (p *Proxy) body(w http.ResponseWriter, res *http.Response, rt *route) error {
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
				p.config.Routes.active(rt)
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
func (p *Proxy) failed(w http.ResponseWriter, r *http.Request, rt *route, err error) {
	if g, ok := connOf(r).(*guard); ok && g.bad.Load() {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the browser went, or the user was closed
	}
	p.config.Log.Debug("a target does not answer", slog.String("route", rt.path), slog.Any("error", err))
	p.config.Refuse(w, r, http.StatusServiceUnavailable, err)
}
