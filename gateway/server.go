package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/conjuring/conjured/progress"
)

// DefaultListen is the address of the classes of the Conjuring project, kept.
const DefaultListen = ":8989"

// Reserved is the path prefix of our own pages. Give it to [RoutesConfig].
const Reserved = "/conjured"

// The limits on clients. Nothing limits how long an answer may take: notebooks
// stream for hours.
const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 120 * time.Second // Lab polls; a shorter one means new connections all the time
	maxHeaderBytes = 64 << 10          // what tornado takes
	settleTime     = time.Second       // for those let in when the daemon stops, to say what they want
	drainTime      = 3 * time.Second   // for requests under way when the daemon stops
)

// Config makes a [Server]. Routes and Class are required.
type Config struct {
	Listen    []string       // "host:port" each; none and no Listeners: DefaultListen
	Listeners []net.Listener // open already, from a supervisor; closed by Serve
	Routes    *Routes
	Sockets   []string // directories beneath which unix targets may lie; absolute
	Class     Class
	Progress  *progress.Hub // shown on the waiting page; may be nil
	Statics   Statics       // see [ProxyConfig]; may be nil
	Compress  Compressor    // see [ProxyConfig]; may be nil
	Logins    Logins        // when login forms go on to the hub; nil: at once
	Feed      *Feed         // notices inside Lab; nil leaves the address to the students' servers
	Desk      http.Handler  // answers DeskPaths; may be nil
	DeskPaths []string      // below Reserved, as patterns of [http.ServeMux] without a method
	Guard     Guard         // nil: everybody's pages are shown to everybody as they are
	Log       *slog.Logger
	Limits    Limits // on clients; the zero value has sane ones
}

// Server is the front door.
type Server struct {
	config    Config
	listeners []net.Listener
	door      *door
}

// New makes a front door that does not listen yet.
func New(c Config) (*Server, error) {
	if c.Routes == nil || c.Class == nil {
		return nil, errors.New("cannot make a front door without routes and a class")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Progress == nil {
		c.Progress = &progress.Hub{}
	}
	if len(c.Listen) == 0 && len(c.Listeners) == 0 {
		c.Listen = []string{DefaultListen}
	}
	d, err := newDoor(c)
	if err != nil {
		return nil, err
	}
	return &Server{config: c, listeners: c.Listeners, door: d}, nil
}

// Listen opens the addresses. Its error is a *[notice.Error] that names whoever
// has the port already.
func (s *Server) Listen(ctx context.Context) error {
	for _, address := range s.config.Listen {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", address)
		if err != nil {
			for _, open := range s.listeners {
				_ = open.Close()
			}
			s.listeners = nil
			return explainListen(address, err)
		}
		s.listeners = append(s.listeners, l)
	}
	return nil
}

// Addresses are what the server listens on, after Listen.
func (s *Server) Addresses() []net.Addr {
	var out []net.Addr
	for _, l := range s.listeners {
		out = append(out, l.Addr())
	}
	return out
}

// Handler is the front door for a listener of the caller's.
func (s *Server) Handler() http.Handler { return s.door }

// CloseUser removes every route below /user/<user>/ and closes at once all
// connections that lead there. The user is out until a new route is added.
func (s *Server) CloseUser(user string) {
	s.config.Routes.DeleteBelow("/user/" + user)
	s.door.proxy.CloseUser(user)
}

// Serve answers requests until ctx ends, then lets those under way finish for a
// few seconds. It calls Listen when nobody has.
func (s *Server) Serve(ctx context.Context) error {
	if len(s.listeners) == 0 {
		if err := s.Listen(ctx); err != nil {
			return err
		}
	}
	return s.serve(ctx)
}

// serve runs one http.Server over all listeners.
func (s *Server) serve(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	seats := newSeats(s.config.Limits)
	srv := &http.Server{
		Handler:           s.door,
		ReadHeaderTimeout: seats.limits.Head,
		IdleTimeout:       seats.limits.Idle,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return work },
		ConnContext:       WithConn,
		ErrorLog:          slog.NewLogLogger(s.config.Log.Handler(), slog.LevelDebug),
	}
	s.door.start(work)
	failed := make(chan error, len(s.listeners))
	for _, l := range s.listeners {
		go func() { failed <- srv.Serve(&guardedListener{l, seats}) }()
	}
	running := len(s.listeners)
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		running--
		err = fmt.Errorf("cannot go on listening: %w", err)
	}
	for _, l := range s.listeners {
		_ = l.Close() // a supervisor's socket stays open, and who comes now waits for the next daemon
	}
	seats.settle(settleTime)
	s.door.drain()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if srv.Shutdown(grace) != nil {
		_ = srv.Close()
	}
	s.door.proxy.flights.closeAll()
	for range running {
		<-failed
	}
	stop()
	s.door.wait()
	return err
}
