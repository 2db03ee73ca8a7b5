package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/client"

	"github.com/conjuring/conjured/notice"
)

// The labels of what we make. LabelInstance says whose it is, LabelRole what it is
// for (hub, server, build, service), LabelKey from which inputs it was made.
const (
	LabelInstance = "org.conjured.instance"
	LabelRole     = "org.conjured.role"
	LabelKey      = "org.conjured.key"
)

// oldestAPI is what Engine 20.10 speaks; before it there is no BuildKit worth the name.
const oldestAPI = "1.41"

// pingWait bounds the first word with an engine: a local daemon that hangs must not
// hang us.
const pingWait = 20 * time.Second

// Config says which engine to talk to and as whom.
type Config struct {
	Host     string // "unix:///path" or "tcp://..."; "" is DOCKER_HOST or the default socket
	Instance string // 8 hex digits that mark what is ours; required
	// OnDamage is called with each [ErrDamaged] before it is returned, and when a
	// program is not found in its container. It is called from any goroutine, and must
	// not block. May be nil.
	OnDamage func(error)
}

// Engine is a Docker Engine, as one instance sees it. It is safe for concurrent use.
type Engine struct {
	cli      *client.Client
	instance string
	version  string
	api      string
	onDamage func(error)
}

// Connect finds the engine and agrees on an API version with it. When there is none
// to be had the error is a [notice.Error].
func Connect(ctx context.Context, c Config) (*Engine, error) {
	if c.Instance == "" {
		return nil, errors.New("cannot connect to docker: no instance id")
	}
	opts := []client.Opt{client.FromEnv}
	if c.Host != "" {
		opts = append(opts, client.WithHost(c.Host))
	}
	cli, err := client.New(opts...)
	if err != nil {
		return nil, fmt.Errorf("cannot set up the docker client: %w", err)
	}
	e := &Engine{cli: cli, instance: c.Instance, onDamage: c.OnDamage}
	if err := e.greet(ctx); err != nil {
		return nil, errors.Join(err, cli.Close())
	}
	return e, nil
}

// greet asks for the version twice: unversioned first, since an engine that is too
// old refuses a versioned request in words that help nobody.
func (e *Engine) greet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingWait)
	defer cancel()
	ping, err := e.cli.Ping(ctx, client.PingOptions{})
	if err != nil {
		return unreachable(ctx, e.cli.DaemonHost(), err)
	}
	if older(ping.APIVersion, oldestAPI) {
		return tooOld(ping.APIVersion)
	}
	if _, err := e.cli.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		return fmt.Errorf("cannot agree on an API version with docker: %w", err)
	}
	v, err := e.cli.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return unreachable(ctx, e.cli.DaemonHost(), err)
	}
	e.version, e.api = v.Version, e.cli.ClientVersion()
	return nil
}

// Close lets go of the connections. Containers run on.
func (e *Engine) Close() error { return e.cli.Close() }

// Version is the engine's version ("20.10.24+dfsg1") and the API version agreed on.
func (e *Engine) Version() (version, api string) { return e.version, e.api }

// Instance is the id that marks this instance's objects.
func (e *Engine) Instance() string { return e.instance }

// Info is what the engine says about its machine.
type Info struct {
	CPUs          int
	Memory        int64  // bytes
	CgroupVersion string // "1" or "2"
	LiveRestore   bool   // containers outlive the engine
	Root          string // where images and containers are stored
}

// Info asks the engine about its machine.
func (e *Engine) Info(ctx context.Context) (Info, error) {
	r, err := e.cli.Info(ctx, client.InfoOptions{})
	if err != nil {
		return Info{}, e.wrap(ctx, "cannot ask docker about this machine", err)
	}
	i := r.Info
	return Info{CPUs: i.NCPU, Memory: i.MemTotal, CgroupVersion: i.CgroupVersion, LiveRestore: i.LiveRestoreEnabled, Root: i.DockerRootDir}, nil
}

// older compares two API versions like "1.41" number by number. Anything that is not
// a number counts as 0, so an engine that says nothing is too old.
func older(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		if x, y := part(as, i), part(bs, i); x != y {
			return x < y
		}
	}
	return false
}

func part(s []string, i int) int {
	if i >= len(s) {
		return 0
	}
	n, err := strconv.Atoi(s[i])
	if err != nil {
		return 0
	}
	return n
}

// unreachable tells apart the reasons for not reaching an engine.
func unreachable(ctx context.Context, host string, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "permission denied"):
		return &notice.Error{Notice: notice.Notice{
			Code: "docker-not-allowed", Severity: notice.SeverityError,
			What:  "this account may not talk to Docker at " + host,
			Means: "no class can be started; nothing was changed",
			Do:    "run the same command as root, or with sudo in front",
		}, Err: err}
	case absent(host):
		return &notice.Error{Notice: notice.Notice{
			Code: "docker-absent", Severity: notice.SeverityError,
			What:  "Docker is not installed on this machine",
			Means: "no class can be started; nothing was changed",
			Do:    "run make deps, or install the package docker.io, then start again",
		}, Err: err}
	}
	return &notice.Error{Notice: notice.Notice{
		Code: "docker-stopped", Severity: notice.SeverityError,
		What:  "Docker does not answer at " + host,
		Means: "no server can be started or stopped; those who work go on where Docker was started with live-restore; homes and accounts are safe",
		Do:    "start Docker (systemctl start docker), then start again; if it does not start, run conjured doctor --repair",
	}, Err: err}
}

// absent tells whether there is neither a socket nor a program to make one.
func absent(host string) bool {
	path, local := strings.CutPrefix(host, "unix://")
	if !local {
		return false
	}
	if _, err := os.Stat(path); err == nil {
		return false
	}
	_, err := exec.LookPath("dockerd")
	return err != nil
}

func tooOld(api string) error {
	return &notice.Error{Notice: notice.Notice{
		Code: "docker-too-old", Severity: notice.SeverityError,
		What:  fmt.Sprintf("Docker on this machine speaks version %s of its interface; %s or newer is needed", api, oldestAPI),
		Means: "no class can be started; nothing was changed",
		Do:    "install Docker 20.10 or newer (Debian 12 and 13 have it as docker.io), then start again",
	}}
}
