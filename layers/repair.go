package layers

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// withRepair builds, and where the store turns out to be damaged takes the next stronger
// measure and builds again, three times at most.
func (b *Builder) withRepair(ctx context.Context, in Inputs, sink progress.Sink) (Result, error) {
	var told notice.List
	var m measure
	for {
		r, err := b.build(ctx, in, sink)
		var d *damage
		if !errors.As(err, &d) {
			if err == nil {
				r.Notices = append(told, r.Notices...)
			}
			return r, err
		}
		m = remedy(d.condition, m)
		b.log.Warn("docker's store is damaged", "condition", d.condition, "stage", d.stage, "measure", m, "error", d.err)
		if m == giveUp {
			return Result{}, beyondRepair(d)
		}
		sink.Progress(progress.Event{Job: Job, Step: "Docker has lost parts of its images: making them again"})
		if err := b.take(ctx, m, d, in); err != nil {
			return Result{}, err
		}
		told, in.Doubt, in.repairing = notice.List{mended()}, true, true
	}
}

// take carries a measure out. What cannot be removed stays: the next build finds out
// whether that matters, and then the measure is a stronger one.
func (b *Builder) take(ctx context.Context, m measure, d *damage, in Inputs) error {
	if m == dropAll {
		b.removeEnded(ctx)
	}
	if m == dropImages || m == dropAll {
		refs, err := b.lost(ctx, m, d, in)
		if err != nil {
			return err
		}
		for _, ref := range refs {
			b.try(ref, b.engine.Discard(ctx, ref))
		}
	}
	if m == dropAll {
		b.dropUnreadable(ctx)
	}
	b.try("the build cache", b.engine.DropBuildCache(ctx))
	return context.Cause(ctx)
}

func (b *Builder) try(what string, err error) {
	if err != nil {
		b.log.Warn("not removed from a damaged store", "what", what, "error", err)
	}
}

// lost are the names of everything that may have the damage of a stage, in an order in
// which they can be removed. The records say what was made here: Docker leaves a damaged
// image out of its lists. In the first try an image that works stays, whatever it has.
func (b *Builder) lost(ctx context.Context, m measure, d *damage, in Inputs) ([]string, error) {
	spare := func(id string) bool {
		return m == dropImages && (slices.Contains(d.kept, id) || b.works(ctx, id))
	}
	stages := []string{StageBase, StageCore, StageSystem, StageLatest, "previous"}
	var refs []string
	for _, s := range slices.Backward(stages) {
		ref := b.repository + ":" + s
		if img, err := b.engine.Image(ctx, ref); errors.Is(err, engine.ErrNotFound) || (err == nil && spare(img.ID)) {
			continue
		}
		refs = append(refs, ref)
	}
	records, err := os.ReadDir(b.testedDir())
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if id := b.tested(r.Name()); !spare(id) {
			refs = append(refs, b.repository+":"+r.Name(), id)
		}
	}
	if d.stage <= 0 || m == dropAll {
		refs = append(refs, b.lostBases(ctx, in)...)
	}
	return refs, nil
}

// works tells whether an image that was made here passes the test of its kind.
func (b *Builder) works(ctx context.Context, image string) bool {
	const script = "[ -d /opt/conjured ] || exec /bin/sh -c '" + smokeBase + "'\n" + smokeSystem
	if _, err := b.engine.Image(ctx, image); err != nil {
		return false
	}
	code, _, err := b.testRun(ctx, image, image, script, "1000:1000")
	return err == nil && code == 0
}

// lostBases are those of the images that a class starts from in which a program cannot
// be started any more. The others stay: they may not be to be had again.
func (b *Builder) lostBases(ctx context.Context, in Inputs) []string {
	froms := []From{{Image: builtinImage}}
	if base, err := parseBase(in.BaseDockerfile); err == nil && len(in.BaseDockerfile) > 0 {
		froms = base.froms
	}
	var out []string
	for _, f := range froms {
		candidates := []string{f.Image}
		if suite := debianSuite(f.Image); suite != "" {
			candidates = append(candidates, b.bootstrapRef(suite))
		}
		for _, ref := range candidates {
			_, err := b.engine.Image(ctx, ref)
			if err == nil {
				_, _, err = b.testRun(ctx, sumOf(ref), ref, ":", "0:0")
			}
			if err != nil && !errors.Is(err, engine.ErrNotFound) {
				out = append(out, ref)
			}
		}
	}
	return out
}

// dropUnreadable removes the images, whoever made them, that Docker itself cannot read:
// nobody can use them, and they hold on to the damaged layers.
func (b *Builder) dropUnreadable(ctx context.Context) {
	all, err := b.engine.Images(ctx, nil)
	b.try("damaged images", err)
	for _, img := range all {
		if _, err := b.engine.Image(ctx, img.ID); errors.Is(err, engine.ErrDamaged) {
			for _, ref := range append(slices.Clone(img.Tags), img.ID) {
				b.try(ref, b.engine.Discard(ctx, ref))
			}
		}
	}
}

// removeEnded removes this instance's containers that do not run: they hold layers.
func (b *Builder) removeEnded(ctx context.Context) {
	all, err := b.engine.List(ctx, nil)
	b.try("containers", err)
	for _, c := range all {
		if c.State == "exited" || c.State == "created" || c.State == "dead" {
			b.try("container "+c.Name, b.engine.Remove(ctx, c.ID))
		}
	}
}

// recheck tests an image again that has passed its test, if that is in doubt.
func (b *Builder) recheck(ctx context.Context, in Inputs, plan Plan, i int, sink progress.Sink) error {
	if !in.Doubt || (i > 0 && b.tested(plan.Steps[i-1].Key) == b.tested(plan.Steps[i].Key)) {
		return nil
	}
	return b.stillSound(ctx, plan, i, b.smoke(ctx, plan.Steps[i], sink))
}

// stillSound is what the outcome of a test says of an image that has passed it before,
// or was just made to replace a damaged one. It is damaged when it fails twice.
func (b *Builder) stillSound(ctx context.Context, plan Plan, i int, err error) error {
	if ctx.Err() != nil || judge(err) != lame {
		return err
	}
	if again := b.smoke(ctx, plan.Steps[i], progress.Discard); judge(again) != lame {
		return again
	}
	return limps(i, err)
}

// doubtBelow is err of the build of stage i, or the damage of what it is built on: a
// step that fails because its system lacks a file says nothing of that.
func (b *Builder) doubtBelow(ctx context.Context, plan Plan, i int, err error) error {
	if i == 0 || ctx.Err() != nil || engine.Damaged(err) {
		return err
	}
	var d *damage
	if worse := b.stillSound(ctx, plan, i-1, b.smoke(ctx, plan.Steps[i-1], progress.Discard)); errors.As(worse, &d) {
		return worse
	}
	return err
}
