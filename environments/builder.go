package environments

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// Config is what a Builder needs to know. Store, Runner and Log are required.
type Config struct {
	Store    *Store
	Runner   Runner
	UV       string // uv in the image; "" means /opt/conjured/bin/uv
	Python   string // the interpreter in the image; "" means /usr/bin/python3
	Lab      string // where the image has Spec.Core installed, if it has; "" means /opt/conjured/lab
	CABundle string // certificates of the host that builds trust, a file; "" means those of uv
	LabLock  []byte // the lock of Lab, whose versions kernels prefer; nil means that they prefer none
	Rattler  string // the interpreter that has py-rattler, in the image; "" means /opt/conjured/rattler/bin/python
	Index    string // address of the package index (PEP 503); "" means PyPI
	Offline  bool   // do not even try the network

	CondaMirror   string // where the channels' names are fetched from; "" means https://conda.anaconda.org
	AllowDefaults bool   // the school has a licence for Anaconda's own channels

	Env      []string // more of the environment of building containers, such as proxies
	Builder  string   // "uid:gid" that unpacks; it must own the store; "" means 0:0
	Verifier string   // "uid:gid" that runs packages' code; "" means 65534:65534
	Log      *slog.Logger
}

// ResolveOptions say how far a resolution may go from the generation in use. The zero
// value changes as little as the lines allow.
type ResolveOptions struct {
	Upgrade  bool     // take the newest versions that the lines allow
	Packages []string // of these only, normalised names; all when it is empty and Upgrade is set
	Offline  bool     // use what is stored, and do not try the network

	sure bool // nothing is supposed before it is known
}

// moves tells whether a package may get another version without need.
func (o ResolveOptions) moves(name string) bool {
	return slices.Contains(o.Packages, name) || o.Upgrade && len(o.Packages) == 0
}

// Builder resolves specs and builds generations, one at a time.
type Builder struct {
	c Config

	// turn is taken by whoever works: caches and scratch are for one at a time.
	turn chan struct{}

	// waiting is a trial that has been prepared; nil for none. Whoever has the turn has it.
	waiting *rehearsal

	// trailing are containers that have said all, and are being removed.
	trailing sync.WaitGroup

	// upgraded holds the manifests of upgrades that are not built yet, by the digest of
	// their spec: one that turns out not to work is not what the spec means.
	upgraded map[string]string

	patience time.Duration // with one script of a package
}

// New checks c.
func New(c Config) (*Builder, error) {
	if c.Store == nil || c.Runner == nil || c.Log == nil {
		return nil, errors.New("cannot make a Builder: Store, Runner and Log are required")
	}
	for _, d := range []struct {
		field *string
		value string
	}{
		{&c.UV, "/opt/conjured/bin/uv"},
		{&c.Python, "/usr/bin/python3"},
		{&c.Lab, "/opt/conjured/lab"},
		{&c.Rattler, "/opt/conjured/rattler/bin/python"},
		{&c.Builder, "0:0"},
		{&c.Verifier, "65534:65534"},
	} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	c.Runner = newBounded(c.Runner, c.Store)
	return &Builder{c: c, turn: make(chan struct{}, 1), upgraded: map[string]string{}, patience: scriptTime}, nil
}

// begun waits for the Builder's turn. Call what it gives when the work is over.
func (b *Builder) begun(ctx context.Context) (done func(), err error) {
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	done = func() {
		b.waiting.drop()
		b.waiting = nil
		<-b.turn
	}
	alone := make(chan struct{})
	go func() { b.trailing.Wait(); close(alone) }()
	select {
	case <-alone:
		return done, nil
	case <-ctx.Done():
		done()
		return nil, ctx.Err()
	}
}

// Make gives the generation for s: the one that is there, or a new one. It moves no
// label. When nothing changed it writes nothing and starts no container. Notices are
// warnings about what differs from what a teacher may expect; an error is a
// notice.List or *notice.Error wherever a person can act on it.
func (b *Builder) Make(ctx context.Context, s Spec, sink progress.Sink) (Made, error) {
	if err := b.check(s); err != nil {
		return Made{}, err
	}
	done, err := b.begun(ctx)
	if err != nil {
		return Made{}, err
	}
	defer done()
	if r, ok := b.recall(s); ok {
		m, err := b.build(ctx, s, r.Manifest, sink)
		m.Notices = append(slices.Clone(r.Notices), m.Notices...)
		return m, err
	}
	return b.make(ctx, s, ResolveOptions{}, sink)
}

// make resolves s and builds it in one go.
func (b *Builder) make(ctx context.Context, s Spec, o ResolveOptions, sink progress.Sink) (Made, error) {
	r, g, err := b.resolve(ctx, s, o, true, sink)
	if err != nil {
		return Made{}, err
	}
	if g.Number == 0 || !r.supposed && r.Manifest.ID() == b.currentID(s.Env) {
		if g.Number != 0 {
			b.abandon(g)
		}
		m, err := b.build(ctx, s, r.Manifest, sink)
		m.Notices = append(r.Notices, m.Notices...)
		return m, err
	}
	more, err := b.finish(ctx, s, &g, r.trial, sink)
	if errors.Is(err, errUnlike) && ctx.Err() == nil {
		b.c.Log.Info("what was supposed does not hold, and is made anew", "env", g.Env, "number", g.Number, "reason", err)
		o.sure = true
		return b.make(ctx, s, o, sink)
	}
	if r.supposed && ctx.Err() == nil {
		err = errors.Join(err, b.remember(s, r))
	}
	return Made{Generation: g, New: err == nil, Notices: append(r.Notices, more...)}, err
}

// Resolve gives the manifest for s. With the zero options it is as close to the current
// generation's as s allows, and the same spec gives the same manifest until GC forgets
// it. Notices are as those of Make.
func (b *Builder) Resolve(ctx context.Context, s Spec, o ResolveOptions, sink progress.Sink) (Manifest, notice.List, error) {
	if err := b.check(s); err != nil {
		return Manifest{}, nil, err
	}
	done, err := b.begun(ctx)
	if err != nil {
		return Manifest{}, nil, err
	}
	defer done()
	fresh := o.Upgrade || len(o.Packages) > 0
	if r, ok := b.recall(s); ok && !fresh {
		return r.Manifest, r.Notices, nil
	}
	r, _, err := b.resolve(ctx, s, o, false, sink)
	return r.Manifest, r.Notices, err
}

// Build gives a verified generation with exactly the manifest m: one that is there,
// or a new one. Of s, only the names of the packages, their lines and the image count.
func (b *Builder) Build(ctx context.Context, s Spec, m Manifest, sink progress.Sink) (Made, error) {
	if err := b.check(s); err != nil {
		return Made{}, err
	}
	done, err := b.begun(ctx)
	if err != nil {
		return Made{}, err
	}
	defer done()
	made, err := b.build(ctx, s, m, sink)
	if err == nil && b.upgraded[b.digest(s)] == m.ID() {
		delete(b.upgraded, b.digest(s))
		err = b.remember(s, resolution{Manifest: m, Notices: made.Notices})
	}
	return made, err
}

func (b *Builder) build(ctx context.Context, s Spec, m Manifest, sink progress.Sink) (Made, error) {
	if g, ok := b.existing(s.Env, m.ID()); ok {
		return Made{Generation: g}, nil
	}
	w, err := b.prepare(s, ResolveOptions{})
	if err != nil {
		return Made{}, err
	}
	defer w.drop(b.c.Log)
	return b.install(ctx, s, m, w, sink)
}

// install makes a new generation of m.
func (b *Builder) install(ctx context.Context, s Spec, m Manifest, w work, sink progress.Sink) (Made, error) {
	if err := errors.Join(w.put("lock.txt", m.body()), w.putConda("conda.json", m)); err != nil {
		return Made{}, err
	}
	g, err := b.begin(s, m)
	if err != nil {
		return Made{}, err
	}
	g.Manifest = m
	out, err := b.attempt(ctx, s, w, "build", &g, sink)
	if err != nil {
		b.abandon(g)
		return Made{}, err
	}
	out.on(&g, w.prev)
	t := s.trial(g, w.prev, out.built)
	t.files = w.check
	notices, err := b.finish(ctx, s, &g, t, sink)
	return Made{Generation: g, New: err == nil, Notices: notices}, err
}

// existing finds a complete generation of a manifest: the current one, else the newest.
func (b *Builder) existing(env Name, id string) (Generation, bool) {
	if g, err := b.c.Store.Current(env); err == nil && g.ID == id {
		return g, true
	}
	gs, err := b.c.Store.Generations(env)
	if err != nil {
		return Generation{}, false
	}
	for _, g := range slices.Backward(gs) {
		if g.ID == id {
			return g, true
		}
	}
	return Generation{}, false
}

func (b *Builder) currentID(env Name) string {
	g, _ := b.c.Store.Current(env)
	return g.ID
}

// begin takes a number for a new generation of m, which is empty when it is not known yet.
func (b *Builder) begin(s Spec, m Manifest) (Generation, error) {
	if err := b.room(s, m); err != nil {
		return Generation{}, err
	}
	n, err := b.c.Store.begin(s.Env)
	return Generation{
		Env: s.Env, Number: n, Image: s.Image, Asked: s.asked(), Display: s.Display, Spec: b.digest(s), State: Building,
	}, err
}

// finish flushes what was built while it is tried, and then completes it.
func (b *Builder) finish(ctx context.Context, s Spec, g *Generation, t trial, sink progress.Sink) (notices notice.List, err error) {
	defer func() {
		if err != nil {
			b.abandon(*g)
		}
	}()
	var told notice.List // of the rest; read it after flushed
	flushed, rest := make(chan error, 1), t.rest
	go func() {
		err := b.c.Store.syncTree()
		if rest != nil {
			var restErr error
			told, restErr = rest()
			err = errors.Join(err, restErr)
		}
		flushed <- err
	}()
	if notices, err = b.activate(ctx, s, g, &t, sink); err == nil {
		var tried notice.List
		tried, err = b.verify(ctx, s, *g, t, sink)
		notices = append(notices, tried...)
	}
	if err = errors.Join(err, <-flushed); err != nil {
		return notices, err
	}
	notices = append(notices, told...)
	g.ID, g.Tried, g.State, g.Built = g.Manifest.ID(), t.server, Ready, time.Now().UTC().Truncate(time.Second)
	return notices, b.c.Store.complete(*g)
}

// abandon removes what was begun. What cannot be removed now, Repair removes.
func (b *Builder) abandon(g Generation) {
	if err := b.c.Store.remove(filepath.Join(b.c.Store.root, g.Path())); err != nil {
		b.c.Log.Warn("cannot remove an unfinished generation", "env", g.Env, "number", g.Number, "error", err)
	}
}
