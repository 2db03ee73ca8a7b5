package layers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/distribution/reference"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// builtinImage is the base of a class without a base.Dockerfile: Debian 13, the
// oldest Debian whose Python (3.13) today's Jupyter will outlive.
const builtinImage = "debian:trixie"

// pullWait bounds the wait for a registry's first byte. A school's network often
// swallows packets instead of refusing them.
const pullWait = 15 * time.Second

// Resolved is an image of base.Dockerfile and the local image that stands for it.
type Resolved struct {
	From
	Ref string // a name this machine's engine knows
	ID  string
	How string // present, pulled, bootstrapped
}

// resolveAll finds an image for each FROM of a base.Dockerfile, or the built-in base.
// The notices say where something else than what was asked for is used.
func (b *Builder) resolveAll(ctx context.Context, in *Inputs, sink progress.Sink) (baseFile, []Resolved, notice.List, error) {
	builtin := func() ([]Resolved, error) {
		r, err := b.resolve(ctx, From{Image: builtinImage}, sink)
		return []Resolved{r}, err
	}
	if len(in.BaseDockerfile) == 0 {
		found, err := builtin()
		return baseFile{}, found, nil, err
	}
	base, err := parseBase(in.BaseDockerfile)
	if err != nil {
		return baseFile{}, nil, nil, err
	}
	var found []Resolved
	for _, f := range base.froms {
		r, err := b.resolve(ctx, f, sink)
		var missing *notice.Error
		switch {
		case err == nil:
			found = append(found, r)
		case in.FallbackBase && errors.As(err, &missing) && missing.Code == codeBaseMissing:
			in.BaseDockerfile = nil
			found, err := builtin()
			return baseFile{}, found, notice.List{fellBack(missing.Notice)}, err
		default:
			return baseFile{}, nil, nil, err
		}
	}
	return base, found, nil, nil
}

// resolve finds one image: on this machine, made here before, in a registry, or (for
// Debian alone) made here now.
func (b *Builder) resolve(ctx context.Context, f From, sink progress.Sink) (Resolved, error) {
	suite := debianSuite(f.Image)
	candidates := []string{f.Image}
	if suite != "" {
		candidates = append(candidates, b.bootstrapRef(suite))
	}
	for i, ref := range candidates {
		img, err := b.engine.Image(ctx, ref)
		if err == nil {
			return Resolved{From: f, Ref: ref, ID: img.ID, How: []string{"present", "bootstrapped"}[i]}, nil
		}
		if !errors.Is(err, engine.ErrNotFound) {
			return Resolved{}, err
		}
	}
	pullErr := b.pull(ctx, f.Image, sink)
	if pullErr == nil {
		img, err := b.engine.Image(ctx, f.Image)
		return Resolved{From: f, Ref: f.Image, ID: img.ID, How: "pulled"}, err
	}
	if ctx.Err() != nil {
		return Resolved{}, context.Cause(ctx)
	}
	if suite == "" {
		return Resolved{}, missingBase(f, pullErr)
	}
	b.log.Info("no registry at hand, making a base here", "image", f.Image, "suite", suite)
	id, err := b.bootstrap(ctx, suite, sink)
	return Resolved{From: f, Ref: b.bootstrapRef(suite), ID: id, How: "bootstrapped"}, err
}

// pull fetches an image and gives up when nothing has come for pullWait.
func (b *Builder) pull(ctx context.Context, ref string, sink progress.Sink) error {
	if _, err := reference.ParseNormalizedNamed(ref); err != nil {
		return fmt.Errorf("cannot pull image %s: %w", ref, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(pullWait, func() { cancel(errors.New("the registry does not answer")) })
	defer idle.Stop()
	sink.Progress(progress.Event{Job: Job, Step: "looking for " + ref + " in its registry"})
	return b.engine.Pull(ctx, ref, progress.Func(func(e progress.Event) {
		idle.Reset(pullWait)
		sink.Progress(e)
	}))
}

// debianSuite is the Debian release that an image name of Docker Hub's debian means,
// or "" for every other image. Tags: hub.docker.com/_/debian.
func debianSuite(image string) string {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil || named.Name() != "docker.io/library/debian" {
		return ""
	}
	if _, pinned := named.(reference.Digested); pinned {
		return "" // these very bytes were asked for
	}
	tag := "latest"
	if t, ok := named.(reference.Tagged); ok {
		tag = t.Tag()
	}
	tag, _, _ = strings.Cut(tag, "-") // trixie-slim, trixie-20261117
	number, _, _ := strings.Cut(tag, ".")
	for _, s := range []struct{ suite, number, alias string }{
		{"trixie", "13", "latest"}, {"bookworm", "12", "oldstable"}, {"bullseye", "11", "oldoldstable"},
	} {
		if tag == s.suite || number == s.number || tag == s.alias || (tag == "stable" && s.alias == "latest") {
			return s.suite
		}
	}
	return ""
}

const codeBaseMissing = "base-image-missing"

func missingBase(f From, err error) error {
	do := "connect the box to the internet and try again, or write FROM debian:trixie, which can be made here"
	if strings.HasPrefix(f.Image, "ubuntu") {
		do = "connect the box to the internet and try again, or write FROM debian:trixie, which is close to Ubuntu and can be made here"
	}
	return &notice.Error{Notice: notice.Notice{
		Code: codeBaseMissing, Severity: notice.SeverityError, File: BaseFile, Line: f.Line,
		What:  fmt.Sprintf("the image %s of the FROM line is not on this machine, and no registry has answered with it", f.Image),
		Means: "no new system was built; a class that is running stays on the one it has",
		Do:    do,
	}, Err: err}
}

func fellBack(n notice.Notice) notice.Notice {
	n.Code, n.Severity = "base-fallback", notice.SeverityWarning
	n.What += "; the built-in Debian 13 is used instead of base.Dockerfile"
	n.Means = "the class runs, without whatever base.Dockerfile would have installed"
	return n
}
