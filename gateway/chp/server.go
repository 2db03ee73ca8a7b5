package chp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/conjuring/conjured/gateway"
)

// What a server is for.
type what int

const (
	public what = iota
	api
	counts
	redirection
)

const (
	headerLimit = 60 * time.Second  // as Node.js
	idleLimit   = 120 * time.Second // longer than the original's five seconds, doc/adr/0020
	stallLimit  = 10 * time.Minute  // for a body or a reader without progress
	maxConns    = 1 << 16
	headerBytes = 64 << 10
)

// server is one open port or socket.
type server struct {
	what     what
	place    place
	listener net.Listener
	tls      *tls.Config // nil for plain HTTP
	http     *http.Server
}

// listen opens every place that is wanted, or none.
func (p *program) listen(ctx context.Context) error {
	o := &p.options
	list := []*server{
		{what: public, place: o.public, tls: p.tls.public, http: &http.Server{Handler: p.door(), ConnContext: gateway.WithConn}},
		{what: api, place: o.api, tls: p.tls.api, http: &http.Server{Handler: p.api()}},
	}
	if p.meter != nil {
		list = append(list, &server{what: counts, place: o.metrics, http: &http.Server{Handler: p.meter}})
	}
	if o.redirectPort != "" && o.public.socket == "" && o.public.port != 80 {
		var from port
		if err := from.Set(o.redirectPort); err != nil {
			return fmt.Errorf("error: --redirect-port %s: %w", o.redirectPort, err)
		}
		list = append(list, &server{what: redirection, place: place{port: from}, http: &http.Server{Handler: redirect(p.redirectTo())}})
	}
	for _, s := range list {
		if err := s.open(ctx); err != nil {
			return err
		}
		p.servers = append(p.servers, s)
		if s.what == public && o.timeout > 0 {
			s.listener = idleListener{s.listener, time.Duration(o.timeout)}
		}
		if s.tls == nil {
			// One that stands behind another proxy has all its clients at one address.
			s.listener = gateway.NewListener(s.listener, gateway.Limits{Conns: maxConns, PerAddress: maxConns, Head: headerLimit, Stall: stallLimit})
		}
		s.http.IdleTimeout = idleLimit
		if o.keepAlive > 0 {
			s.http.IdleTimeout = time.Duration(o.keepAlive)
		}
		s.http.ReadHeaderTimeout, s.http.MaxHeaderBytes = headerLimit, headerBytes
		s.http.ErrorLog = slog.NewLogLogger(p.log.Handler(), slog.LevelDebug)
		// Websockets over HTTP/2 are another protocol, which targets do not speak.
		s.http.Protocols = new(http.Protocols)
		s.http.Protocols.SetHTTP1(true)
	}
	return nil
}

// open listens. A socket that nobody serves any more is replaced.
func (s *server) open(ctx context.Context) error {
	network, address := s.place.address()
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, network, address)
	if errors.Is(err, syscall.EADDRINUSE) && network == "unix" && abandoned(ctx, address) {
		if err = os.Remove(address); err == nil {
			l, err = lc.Listen(ctx, network, address)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	s.listener = l
	return nil
}

// abandoned tells whether nobody answers on a socket that is there.
func abandoned(ctx context.Context, path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return false
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

func (s *server) serve() error {
	if s.tls == nil {
		return s.http.Serve(s.listener)
	}
	s.http.TLSConfig = s.tls
	return s.http.ServeTLS(s.listener, "", "")
}

func (s *server) url() string {
	scheme := "http"
	if s.tls != nil {
		scheme = "https"
	}
	if s.place.socket != "" {
		return scheme + "://" + s.place.socket
	}
	host := s.place.ip
	if host == "" {
		host = "*"
	}
	return scheme + "://" + net.JoinHostPort(host, s.place.port.String())
}

// close ends everything at once, as the original does: JupyterHub starts the next one
// on the same ports and waits for nobody.
func (p *program) close() {
	for _, s := range p.servers {
		_ = s.http.Close()
		_ = s.listener.Close()
	}
}
