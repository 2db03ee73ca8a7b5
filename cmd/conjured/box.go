package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/conjuring/conjured/appliance"
	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/registry"
	"github.com/conjuring/conjured/gateway"
	"github.com/conjuring/conjured/gateway/desk"
	"github.com/conjuring/conjured/homes"
	"github.com/conjuring/conjured/hub"
	"github.com/conjuring/conjured/layers"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
	"github.com/conjuring/conjured/users"
)

// box is one class on this machine: every part, and what fits them together.
type box struct {
	settings settings
	place    place
	log      *slog.Logger
	began    time.Time
	stopped  context.CancelFunc // begins to stop everything (conjured down)

	news     *progress.Hub
	engine   *engine.Engine
	users    *users.Store
	homes    *homes.Homes
	images   *layers.Builder
	store    *environments.Store
	envs     *environments.Builder
	registry *registry.Registry
	systems  *systems
	doubt    doubt
	trouble  troubles // what went wrong with environments last
	sight    envSight // of environments, the last
	hub      *hub.Hub
	routes   *gateway.Routes
	door     *gateway.Server
	desk     *desk.Desk
	guard    gateway.Guard
	owner    *appliance.Appliance
	front    *front
	fence    *fence
	feed     *gateway.Feed // notices inside Lab
	statics  *students
	kernels  kernelList

	shelf    *shelf                          // folders that were read, by setup
	board    *board                          // what people are told, beside what the owner tells
	logins   *logins                         // passwords that were made up and not shown yet
	records  records                         // what was built
	lock     []byte                          // the Lab set, with hashes
	builtin  appliance.Setup                 // what serves while the first wish of a new box fails
	recipe   string                          // hash of the Dockerfile, the locks and the launcher in this program
	serving  atomic.Pointer[appliance.Setup] // what this process has deployed
	applying chan struct{}                   // one folder is read at a time

	uncounted chan struct{} // says that there are generations that nobody has measured
}

// run answers until ctx ends, and then stops what this process runs. Containers stay;
// close ends them.
func (b *box) run(ctx context.Context) error {
	if err := b.door.Listen(ctx); err != nil {
		return err
	}
	sockets, err := b.listen()
	if err != nil {
		return err
	}
	// The owner stops first, so that nothing is begun while the rest goes.
	rest, stopRest := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRest()
	var g errgroup.Group
	parts := []func() error{
		func() error { return b.door.Serve(rest) },
		func() error { return b.desk.Run(rest) },
		func() error { return b.routes.Run(rest) },
		func() error { return b.hub.Run(rest) },
		func() error { b.watchEngine(rest); return nil },
		func() error { return b.statics.cache.Run(rest) },
		func() error { b.watchFence(rest); return nil },
		func() error { b.upkeep(rest); return nil },
		func() error { b.countPackages(rest); return nil },
	}
	for _, s := range sockets {
		parts = append(parts, func() error { return s.serve(rest) })
	}
	for _, part := range parts {
		g.Go(func() error {
			err := part()
			if rest.Err() == nil {
				b.stopped() // one part alone is no class
			}
			return err
		})
	}
	err = b.owner.Run(ctx)
	stopRest()
	return errors.Join(err, g.Wait())
}

// close ends the class's containers; homes, accounts and images stay.
func (b *box) close(ctx context.Context) error {
	if err := b.hub.StopAll(ctx); err != nil {
		return err
	}
	return removeNetwork(ctx, b.engine, b.place)
}

// socket is an HTTP server on a unix socket of the run directory.
type socket struct {
	listener net.Listener
	handler  http.Handler
}

// listen opens the sockets that the command line and JupyterHub speak to.
func (b *box) listen() ([]socket, error) {
	api, err := openSocket(b.place.apiSocket(), 0)
	if err != nil {
		return nil, err
	}
	proxy, err := openSocket(filepath.Join(b.place.Run, "hub", "proxy.sock"), hub.HubUID)
	if err != nil {
		api.Close()
		return nil, err
	}
	daemon := gateway.Daemon{
		Reporter: b, Setups: b, Accounts: b, AccountLog: b, Environments: b, Lessons: b, Progress: b.news, Stop: b.stopped,
	}
	return []socket{
		{api, gateway.NewDaemonAPI(daemon)},
		{proxy, gateway.NewRoutesAPI(b.routes, b.hub.ProxyToken())},
	}, nil
}

// openSocket listens on a fresh socket that only uid can open. A left-over of a killed
// process is in the way and removed; the state directory's lock says that it is none
// of a living one.
func openSocket(path string, uid int) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	if err := errors.Join(os.Chmod(path, 0o600), os.Chown(path, uid, uid)); err != nil {
		l.Close()
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	return l, nil
}

func (s socket) serve(ctx context.Context) error {
	srv := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// watchEngine has the owner look at the world when a container of the class dies, and
// when the engine went away and came back.
func (b *box) watchEngine(ctx context.Context) {
	for ctx.Err() == nil {
		events, err := b.engine.Events(ctx)
		if err == nil {
			_ = b.owner.Recheck(ctx)
			for range events {
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Second):
		}
	}
}

// tell puts a notice where people look: the status, the waiting page, the log.
func (b *box) tell(n notice.Notice) {
	b.board.add(n)
	b.log.Warn("notice", "code", n.Code, "file", n.Where(), "what", n.What)
}
