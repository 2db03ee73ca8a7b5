package environments

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// outcome is what one run of build.py gave.
type outcome struct {
	manifest  Manifest
	supposed  bool // the manifest counts only when rest says so
	unchanged bool // the manifest is the current one; nothing was installed
	built     built
	notices   notice.List // what a teacher should know although it worked

	rest rest                // what is left to look at; nil: nothing
	late func() (int, error) // waits for the end of build.py
	read *reader             // what it printed after it had said that it was done
}

// on notes in g what was found when it was built beside prev.
func (o outcome) on(g *Generation, prev Generation) {
	g.Parent, g.Alone = prev.Number, o.built.Alone
	if len(o.built.Kernel) > 0 {
		g.Kernel = o.built.Kernel
	}
	if g.Alone {
		g.New = o.built.New
	}
}

// attempt runs build.py, and once more without network when the network is the problem:
// what was downloaded before is enough for many changes.
func (b *Builder) attempt(ctx context.Context, s Spec, w work, mode string, g *Generation, sink progress.Sink) (outcome, error) {
	offline := b.c.Offline || w.offline
	out, err := b.guessing(ctx, s, w, mode, g, offline, sink)
	var f *buildFailure
	if err == nil || !errors.As(err, &f) || f.kind != kindNetwork || offline {
		return out, err
	}
	retry, again := b.once(ctx, s, w, mode, g, true, nil, sink)
	if again != nil {
		if errors.As(again, &f) && f.kind == kindClash {
			return retry, again // found with what is stored already: the network does not matter
		}
		return out, err
	}
	retry.notices = append(retry.notices, offlineNotice())
	return retry, nil
}

func offlineNotice() notice.Notice {
	return notice.Notice{
		Code: "environment-offline", Severity: notice.SeverityInfo,
		What:  "the package index cannot be reached; everything needed was stored on this box",
		Means: "the class gets the packages that were asked for",
		Do:    "nothing",
	}
}

// guessing runs build.py beside a guess of what will stay. Whether what came of it is what
// it should be is left to look at while it is tried.
func (b *Builder) guessing(ctx context.Context, s Spec, w work, mode string, g *Generation, offline bool, sink progress.Sink) (outcome, error) {
	var x *guess
	if mode == "both" && !w.sure {
		x = b.guess(ctx, s, w, *g)
	}
	out, err := b.once(ctx, s, w, mode, g, offline, x, sink)
	x.end()
	if x == nil {
		return out, err
	}
	b.waiting.drop()
	b.waiting = x.trial
	if err != nil || out.built.Added == nil {
		return out, err
	}
	text, err := readSmall(filepath.Join(w.host, inventoryFile))
	from, to := w.prev, *g
	out.supposed, out.rest = true, func() (notice.List, error) {
		tree, err := linked(ctx, b.c.Store.path(from), b.c.Store.path(to), x.own, out.built.Added)
		if err = errors.Join(err, b.c.Store.keepInventory(to, tree, text)); err != nil {
			return nil, err
		}
		return b.certain(s, out)
	}
	return out, err
}

// certain waits until the index has said whether what was chosen from what is stored is
// what it would have said. An index that cannot be reached makes it so: see attempt.
func (b *Builder) certain(s Spec, out outcome) (notice.List, error) {
	exit, err := out.late()
	var f *buildFailure
	switch {
	case err != nil:
		return nil, fmt.Errorf("cannot tell whether the versions are the right ones: %w", err)
	case exit == 0:
		return nil, nil
	case exit == 22 && errors.As(explain(s, 10, out.read.after.String(), b.c.Index), &f) && f.kind == kindNetwork:
		return notice.List{offlineNotice()}, nil
	}
	return nil, fmt.Errorf("the index says something else: %w", errUnlike)
}

func (b *Builder) once(ctx context.Context, s Spec, w work, mode string, g *Generation, offline bool, x *guess, sink progress.Sink) (outcome, error) {
	j := job{
		Mode: mode, Python: b.c.Python, UV: b.c.UV, Lab: b.c.Lab, Narrow: w.narrow, Options: s.options(b.options(offline)),
		Asked: s.Python, Implicit: s.implicit(), Check: w.check, Conda: b.condaJob(s, offline), Ahead: x != nil,
		Token: rand.Text(),
	}
	if w.prev.Number != 0 {
		j.Prev, j.PrevPython = filepath.Join(b.c.Store.mount, w.prev.Path()), w.prev.Manifest.Python
	}
	if w.base.Number != 0 {
		j.Base = filepath.Join(b.c.Store.mount, w.base.Path())
	}
	if g.Number != 0 {
		j.Gen = filepath.Join(b.c.Store.mount, g.Path())
		j.Hot = filepath.Join(b.c.Store.mount, hotPath(g.Env, g.Number))
	}
	if err := w.putJob(j); err != nil {
		return outcome{}, err
	}
	read := newReader(sink, j.Token)
	c := Command{
		Image:   s.Image,
		Args:    []string{b.c.Python, "-I", "-S", filepath.Join(b.c.Store.mount, w.rel, "build.py")},
		Env:     b.environment(),
		Mounts:  b.mounts(),
		User:    b.c.Builder,
		Network: !offline,
		Output:  read,
	}
	if x != nil {
		c.Input = x.input
	}
	exit, late, err := b.untilSaid(ctx, c, read)
	switch {
	case ctx.Err() != nil:
		return outcome{}, ctx.Err()
	case err != nil:
		return outcome{}, fmt.Errorf("cannot run uv in the class image: %w", err)
	case exit == 20:
		return outcome{manifest: w.prev.Manifest, unchanged: true}, nil
	case exit == 14:
		return outcome{}, noSuchPython(s, read.python)
	case exit == 15:
		return outcome{}, w.condaFailure(s)
	case exit != 0:
		if err := explainReplaced(s, read.text(), w.provided()); err != nil {
			return outcome{}, err
		}
		return outcome{}, explain(s, exit, read.text(), b.c.Index)
	}
	lock, err := readSmall(filepath.Join(w.host, "lock.txt"))
	if err != nil {
		return outcome{}, fmt.Errorf("cannot read what uv wrote: %w", err)
	}
	if g.Number != 0 {
		if err := b.compile(ctx, s, w, *g, sink); err != nil {
			return outcome{}, err
		}
	}
	python := strings.TrimPrefix(read.python, noPython)
	out := outcome{manifest: Manifest{Python: python, Platform: read.platform}, built: w.built(), late: late, read: read}
	if mode == "build" && g.Manifest.Python != python {
		return out, pythonChanged(g.Manifest.Python, python)
	}
	if g.Number != 0 && out.built.Added == nil {
		out.rest = b.takeStock(ctx, *g, w)
	}
	b.c.Log.Debug("built", "env", g.Env, "number", g.Number, "ahead", out.built.Added != nil, "alone", out.built.Alone, "reason", out.built.Reason)
	conda, err := w.conda()
	if err != nil {
		return out, err
	}
	pip, err := parseLock(lock)
	out.manifest.Packages = append(conda, pip...)
	return out, err
}

// untilSaid runs build.py until it has said that it has done everything. The container is
// gone later: see Builder.trailing.
func (b *Builder) untilSaid(ctx context.Context, c Command, read *reader) (_ int, late func() (int, error), _ error) {
	var exit int
	var err error
	ended := make(chan struct{})
	b.trailing.Go(func() {
		defer close(ended)
		exit, err = b.c.Runner.Run(ctx, c)
	})
	late = func() (int, error) {
		<-ended
		return exit, err
	}
	select {
	case <-read.said:
		return 0, late, nil
	case <-ended:
	}
	select {
	case <-read.said: // both at once
		return 0, late, nil
	default:
		read.flush()
		return exit, late, err
	}
}

func (b *Builder) options(offline bool) []string {
	o := []string{}
	if b.c.Index != "" {
		o = append(o, "--default-index", b.c.Index)
	}
	if offline {
		o = append(o, "--offline")
	}
	return o
}

// options is those of uv for a spec.
func (s Spec) options(o []string) []string {
	if s.Pre {
		o = append(o, "--prerelease", "allow")
	}
	return o
}

func (b *Builder) environment() []string {
	env := append([]string{
		"HOME=/tmp", "LC_ALL=C.UTF-8", "NO_COLOR=1",
		"UV_CACHE_DIR=" + filepath.Join(b.c.Store.mount, "store/uv"),
		"UV_NO_CONFIG=1", "UV_PYTHON_DOWNLOADS=never", "UV_HTTP_RETRIES=2", "UV_HTTP_TIMEOUT=30",
	}, b.c.Env...)
	if b.c.CABundle != "" {
		env = append(env, "SSL_CERT_FILE="+caPath)
	}
	return env
}

// caPath is where building containers see the host's certificates.
const caPath = "/etc/ssl/certs/ca-certificates.crt"

func (b *Builder) mounts() []Mount {
	m := []Mount{{Host: b.c.Store.root, Container: b.c.Store.mount}}
	if b.c.CABundle != "" {
		m = append(m, Mount{Host: b.c.CABundle, Container: caPath, ReadOnly: true})
	}
	return m
}

func pythonChanged(want, have string) error {
	return &notice.Error{Notice: notice.Notice{
		Code: "environment-python", Severity: notice.SeverityError,
		What:  fmt.Sprintf("the packages were chosen for Python %s, and the class image has Python %s", want, have),
		Means: "the class keeps the packages it has",
		Do:    "apply the folder again, so that packages are chosen anew",
	}}
}

// noSuchPython explains that nothing on the box brings the Python that was asked for.
func noSuchPython(s Spec, have string) error {
	return &notice.Error{Notice: notice.Notice{
		Code: "environment-no-such-python", Severity: notice.SeverityError, File: "runtime.txt",
		What:  fmt.Sprintf("%s asks for Python %s, and the class image has Python %s", cmp.Or(s.Display, string(s.Env)), s.Python, have),
		Means: unchanged,
		Do:    fmt.Sprintf("ask for Python %s, or take the line out", have),
	}}
}

// clash tells that the teacher's lines and the locked Lab set cannot both be had.
func clash(err error) bool {
	var f *buildFailure
	return errors.As(err, &f) && f.kind == kindClash && f.core && !strings.Contains(f.output, "jupyterhub==")
}
