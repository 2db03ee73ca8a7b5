package layers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tonistiigi/fsutil"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/progress"
)

// Sealing says what becomes the image latest.
type Sealing struct {
	SystemKey string   // Result.Key of the system that the class runs on
	Dir       string   // the environment tree on this machine
	Paths     []string // relative to Dir: the directories and links that go into the image
	ID        string   // of what lies there: another one when anything is another one

	// Still tells, once everything was read, whether what lies there has ID: labels move
	// at any time. nil: nothing moves.
	Still func() (bool, error)
}

// ErrMoved says that what was to be sealed became something else while it was read.
var ErrMoved = errors.New("the environments changed while they were copied")

// Seal makes latest: system with the serving environment copied in, complete by
// itself. Once it has passed its test, repository:latest names it and
// repository:previous what latest was before. It gives the image's id. The error is
// ErrMoved when s has to be asked for again.
func (b *Builder) Seal(ctx context.Context, s Sealing, sink progress.Sink) (string, error) {
	if err := b.acquire(ctx); err != nil {
		return "", err
	}
	defer b.release()
	key := sumOf(keyVersion, StageLatest, s.SystemKey, s.ID)
	step := Step{Stage: StageLatest, Key: key, Ref: b.repository + ":" + key, From: s.SystemKey}
	img, err := b.engine.Image(ctx, step.Ref)
	if err != nil && !isGone(err) {
		return "", err
	}
	if err != nil || b.tested(key) != img.ID {
		err := b.buildLatest(ctx, s, step, sink)
		if moved := s.moved(); moved != nil {
			return "", moved // whatever came of it is no fault, and nothing to be believed
		}
		if err != nil {
			return "", err
		}
		if err := b.smoke(ctx, step, sink); err != nil {
			return "", err
		}
		if img, err = b.engine.Image(ctx, step.Ref); err != nil {
			return "", err
		}
		if err := b.recordTested(key, img.ID); err != nil {
			return "", err
		}
	}
	if err := b.flip(ctx, img.ID); err != nil {
		return "", err
	}
	sink.Progress(progress.Event{Job: Job, Step: "latest is sealed", State: progress.Done})
	return img.ID, nil
}

func (s Sealing) moved() error {
	if s.Still == nil {
		return nil
	}
	still, err := s.Still()
	if err == nil && !still {
		return ErrMoved
	}
	return err
}

// isGone tells whether there is nothing to lose of an image that could not be looked at.
func isGone(err error) bool {
	return errors.Is(err, engine.ErrNotFound) || errors.Is(err, engine.ErrDamaged)
}

// flip moves latest, and previous behind it. Killed between the two, both name what
// latest was, and the next Seal moves latest on.
func (b *Builder) flip(ctx context.Context, id string) error {
	latest := b.repository + ":" + StageLatest
	old, err := b.engine.Image(ctx, latest)
	switch {
	case err == nil && old.ID == id:
		return nil
	case err == nil:
		if err := b.engine.Tag(ctx, old.ID, b.repository+":previous"); err != nil {
			return err
		}
	case !isGone(err):
		return err
	}
	return b.engine.Tag(ctx, id, latest)
}

// buildLatest runs the stage latest of the root Dockerfile on top of system as it is.
func (b *Builder) buildLatest(ctx context.Context, s Sealing, step Step, sink progress.Sink) error {
	work, err := os.MkdirTemp(b.dir, "tmp-context-")
	if err != nil {
		return fmt.Errorf("cannot prepare a build: %w", err)
	}
	defer os.RemoveAll(work)
	tree, err := sealedTree(s)
	if err != nil {
		return err
	}
	job := solve{
		stage: StageLatest, target: StageLatest, ref: step.Ref, key: step.Key,
		// The stage system is replaced by the very image that the class runs on.
		contexts: map[string]string{"environments": "local:environments"}, locals: map[string]string{},
		trees: map[string]fsutil.FS{"environments": tree},
	}
	if err := b.writeRecipe(work, Inputs{}, &job); err != nil {
		return fmt.Errorf("cannot prepare a build: %w", err)
	}
	job.contexts[StageSystem] = "docker-image://" + b.repository + ":" + s.SystemKey
	return b.solve(ctx, Inputs{}, job, sink)
}

// sealedTree is the part of the environment tree that goes into latest. Other
// generations, caches and unfinished work stay out.
func sealedTree(s Sealing) (fsutil.FS, error) {
	if s.ID == "" || len(s.Paths) == 0 {
		return nil, errors.New("cannot seal: nothing is named")
	}
	for _, p := range s.Paths {
		if !filepath.IsLocal(p) || strings.ContainsAny(p, `*?[!\`) {
			return nil, fmt.Errorf("cannot seal %q: it is no path below the environments", p)
		}
		if _, err := os.Lstat(filepath.Join(s.Dir, p)); err != nil {
			return nil, fmt.Errorf("cannot seal: %w", err)
		}
	}
	all, err := fsutil.NewFS(s.Dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read the environments: %w", err)
	}
	return fsutil.NewFilterFS(all, &fsutil.FilterOpt{IncludePatterns: s.Paths})
}
