package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/homes"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// HubUID is the user and group the hub's container runs as. It is below every
// student's (they begin at 2000).
const HubUID = 1500

// Config says what the class runs on. Engine, Run, State, Instance, Network, Users,
// Homes and Log are required.
type Config struct {
	Engine   Engine
	Run      string // the run directory: absolute, lower case, at most 60 bytes
	State    string // the state directory; Config uses State/hub
	Instance string // 8 hex digits; part of each container's name
	Network  string // the students' bridge network; it must exist when a server starts
	Users    Users
	Homes    Homes
	Limits   Limits // what a student's server may use
	Teachers Limits // what an admin's server may use; the zero value is Limits
	Starts   int    // servers started at once; 0 is one per core
	Lesson   LessonConfig
	Progress progress.Sink // of servers that are started ahead; nil discards it
	Notify   func(notice.Notice)
	// Tell says something to the person at one server, in Jupyter: what that server
	// used too much of. It must not block. Nil says it only in the log.
	Tell func(user, server string, n notice.Notice)
	// Disk is where the homes lie; nil measures and limits nothing.
	Disk    Disk
	Reserve int64 // bytes kept free on that disk; 0 is a twentieth, between 1 and 10 GiB
	// Fence is asked before each start to shut the students' network off from the
	// machine and its neighbours. While it fails, servers start without a network.
	// Nil leaves the network as it is.
	Fence func(ctx context.Context) error
	Log   *slog.Logger
}

// Account is somebody who may log in.
type Account struct {
	Name     string
	UID, GID int
	Admin    bool // may use JupyterHub's admin page; never root
	// Mark changes when the account's sessions are to end: a browser that logged in
	// under another one must log in again. "" says nothing.
	Mark string
}

// Users knows the accounts.
type Users interface {
	// Authenticate checks a password. A refusal is a *notice.Error, whose What and
	// Do are shown on the login page; any other error is our own failure.
	Authenticate(ctx context.Context, user, password, address string) (Account, error)
	// Lookup finds an account that is on the roster now.
	Lookup(user string) (Account, bool)
	// Roster is everybody who is on the roster now, in its order.
	Roster() []Account
}

// Homes makes students' homes.
type Homes interface {
	// Prepare makes the home ready for use and gives its directory on the host.
	Prepare(ctx context.Context, a Account) (dir string, err error)
}

// Disk is where the homes lie; [homes.Homes] is one.
type Disk interface {
	// Measure counts what a user's home holds. It may take long.
	Measure(ctx context.Context, user string) (homes.Size, error)
	// Free is what is left of the disk, and its size, in bytes.
	Free() (free, total int64, err error)
	// Quota has the disk itself hold a user's files to so many bytes;
	// [homes.ErrNoQuota] where it can't.
	Quota(uid int, bytes int64) error
}

// Engine starts containers and looks at them; [engine.Engine] is one.
type Engine interface {
	Starter
	Stopper
	Observer
}

// Starter makes and starts containers.
type Starter interface {
	Create(ctx context.Context, s engine.Spec) (id string, err error)
	Start(ctx context.Context, id string) error
	Weigh(ctx context.Context, id string, shares int64) error
}

// Stopper ends and removes containers.
type Stopper interface {
	Stop(ctx context.Context, id string, grace time.Duration) error
	Remove(ctx context.Context, id string) error
}

// Observer looks at containers.
type Observer interface {
	Inspect(ctx context.Context, idOrName string) (engine.Container, error)
	List(ctx context.Context, labels map[string]string) ([]engine.Container, error)
	Logs(ctx context.Context, id string, lines int) (string, error)
	Events(ctx context.Context) (<-chan engine.Event, error)
}

// Class is what students' servers are made of from now on. Servers that run keep
// what they were started with.
type Class struct {
	Image  string      // the system image's id
	EnvDir string      // on the host, mounted at /opt/conjured/env, a user's kernels in users/NAME; "" when the image has its own
	Shared string      // on the host, mounted at /shared; "" for none
	Server engine.Spec // what the teacher's override adds to each server
}

// Hub is the class. Make one with [New] and call [Hub.Run].
type Hub struct {
	cfg     Config
	paths   paths
	secrets secrets
	queue   *queue
	deploy  chan struct{} // holds one token: who has it may change the serving hub
	up      chan struct{} // closed when Run answers
	meter   meter
	seen    bool // the hub has been up since New; whoever has deploy's token owns it

	lesson lesson

	mu       sync.Mutex
	class    Class
	starts   map[string]*start      // by server id: those under way and those just ended
	expected map[string]chan *start // by server id: who waits for it to be asked for
	stopping map[string]int         // by server id: how many stop it now
	grown    map[string]bool        // by server id: it has the weight of a server that works
	busy     sync.WaitGroup         // starts and stops that Run waits for
	live     context.Context        // Run's; starts belong to it, not to the request
	stop     bool                   // the class is being closed: no new starts
}

var runName = regexp.MustCompile(`^/[a-z0-9/._-]{1,59}$`)

// New checks c, makes the directories and secrets, and writes the Python half. It
// starts nothing.
func New(c Config) (*Hub, error) {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New(what))
		}
	}
	need(c.Engine != nil && c.Users != nil && c.Homes != nil && c.Log != nil, "Engine, Users, Homes and Log are required")
	need(runName.MatchString(c.Run), fmt.Sprintf("the run directory %q is not a short absolute lower-case path", c.Run))
	need(filepath.IsAbs(c.State), fmt.Sprintf("the state directory %q is not absolute", c.State))
	need(c.Instance != "", "Instance is required")
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("cannot set up the hub: %w", err)
	}
	if c.Progress == nil {
		c.Progress = progress.Discard
	}
	if c.Notify == nil {
		c.Notify = func(notice.Notice) {}
	}
	h := &Hub{
		cfg: c, paths: newPaths(c), queue: newQueue(c.startsAtOnce()),
		deploy: make(chan struct{}, 1), up: make(chan struct{}), starts: map[string]*start{},
		expected: map[string]chan *start{}, stopping: map[string]int{}, grown: map[string]bool{},
	}
	h.meter.all, h.meter.ended, h.meter.homes = map[string]*metered{}, map[string]notice.Notice{}, map[string]*homeUse{}
	h.deploy <- struct{}{}
	if err := h.paths.make(); err != nil {
		return nil, err
	}
	var err error
	if h.secrets, err = loadSecrets(h.paths); err != nil {
		return nil, err
	}
	if err := h.secrets.give(h.paths.hubDir); err != nil {
		return nil, err
	}
	if err := h.readLesson(); err != nil {
		return nil, err
	}
	h.lesson.due = h.lesson.state.On || h.autoDue()
	return h, nil
}

// SetClass changes what servers are made of from now on.
func (h *Hub) SetClass(c Class) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.class = c
}

// ProxyToken is what the hub shows to the proxy's API on Run/hub/proxy.sock. It
// stays the same over restarts of the daemon.
func (h *Hub) ProxyToken() string { return h.secrets.Proxy }

// Socket is where the hub listens. The hub's container writes to that directory:
// open it without following links.
func (h *Hub) Socket() string { return h.paths.hubSock() }

func (h *Hub) label(role string) map[string]string {
	return map[string]string{engine.LabelRole: role}
}
