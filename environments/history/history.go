package history

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/conjuring/conjured/notice"
)

// ErrNothing says that the history does not hold what was asked for.
var ErrNothing = errors.New("not in the history")

// Config says where the repository is. Dir is required, and beside it lie Dir.lock,
// Dir.credentials and what Restore moved aside: its parent is no directory of students.
type Config struct {
	Dir    string
	Git    string              // the program; "" is the git of PATH
	Notify func(notice.Notice) // told what a write had to change, and asks nothing of the Repository; nil: only logged
	Log    *slog.Logger        // nil logs nothing
}

// Repository is the history of all environments. It is safe for concurrent use.
type Repository struct {
	c     Config
	git   string
	busy  chan struct{}  // holds one token; whoever has it uses what follows
	batch *batch         // nil while no reader runs
	idle  *time.Timer    // ends the reader
	known map[string]Tag // "ENV COMMIT" of manifests whose tag we have seen; a tag never moves
	now   func() time.Time
	packs int                     // with more of them the small ones are joined
	step  func(name string) error // before each effect; a test cuts there
}

// idleReader is how long a reader outlives the last question.
const idleReader = 10 * time.Second

// Open opens the repository, makes it when there is none, and removes what a command
// that was killed has left. A directory that cannot be a repository any more is moved
// aside first. Close it when you no longer need it.
func Open(ctx context.Context, c Config) (*Repository, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Git == "" {
		c.Git = "git"
	}
	git, err := exec.LookPath(c.Git)
	if err == nil {
		git, err = filepath.Abs(git)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the history: %w", err)
	}
	if c.Dir, err = filepath.Abs(c.Dir); err != nil || c.Dir == "/" {
		return nil, fmt.Errorf("cannot open the history in %q: %w", c.Dir, errors.Join(err, errors.New("no directory")))
	}
	r := &Repository{c: c, git: git, busy: make(chan struct{}, 1), known: map[string]Tag{}, now: time.Now, packs: manyPacks, step: func(string) error { return nil }}
	if err := r.hold(ctx, r.prepare); err != nil {
		return nil, fmt.Errorf("cannot open the history: %w", err)
	}
	return r, nil
}

// Close ends the reader, if one runs. The repository may be used again after that.
func (r *Repository) Close() {
	r.busy <- struct{}{}
	r.endReader()
	<-r.busy
}

// Environments gives the names of all environments, sorted.
func (r *Repository) Environments(ctx context.Context) ([]string, error) {
	var out []string
	err := r.alone(ctx, func() (err error) { out, err = r.environments(ctx); return err })
	if err != nil {
		return nil, fmt.Errorf("cannot list the environments: %w", err)
	}
	return out, nil
}

func (r *Repository) environments(ctx context.Context) ([]string, error) {
	ls, err := r.program().lines(ctx, "for-each-ref", "--format=%(refname)", "--", "refs/heads")
	if err != nil {
		return nil, err
	}
	out, seen := []string{}, map[string]bool{}
	for _, l := range ls {
		env := strings.TrimPrefix(strings.TrimPrefix(l, "refs/heads/"), "manifest/")
		if checkEnv(env) == nil && !seen[env] {
			seen[env] = true
			out = append(out, env)
		}
	}
	return out, nil
}

func (r *Repository) program() program { return program{path: r.git, dir: r.c.Dir} }

// alone waits for the others of this process, does f, and lets the next one in.
func (r *Repository) alone(ctx context.Context, f func() error) error {
	select {
	case r.busy <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.busy }()
	return f()
}

// read does f, which reads env.
func (r *Repository) read(ctx context.Context, env string, f func() error) error {
	if err := checkEnv(env); err != nil {
		return err
	}
	return r.alone(ctx, f)
}

// get reads one object through the reader, which is started when none runs. A reader
// that has died meanwhile, at the hand of a terminal or of the kernel, is replaced once.
func (r *Repository) get(ctx context.Context, name string, limit int64) (oid, object, error) {
	fresh := r.batch == nil
	if fresh {
		b, err := startBatch(r.program())
		if err != nil {
			return "", object{}, err
		}
		r.batch = b
		r.idle = time.AfterFunc(idleReader, r.Close)
	}
	r.idle.Reset(idleReader)
	id, o, err := r.batch.get(ctx, name, limit)
	if r.batch.dead {
		r.endReader()
		if !fresh && ctx.Err() == nil {
			return r.get(ctx, name, limit)
		}
	}
	return id, o, err
}

func (r *Repository) endReader() {
	if r.batch != nil {
		r.idle.Stop()
		r.batch.close()
		r.batch = nil
	}
}

// prepare makes the repository usable. The writer's lock is held.
func (r *Repository) prepare(ctx context.Context, lock *os.File) error {
	if err := r.tidyBeside(); err != nil {
		return err
	}
	sound, err := r.sound()
	if err != nil {
		return err
	}
	if !sound {
		if err := r.moveAside(); err != nil {
			return err
		}
		if err := r.create(ctx, lock); err != nil {
			return err
		}
	}
	return r.sweep()
}
