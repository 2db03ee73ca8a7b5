package layers

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/tonistiigi/fsutil"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// caSecret is the build secret that holds the machine's CA bundle.
const caSecret = "ca"

// solve is one build: a Dockerfile, a stage of it, and where its contexts come from.
type solve struct {
	stage      string            // ours, for words and durations
	target     string            // the Dockerfile's
	ref, key   string            // what the image is called and labelled
	dockerfile string            // directory that holds the Dockerfile
	contexts   map[string]string // named context -> docker-image://ref or local:name
	locals     map[string]string // local name -> directory
	trees      map[string]fsutil.FS
	args       map[string]string
}

// solve carries a build out. The image is there under job.ref afterwards.
func (b *Builder) solve(ctx context.Context, in Inputs, job solve, sink progress.Sink) error {
	c, err := b.buildkit(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	opt, err := b.options(job)
	if err != nil {
		return err
	}
	w := newWatcher(job, b.readDurations(), sink)
	status := make(chan *client.SolveStatus)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for s := range status {
			w.take(s)
		}
	}()
	_, err = c.Build(ctx, opt, "conjured", builder.Build, status)
	<-watched
	if ctx.Err() != nil {
		return fmt.Errorf("cannot finish the build of %s: %w", job.stage, context.Cause(ctx))
	}
	if err != nil {
		if engine.Damaged(err) {
			return &damage{condition: builderLost, stage: -1, err: engine.StoreDamaged(err)}
		}
		sink.Progress(progress.Event{Job: Job, Step: w.step, Done: w.done, Total: w.total, Unit: "steps", State: progress.Failed})
		return explain(in, failure{stage: job.stage, step: w.failed, lines: w.tail()}, err)
	}
	b.saveDurations(w.took)
	return nil
}

// buildkit opens the way to the builder in the engine.
func (b *Builder) buildkit(ctx context.Context) (*client.Client, error) {
	way := b.engine.BuildKit()
	// Dialled once here by hand: the client dials when first used and then retries,
	// so that an engine without a builder would look like a slow one.
	conn, err := way.GRPC(ctx)
	if err != nil {
		return nil, noBuildKit(b.engine, err)
	}
	first := make(chan net.Conn, 1)
	first <- conn
	return client.New(ctx, "", client.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		select {
		case c := <-first:
			return c, nil
		default:
			return way.GRPC(ctx)
		}
	}), client.WithSessionDialer(way.Session))
}

func noBuildKit(e *engine.Engine, err error) error {
	version, _ := e.Version()
	return &notice.Error{Notice: notice.Notice{
		Code: "docker-no-buildkit", Severity: notice.SeverityError,
		What:  fmt.Sprintf("Docker %s on this machine has no BuildKit, the part that builds images", version),
		Means: "no new system can be built; a class that is running stays on the one it has",
		Do:    "install Docker 20.10 or newer from Debian (docker.io) or from docker.com, then try again",
	}, Err: err}
}

// attributes is what the front end is told.
func (job solve) attributes() map[string]string {
	attrs := map[string]string{
		"filename": "Dockerfile", "target": job.target,
		// Its presence is what keeps the front end from pulling the one that a
		// "# syntax=" line names.
		"cmdline": "conjured",
		// What is on this machine is what was resolved; no registry is asked again.
		"image-resolve-mode":        "local",
		"label:" + engine.LabelRole: "image",
		"label:" + engine.LabelKey:  job.key,
	}
	for name, source := range job.contexts {
		attrs["context:"+name] = source
	}
	for name, value := range job.args {
		attrs["build-arg:"+name] = value
	}
	// A school's proxy: predefined arguments, which are in no history and no cache key.
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
		if value := os.Getenv(name); value != "" {
			attrs["build-arg:"+name] = value
		}
	}
	return attrs
}

func (b *Builder) options(job solve) (client.SolveOpt, error) {
	opt := client.SolveOpt{
		Exports:       []client.ExportEntry{{Type: "moby", Attrs: map[string]string{"name": job.ref}}},
		FrontendAttrs: job.attributes(),
		LocalMounts:   map[string]fsutil.FS{},
		// One key for all builds: files that were sent once are not sent again.
		SharedKey: "conjured-" + job.stage,
	}
	dirs := maps.Clone(job.locals)
	dirs["dockerfile"] = job.dockerfile
	for name, dir := range dirs {
		tree, err := fsutil.NewFS(dir)
		if err != nil {
			return opt, fmt.Errorf("cannot read build context %s: %w", name, err)
		}
		opt.LocalMounts[name] = tree
	}
	maps.Copy(opt.LocalMounts, job.trees)
	secrets := map[string][]byte{}
	if ca, err := os.ReadFile(b.ca); err == nil { // without one, the base's own trust holds
		secrets[caSecret] = ca
	}
	opt.Session = []session.Attachable{secretsprovider.FromMap(secrets)}
	return opt, nil
}

// contextName is how the front end looks up a replacement for a FROM: the familiar
// name, without ":latest".
func contextName(image string) string {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return image
	}
	return strings.TrimSuffix(reference.FamiliarString(reference.TagNameOnly(named)), ":latest")
}
