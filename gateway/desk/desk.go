package desk

import (
	"context"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/conjuring/conjured/gateway/session"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// Person is somebody on the roster, as they are now.
type Person struct {
	Name        string
	Admin       bool // a teacher
	OwnPassword bool // they chose their password themselves
	Servers     []Server
	Open        int       // connections of their browsers to their servers
	Active      time.Time // when something last moved there; zero when never
	Disk        int64     // bytes of files; 0 when not known
	DiskLimit   int64     // bytes; 0 when there is none
}

// Server is one of a person's servers.
type Server struct {
	Name        string // "" for the first one
	State       string // queued, starting, ready, failed; any other word: it is gone
	Place       int    // in the queue, 1 is next; 0 when it does not wait
	Since       time.Time
	Memory      int64  // bytes; 0 when not known
	MemoryLimit int64  // bytes; 0 when there is none
	Trouble     string // a sentence about what it ran into; "" for none
}

// Lesson is how far the servers are that are started before their students come.
type Lesson struct {
	On    bool
	Since time.Time
	Busy  bool // servers are being started
	Total int
	Ready int
	Left  time.Duration // until all are ready; 0 when not known
}

// Class tells how everybody is. People is asked every two seconds while somebody
// looks.
type Class interface {
	Name() string // "" when the teacher gave none
	People(ctx context.Context) ([]Person, error)
}

// Servers starts and stops a person's servers. Start returns when the start is under
// way, Stop when the server is gone.
type Servers interface {
	StartServer(ctx context.Context, user, server string) error
	StopServer(ctx context.Context, user, server string) error
}

// Passwords checks and changes passwords. A refusal is a *notice.Error.
type Passwords interface {
	// Check tells whether a password is right; address is the browser's.
	Check(ctx context.Context, user, password, address string) error
	// Change is a person's own choice. It ends their sessions at other browsers; keep is
	// the hub's name for this one's.
	Change(ctx context.Context, user, password, keep string) error
	// Reset makes a password up and ends all sessions of the account.
	Reset(ctx context.Context, user string) (password string, err error)
}

// Lessons begins and ends the class's lesson: servers for everybody, and the end of
// those that nobody used, or with all of every one.
type Lessons interface {
	Lesson(ctx context.Context) (Lesson, error)
	Begin(ctx context.Context) error
	End(ctx context.Context, all bool) (stopped int, err error)
}

// Board is what a teacher should know now. A notice that was put away stays away until
// it is told anew.
type Board interface {
	Notices() []notice.Notice
	Dismiss(n notice.Notice)
}

// Config makes a [Desk]. All but Lessons, Environments, Progress and Log are required.
type Config struct {
	Sessions  *session.Sessions
	Class     Class
	Servers   Servers
	Passwords Passwords
	Lessons   Lessons // nil: there is no beginning and no end

	Environments Environments // nil: the page says nothing about packages
	Board        Board
	Progress     *progress.Hub // long work under way
	Log          *slog.Logger
}

// Desk serves the pages. Mount [Desk.Handler] below /conjured/ and call [Desk.Run].
type Desk struct {
	config  Config
	pages   map[string]*template.Template
	mux     *http.ServeMux
	closing chan struct{} // closed when Run ends
	room    room
	shelf   shelf
	streams streams
	work    sync.WaitGroup // acts that go on after their answer
}

// New makes the pages.
func New(c Config) (*Desk, error) {
	if c.Sessions == nil || c.Class == nil || c.Servers == nil || c.Passwords == nil || c.Board == nil {
		return nil, errors.New("cannot make the pages without sessions, class, servers, passwords and board")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Progress == nil {
		c.Progress = &progress.Hub{}
	}
	d := &Desk{config: c, closing: make(chan struct{}), mux: http.NewServeMux()}
	var err error
	if d.pages, err = loadPages(); err != nil {
		return nil, err
	}
	d.room.desk, d.shelf.byOwner, d.streams.bySession = d, map[string]kept{}, map[string]int{}
	d.routes()
	return d, nil
}

func (d *Desk) routes() {
	anybody, teacher := d.page(false), d.page(true)
	d.mux.HandleFunc("GET "+session.CallbackPath, d.callback)
	d.mux.HandleFunc("POST /conjured/logout", d.logout)
	d.mux.HandleFunc("GET "+guardPath, anybody(d.giveGuard))
	d.mux.HandleFunc("GET /conjured/open", anybody(d.openForeign))
	d.mux.HandleFunc("POST /conjured/open", anybody(d.openForeign))
	d.mux.HandleFunc("GET /conjured/account", anybody(d.account))
	d.mux.HandleFunc("GET /conjured/account/servers", anybody(d.ownServers))
	d.mux.HandleFunc("POST /conjured/account/password", anybody(d.changePassword))
	d.mux.HandleFunc("POST /conjured/account/server", anybody(d.ownServer))
	d.mux.HandleFunc("GET /conjured/teach", teacher(d.teach))
	d.mux.HandleFunc("GET /conjured/teach/live", teacher(d.stream))
	d.mux.HandleFunc("POST /conjured/teach/act", teacher(d.act))
	d.mux.HandleFunc("GET /conjured/teach/confirm", teacher(d.confirm))
	d.mux.HandleFunc("GET /conjured/teach/passwords", teacher(d.passwords))
}

// Paths are the patterns, in the way of [http.ServeMux], that lead to the desk.
func Paths() []string {
	return []string{
		session.CallbackPath, guardPath, "/conjured/open", "/conjured/logout", "/conjured/account", "/conjured/account/",
		"/conjured/teach", "/conjured/teach/",
	}
}

// ServeHTTP answers below [Paths].
func (d *Desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	guard(w)
	d.mux.ServeHTTP(w, r)
}

// Run keeps the pages' news until ctx ends, then ends the streams and what teachers
// have asked for and is still going on.
func (d *Desk) Run(ctx context.Context) error {
	d.room.run(ctx)
	close(d.closing)
	d.work.Wait()
	return nil
}

// later does what takes longer than a person waits for a page. It ends with the daemon.
func (d *Desk) later(what string, f func(ctx context.Context) error) {
	d.work.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), longestAct)
		defer cancel()
		go func() {
			select {
			case <-d.closing:
				cancel()
			case <-ctx.Done():
			}
		}()
		if err := f(ctx); err != nil {
			d.config.Log.Warn("what a teacher asked for was not done", "act", what, "error", err)
		}
		d.room.look()
	})
}

const longestAct = 5 * time.Minute
