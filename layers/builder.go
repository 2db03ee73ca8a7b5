package layers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// Job is the name under which builds report progress.
const Job = "image"

// Config is what a Builder needs.
type Config struct {
	Engine     *engine.Engine
	Files      fs.FS        // the root Dockerfile and what it copies, see [conjured.Image]
	Launcher   []byte       // launch.sh, which starts programs of an environment
	Repository string       // what images are called; "" is conjuring/conjuring
	Dir        string       // for records, the bootstrap cache and work in progress
	CABundle   string       // the machine's trusted certificates; "" is Debian's place for them
	Log        *slog.Logger // nil for none
}

// Builder builds images, one build at a time.
type Builder struct {
	engine     *engine.Engine
	files      fs.FS
	launcher   []byte
	repository string
	dir        string
	ca         string
	log        *slog.Logger
	busy       chan struct{} // holds one token while a build is on
}

// New checks c and clears away what a killed build has left in its directory.
func New(c Config) (*Builder, error) {
	if c.Engine == nil || c.Files == nil || c.Dir == "" || len(c.Launcher) == 0 {
		return nil, errors.New("cannot build images: engine, files, launcher and directory are needed")
	}
	b := &Builder{engine: c.Engine, files: c.Files, launcher: c.Launcher, repository: c.Repository, dir: c.Dir, ca: c.CABundle, log: c.Log, busy: make(chan struct{}, 1)}
	if b.repository == "" {
		b.repository = "conjuring/conjuring"
	}
	if b.ca == "" {
		b.ca = "/etc/ssl/certs/ca-certificates.crt"
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []string{b.dir, b.testedDir()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("cannot make the build directory: %w", err)
		}
	}
	left, _ := filepath.Glob(filepath.Join(b.dir, "tmp-*")) // the pattern is constant
	for _, l := range left {
		if err := removeTree(l); err != nil {
			return nil, fmt.Errorf("cannot clear away an unfinished build: %w", err)
		}
	}
	return b, nil
}

// Result is what a class runs on.
type Result struct {
	Base, Core, System string      // image ids
	Key                string      // of System; the same for the same inputs
	Built              []string    // stages that were made now; none when all was there
	Notices            notice.List // warnings: it works, and differs from what was asked
}

// Plan finds the images that in starts from, which may pull or make one, and gives
// what Build would then see to.
func (b *Builder) Plan(ctx context.Context, in Inputs, sink progress.Sink) (Plan, error) {
	plan, _, err := b.plan(ctx, &in, sink)
	return plan, err
}

func (b *Builder) plan(ctx context.Context, in *Inputs, sink progress.Sink) (Plan, notice.List, error) {
	base, found, notices, err := b.resolveAll(ctx, in, sink)
	if err != nil {
		return Plan{}, nil, err
	}
	plan, err := newPlan(*in, planned{repository: b.repository, files: b.files, launcher: b.launcher, base: base, found: found})
	return plan, notices, err
}

// Build sees to it that base, core and system for in are there, have passed their
// smoke tests, and that repository:base, :core and :system name them. When it fails no
// name has moved and the error is a notice wherever the teacher can do something. Images
// that Docker has lost parts of are removed and made again, which a notice tells.
func (b *Builder) Build(ctx context.Context, in Inputs, sink progress.Sink) (Result, error) {
	if err := b.acquire(ctx); err != nil {
		return Result{}, err
	}
	defer b.release()
	return b.withRepair(ctx, in, sink)
}

func (b *Builder) build(ctx context.Context, in Inputs, sink progress.Sink) (Result, error) {
	plan, notices, err := b.plan(ctx, &in, sink)
	if err != nil {
		return Result{}, asDamage(unreadable, -1, nil, err)
	}
	r := Result{Key: plan.Key(), Notices: notices}
	ids := map[string]string{}
	for i, s := range plan.Steps {
		id, built, err := b.ensure(ctx, in, plan, i, sink)
		if err != nil {
			return Result{}, asDamage(unreadable, i, slices.Collect(maps.Values(ids)), err)
		}
		if ids[s.Stage] = id; built {
			r.Built = append(r.Built, s.Stage)
		}
	}
	for _, s := range plan.Steps {
		if err := b.point(ctx, b.repository+":"+s.Stage, ids[s.Stage]); err != nil {
			return Result{}, err
		}
	}
	r.Base, r.Core, r.System = ids[StageBase], ids[StageCore], ids[StageSystem]
	sink.Progress(progress.Event{Job: Job, Step: "the system of the class is ready", State: progress.Done})
	return r, nil
}

func (b *Builder) acquire(ctx context.Context) error {
	select {
	case b.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (b *Builder) release() { <-b.busy }

// ensure makes one image of the plan unless it is there and was tested.
func (b *Builder) ensure(ctx context.Context, in Inputs, plan Plan, i int, sink progress.Sink) (id string, built bool, err error) {
	s := plan.Steps[i]
	img, err := b.engine.Image(ctx, s.Ref)
	switch {
	case err == nil && b.tested(s.Key) == img.ID:
		return img.ID, false, b.recheck(ctx, in, plan, i, sink)
	case err != nil && !errors.Is(err, engine.ErrNotFound):
		return "", false, err
	case err == nil: // built, and then we were stopped before its test was through
	case s.Alias != "":
		if err := b.engine.Tag(ctx, s.Alias, s.Ref); err != nil {
			return "", false, err
		}
	default:
		if err := b.make(ctx, in, plan, i, sink); err != nil {
			return "", false, b.doubtBelow(ctx, plan, i, err)
		}
		built = true
	}
	if img, err = b.engine.Image(ctx, s.Ref); err != nil {
		return "", false, err
	}
	// A system without packages is core, and core was tested a step ago.
	if i == 0 || b.tested(plan.Steps[i-1].Key) != img.ID {
		err := b.smoke(ctx, s, sink)
		if in.repairing {
			err = b.stillSound(ctx, plan, i, err)
		}
		if err != nil {
			return "", false, err
		}
	}
	return img.ID, built, b.recordTested(s.Key, img.ID)
}

// make builds one image of the plan.
func (b *Builder) make(ctx context.Context, in Inputs, plan Plan, i int, sink progress.Sink) error {
	s := plan.Steps[i]
	work, err := os.MkdirTemp(b.dir, "tmp-context-")
	if err != nil {
		return fmt.Errorf("cannot prepare a build: %w", err)
	}
	defer os.RemoveAll(work)
	job := solve{stage: s.Stage, target: s.Stage, ref: s.Ref, key: s.Key, contexts: map[string]string{}, locals: map[string]string{}}
	if s.Stage == StageBase {
		job.target, job.locals["context"] = plan.target, filepath.Join(work, "empty")
		for image, ref := range plan.subst {
			job.contexts[contextName(image)] = "docker-image://" + ref
		}
		err = errors.Join(writeFile(work, "Dockerfile", in.BaseDockerfile), os.Mkdir(job.locals["context"], 0o700))
		job.dockerfile = work
	} else {
		job.contexts["base"] = "docker-image://" + plan.Steps[0].Ref
		job.args = map[string]string{"GROUP_ID": fmt.Sprint(in.groupID())}
		err = b.writeRecipe(work, in, &job)
	}
	if err != nil {
		return fmt.Errorf("cannot prepare a build: %w", err)
	}
	return b.solve(ctx, in, job, sink)
}

// writeRecipe lays out the contexts of the root Dockerfile: nothing but what it copies.
func (b *Builder) writeRecipe(work string, in Inputs, job *solve) error {
	recipe := filepath.Join(work, "recipe")
	for _, root := range recipeRoots {
		err := fs.WalkDir(b.files, root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !isRecipe(path) {
				return err
			}
			data, err := fs.ReadFile(b.files, path)
			return errors.Join(err, writeFile(recipe, path, data))
		})
		if err != nil {
			return err
		}
	}
	for name, f := range map[string]struct{ name, text string }{
		"custom":   {"apt.txt", in.aptList()},
		"launcher": {"launch.sh", string(b.launcher)},
	} {
		dir := filepath.Join(work, name)
		if err := writeFile(dir, f.name, []byte(f.text)); err != nil {
			return err
		}
		job.locals[name], job.contexts[name] = dir, "local:"+name
	}
	job.dockerfile, job.locals["context"] = recipe, recipe
	return nil
}

func writeFile(dir, name string, data []byte) error {
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// point moves a name to an image unless it is there already.
func (b *Builder) point(ctx context.Context, ref, id string) error {
	if img, err := b.engine.Image(ctx, ref); err == nil && img.ID == id {
		return nil
	}
	return b.engine.Tag(ctx, id, ref)
}
