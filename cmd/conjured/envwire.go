package main

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
	"github.com/conjuring/conjured/environments/registry"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// EnvVerb does what is asked of environments. Names are taken as they stand in the
// list or as the teacher wrote them, and each is known before anything is begun.
func (b *box) EnvVerb(ctx context.Context, v api.EnvVerb, q api.EnvRequest) (api.EnvReply, error) {
	envs, err := b.Environments(ctx)
	if err != nil {
		return api.EnvReply{}, err
	}
	about, err := b.asked(ctx, v, q, envs)
	if err != nil {
		return api.EnvReply{}, err
	}
	switch {
	case len(about) == 0 && needsName(v):
		return api.EnvReply{}, noName(v)
	case v == api.EnvShow, v == api.EnvActivate:
		return b.look(ctx, v, about[0], q.Ref)
	case b.registry == nil:
		return api.EnvReply{}, noVerbHere(v)
	case v == api.EnvDiff && isSystem(about[0].Name):
		return b.diffSystem(ctx, about[0], q)
	case v == api.EnvDiff:
		return b.diff(ctx, about[0], q)
	case v == api.EnvLog:
		return b.envLog(ctx, q, envs)
	case v == api.EnvGC:
		return b.clear(ctx, q.DryRun)
	}
	if err := b.knowsPackages(q, envs); err != nil {
		return api.EnvReply{}, err
	}
	out, err := b.verbs(v, q, envs).run(ctx, b.news)
	b.sight.look()
	if v == api.EnvResolve || v == api.EnvUpdate || v == api.EnvReset {
		for _, o := range out {
			b.trouble.note(o)
		}
	}
	return api.EnvReply{Outcomes: outcomesOf(out)}, err
}

// asked finds the environments that are named, and puts their own names into q.
func (b *box) asked(ctx context.Context, v api.EnvVerb, q api.EnvRequest, envs []api.Environment) ([]api.Environment, error) {
	var out []api.Environment
	for i, name := range q.Names {
		e, ok := named(envs, name)
		if !ok && v == api.EnvDeploy && b.registry != nil { // what went from the disk can be built again
			ok, e = b.registry.Recorded(ctx, environments.Name(name)), api.Environment{Name: name}
		}
		if !ok {
			return nil, envUnknown(name, envs)
		}
		if isSystem(e.Name) && !hasSystem(v) {
			return nil, notOfSystem(v)
		}
		q.Names[i] = e.Name
		out = append(out, e)
	}
	return out, nil
}

func needsName(v api.EnvVerb) bool {
	switch v {
	case api.EnvShow, api.EnvActivate, api.EnvDiff, api.EnvDeploy, api.EnvLabel, api.EnvRollback, api.EnvPin, api.EnvUnpin, api.EnvRemove:
		return true
	}
	return false
}

func noName(v api.EnvVerb) error {
	return &notice.Error{Notice: notice.Notice{
		Code: "env-no-name", Severity: notice.SeverityError, What: "no environment was named for " + string(v),
		Means: "nothing was changed", Do: "name one; the names are shown by: conjured env list",
	}}
}

func noVerbHere(v api.EnvVerb) error {
	return &notice.Error{Notice: notice.Notice{
		Code: "env-verb", Severity: notice.SeverityError,
		What:  "this conjured cannot do that with environments: " + string(v),
		Means: "nothing was changed", Do: "look at conjured version",
	}}
}

// envWork is a verb that has been understood: one step for each environment, or one
// for all.
type envWork struct {
	verb  api.EnvVerb
	all   func(ctx context.Context, sink progress.Sink) ([]registry.Outcome, error)
	one   func(ctx context.Context, env environments.Name, sink progress.Sink) (registry.Outcome, error)
	names []string
}

// verbs finds what a verb does. The zero envWork is a verb that nobody knows.
func (b *box) verbs(v api.EnvVerb, q api.EnvRequest, envs []api.Environment) envWork {
	r, w := b.registry, envWork{verb: v, names: q.Names}
	if len(w.names) == 0 {
		w.names = namesFor(v, envs)
	}
	type (
		name = environments.Name
		out  = registry.Outcome
		sink = progress.Sink
	)
	options := registry.Options{Upgrade: q.Upgrade, Packages: q.Packages, Offline: q.Offline}
	switch v {
	case api.EnvResolve:
		w.all = func(ctx context.Context, s sink) ([]out, error) { return r.Resolve(ctx, q.Names, options, s) }
	case api.EnvUpdate:
		w.all = func(ctx context.Context, s sink) ([]out, error) { return r.Update(ctx, q.Names, options, s) }
	case api.EnvRepair:
		w.all = func(ctx context.Context, _ sink) ([]out, error) { return r.Repair(ctx) }
	case api.EnvImport, api.EnvExport:
		w.all = func(ctx context.Context, s sink) ([]out, error) { return b.transfer(ctx, v, q.Path, s) }
	case api.EnvTag:
		w.one = func(ctx context.Context, n name, _ sink) (out, error) { return r.Tag(ctx, n) }
	case api.EnvPromote:
		w.one = func(ctx context.Context, n name, _ sink) (out, error) { return r.Promote(ctx, n) }
	case api.EnvRollback:
		w.one = func(ctx context.Context, n name, _ sink) (out, error) { return r.Rollback(ctx, n, q.To) }
	case api.EnvLabel:
		w.one = func(ctx context.Context, n name, _ sink) (out, error) { return r.Label(ctx, n, q.Label, q.Ref) }
	case api.EnvPin:
		w.one = func(ctx context.Context, n name, _ sink) (out, error) { return r.Pin(ctx, n, q.Ref) }
	case api.EnvUnpin:
		w.one = func(ctx context.Context, n name, _ sink) (out, error) { return r.Unpin(ctx, n, q.Ref) }
	case api.EnvRemove:
		w.one = func(ctx context.Context, n name, _ sink) (out, error) { return b.remove(ctx, n, q.DryRun) }
	case api.EnvReset:
		w.one = func(ctx context.Context, n name, s sink) (out, error) { return r.Reset(ctx, n, s) }
	case api.EnvVerify:
		w.one = func(ctx context.Context, n name, s sink) (out, error) { return r.Verify(ctx, n, q.Ref, s) }
	case api.EnvDeploy:
		w.one = func(ctx context.Context, n name, s sink) (out, error) {
			e, ok := named(envs, string(n))
			if !ok { // it is in the history only
				e.Name = string(n)
			}
			tag, err := tagToDeploy(e, q.Ref)
			if err != nil {
				return out{}, err
			}
			return r.Deploy(ctx, tag, s)
		}
	}
	return w
}

// namesFor are all environments that a verb can be about: those with packages.
func namesFor(v api.EnvVerb, envs []api.Environment) []string {
	var out []string
	for _, e := range envs {
		if !isSystem(e.Name) && (e.Generation != "" || v == api.EnvPromote && e.Waiting != nil) {
			out = append(out, e.Name)
		}
	}
	return out
}

// run does the work and shows it to whoever follows the daemon's news. One environment
// that fails does not keep the others from it; only the end of ctx does.
func (w envWork) run(ctx context.Context, news *progress.Hub) ([]registry.Outcome, error) {
	if w.all == nil && w.one == nil {
		return nil, noVerbHere(w.verb)
	}
	job := envJob(w.verb)
	sink := progress.Func(func(e progress.Event) { e.Job, e.State = job, progress.Running; news.Progress(e) })
	out, err := w.each(ctx, sink)
	end := progress.Event{Job: job, State: progress.Done}
	failed := slices.IndexFunc(out, func(o registry.Outcome) bool { return o.Did == registry.Failed })
	switch {
	case ctx.Err() != nil:
		end.State = progress.Stopped
	case err != nil, failed >= 0:
		end.State, end.Step = progress.Failed, "not all of it could be done"
	}
	if news.Recent(job) != nil { // nobody needs to hear the end of what was over at once
		news.Progress(end)
	}
	if ctx.Err() != nil {
		return out, ctx.Err()
	}
	return out, err
}

func (w envWork) each(ctx context.Context, sink progress.Sink) ([]registry.Outcome, error) {
	if w.all != nil {
		return w.all(ctx, sink)
	}
	var out []registry.Outcome
	for _, n := range w.names {
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		o, err := w.one(ctx, environments.Name(n), sink)
		if err != nil && o.Did != registry.Failed {
			o.Did, o.Notices = registry.Failed, append(o.Notices, notice.For(err)...)
		}
		o.Env = cmp.Or(o.Env, n)
		out = append(out, o)
	}
	return out, nil
}

// tagToDeploy is the tag that ref means for e; "" is the newest, for which the name stands.
// A label or a number is good for its generation's tag.
func tagToDeploy(e api.Environment, ref string) (string, error) {
	if ref == "" {
		return e.Name, nil
	}
	n := e.Labels[ref]
	for _, g := range e.Generations {
		if (g.Number == n || strconv.Itoa(g.Number) == ref) && g.Tag != "" {
			return g.Tag, nil
		}
	}
	tag := longTag(environments.Name(e.Name), ref)
	if t, err := history.ParseTag(tag); err != nil || t.Env != e.Name {
		return "", refUnknown(e, ref)
	}
	return tag, nil
}

// longTag is a tag in its long form; what is a date alone is one of env's.
func longTag(env environments.Name, ref string) string {
	if ref == "" || len(ref) > 4 && ref[:4] == "env-" {
		return ref
	}
	return "env-" + string(env) + "-" + ref
}

// transfer takes a history of conda-gitenv over, or writes one.
func (b *box) transfer(ctx context.Context, v api.EnvVerb, path string, sink progress.Sink) ([]registry.Outcome, error) {
	switch {
	case !filepath.IsAbs(path):
		return nil, errors.New("cannot use a path that is not absolute")
	case v == api.EnvImport:
		return b.registry.Import(ctx, path, sink)
	}
	if err := b.registry.Export(ctx, path); err != nil {
		return nil, err
	}
	return []registry.Outcome{{Env: path, Did: registry.Exported}}, nil
}

// look answers the verbs that change nothing and need no history.
func (b *box) look(ctx context.Context, v api.EnvVerb, e api.Environment, ref string) (api.EnvReply, error) {
	if v == api.EnvShow && ref == "" && e.Generation == "" { // nothing is in use yet
		return api.EnvReply{Shown: &api.EnvShown{Environment: e, Packages: []api.EnvPackage{}}}, nil
	}
	g, err := b.generation(e, ref)
	if err != nil {
		return api.EnvReply{}, err
	}
	set, err := b.store.Variables(g)
	if v == api.EnvShow {
		shown := b.withChecksums(ctx, shownOf(e, g), g)
		shown.Variables = set.Set // none where they are damaged: verify says so
		return api.EnvReply{Shown: shown}, nil
	}
	if err != nil {
		return api.EnvReply{}, err
	}
	return api.EnvReply{Place: &api.EnvPlace{
		Variables: set.Set, Unset: set.Unset, Dirs: set.Path,
		Env: e.Name, Display: e.Display, Generation: g.Number, Image: b.imageFor(ctx, g),
		Root: b.store.Root(), Mount: environmentMount, Path: g.Path(), Conda: hasKind(g.Manifest, environments.Conda),
	}}, nil
}

// imageFor is the image that a generation was built in, or, where that has been removed
// since, the one that the class runs in.
func (b *box) imageFor(ctx context.Context, g environments.Generation) string {
	if b.engine == nil {
		return g.Image
	}
	if there, err := b.imagesThere(ctx, g.Image); there || err != nil {
		return g.Image
	}
	if s := b.serving.Load(); s != nil {
		if r, err := b.records.image(s.Image); err == nil {
			return r.System
		}
	}
	return g.Image
}

// generation is what a label, a tag or a number means; "" is current.
func (b *box) generation(e api.Environment, ref string) (environments.Generation, error) {
	ref = cmp.Or(ref, string(environments.Current))
	n, ok := e.Labels[ref]
	for _, x := range e.Generations {
		if !ok && (x.Tag == longTag(environments.Name(e.Name), ref) || strconv.Itoa(x.Number) == ref) {
			n, ok = x.Number, true
		}
	}
	if !ok {
		return environments.Generation{}, refUnknown(e, ref)
	}
	if isSystem(e.Name) {
		return b.ofSystem(n)
	}
	return b.store.Generation(environments.Name(e.Name), n)
}
