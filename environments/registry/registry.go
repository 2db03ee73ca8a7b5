package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// Maker makes generations. *environments.Builder is one.
type Maker interface {
	Make(context.Context, environments.Spec, progress.Sink) (environments.Made, error)
	Build(context.Context, environments.Spec, environments.Manifest, progress.Sink) (environments.Made, error)
	Rebuild(context.Context, environments.Spec, environments.Manifest, progress.Sink) (environments.Made, error)
}

// Resolver finds out which packages a spec comes to, and which of a manifest are not here.
type Resolver interface {
	Resolve(context.Context, environments.Spec, environments.ResolveOptions, progress.Sink) (environments.Manifest, notice.List, error)
	Missing(context.Context, environments.Manifest) ([]environments.Package, error)
}

// Verifier looks whether a generation is still what it was.
type Verifier interface {
	Verify(context.Context, environments.Generation, progress.Sink) (notice.List, error)
}

// Builder is what *environments.Builder does for a Registry.
type Builder interface {
	Maker
	Resolver
	Verifier
}

// Recorder writes the history. Each call is one commit, or none when nothing changed.
type Recorder interface {
	PutSpec(ctx context.Context, env string, files []history.File, why string) (bool, error)
	PutManifest(ctx context.Context, env string, files []history.File, why string) (bool, error)
	Tag(ctx context.Context, env string) (history.Tag, error)
	SetLabels(ctx context.Context, env string, set map[string]string, why string) (bool, error)
}

// Reader reads the history.
type Reader interface {
	Environments(ctx context.Context) ([]string, error)
	Spec(ctx context.Context, env string) ([]history.File, error)
	Manifest(ctx context.Context, env, rev string) ([]history.File, error)
	Tags(ctx context.Context, env string) ([]history.Tag, error)
	Labels(ctx context.Context, env string) (map[string]string, error)
	Log(ctx context.Context, env string, n int) ([]history.Entry, error)
	Check(ctx context.Context) error
}

// Transfer takes over and gives away whole histories.
type Transfer interface {
	Import(ctx context.Context, from string) (history.Imported, error)
	Export(ctx context.Context, to string) error
	Restore(ctx context.Context, all []history.Restored) (skipped []error, err error)
}

// Housekeeper has the history take less room.
type Housekeeper interface {
	Pack(ctx context.Context) error
	DropAside(ctx context.Context, keep int, dry bool) (count int, bytes int64, err error)
}

// History is what *history.Repository does for a Registry. From then on nobody else uses
// it: one that is opened anew replaces it.
type History interface {
	Recorder
	Reader
	Transfer
	Housekeeper
}

// Wanted is one environment that somebody wants.
type Wanted struct {
	environments.Spec
	Course   string         // "" when it is everybody's
	Students []string       // who sees its kernel; nil is everybody
	History  []history.File // the teacher's files, word for word; env.spec is made when it is not among them

	imported bool // it came with a history from elsewhere, and no folder asks for it
}

// Policy says which changes of the folder come into use by themselves.
type Policy string

// The policies. The zero Policy is Tested.
const (
	Tested  Policy = "tested"   // whatever was built and verified
	AddOnly Policy = "add-only" // what only adds packages; the rest waits for the teacher
	Never   Policy = "never"    // nothing: the teacher promotes
)

// Touched says who notices a change of an environment.
type Touched struct {
	Courses []string
	Servers int // students' servers that run
	Kernels int // kernels of the environment that run
}

// Config is what a Registry needs to know. Store, Builder, Wanted and Log are required.
type Config struct {
	Store   *environments.Store
	Builder Builder

	// History may be nil: then there is none until Reopen gives one.
	History History

	// Reopen opens the history when there is none, as when the program git was missing
	// before; nil: there is no such way. Repair calls it.
	Reopen func(context.Context) (History, error)

	// Wanted gives what everybody wants now.
	Wanted func(context.Context) ([]Wanted, error)

	// Read makes a spec of files of the history, for an environment that nobody wants
	// now or that was imported; nil: such ones cannot be resolved.
	Read func(ctx context.Context, env environments.Name, files []history.File) (environments.Spec, error)

	Policy  Policy
	Touched func(context.Context, environments.Name) (Touched, error) // nil: nobody
	System  System                                                    // nil: the system has no verbs here

	// Moved is told when new kernels of an environment get other packages, one move after
	// the other. It may use the Registry. nil: nobody is told.
	Moved func(Move)

	Busy   func() bool         // tells whether it is class hours; nil: never
	Notify func(notice.Notice) // told what nobody asked about and somebody should know; nil: nobody
	Log    *slog.Logger
}

// Registry is the environments of one box. Its methods may be called at the same time.
type Registry struct {
	c        Config
	building turn // for whoever builds or removes generations
	changing turn // for whoever moves labels or writes the history

	// Guarded by changing.
	history History
	tags    map[string]*tagList // by environment
	behind  map[string]bool     // environments whose history is not as the disk is

	mu      sync.Mutex // guards what follows
	moves   []Move
	telling bool
}

// New checks c.
func New(c Config) (*Registry, error) {
	if c.Store == nil || c.Builder == nil || c.Wanted == nil || c.Log == nil {
		return nil, errors.New("cannot make a Registry: Store, Builder, Wanted and Log are required")
	}
	switch c.Policy {
	case "":
		c.Policy = Tested
	case Tested, AddOnly, Never:
	default:
		return nil, fmt.Errorf("cannot make a Registry: %q is not a policy", string(c.Policy))
	}
	return &Registry{
		c: c, building: newTurn(), changing: newTurn(), history: c.History,
		tags: map[string]*tagList{}, behind: map[string]bool{},
	}, nil
}

// turn lets one at a time do something; the others wait, as long as their context lets them.
type turn chan struct{}

func newTurn() turn {
	t := make(turn, 1)
	t <- struct{}{}
	return t
}

// take waits for the turn. Call done when yours is over.
func (t turn) take(ctx context.Context) (done func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-t:
		return func() { t <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Wanted gives every environment that somebody wants: those of the folder, and those
// that were imported and are not in the folder.
func (r *Registry) Wanted(ctx context.Context) ([]Wanted, error) {
	ws, err := r.c.Wanted(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot tell which environments are wanted: %w", err)
	}
	return r.withImported(ctx, ws)
}
