package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
	"github.com/conjuring/conjured/progress"
)

// Tag names the newest recorded manifest of env; one that has a tag keeps it.
func (r *Registry) Tag(ctx context.Context, env environments.Name) (Outcome, error) {
	o := Outcome{Env: string(env), Did: Tagged}
	if err := checkName(string(env)); err != nil {
		return o.failed(err)
	}
	done, err := r.changing.take(ctx)
	if err != nil {
		return o.failed(err)
	}
	defer done()
	o.Tag, err = r.headTag(ctx, env, &o)
	if err != nil {
		return o.failed(err)
	}
	return o, nil
}

// headTag tags the newest manifest of env.
func (r *Registry) headTag(ctx context.Context, env environments.Name, o *Outcome) (string, error) {
	if r.history == nil {
		return "", noHistory(env, errNoHistory)
	}
	l, err := r.taglist(ctx, r.history, string(env))
	if err != nil {
		return "", worded(env, err)
	}
	t, err := r.history.Tag(ctx, string(env))
	if errors.Is(err, history.ErrNothing) {
		return "", noEnvironment(string(env), err)
	}
	if err != nil {
		return "", worded(env, err)
	}
	if slices.Contains(l.names, t.Name) {
		o.Did = Unchanged
	} else {
		l.names = append(l.names, t.Name)
	}
	return t.Name, nil
}

// Deploy builds what a tag names, or with an environment's name its newest recorded
// manifest. A generation that is there is enough. No label moves, but one that the history
// has for this tag, and the disk could not have, appears; and what was removed comes back
// into use, see Remove. Without network it works when
// every file is in the store; else the error is a *MissingError.
func (r *Registry) Deploy(ctx context.Context, ref string, sink progress.Sink) (Outcome, error) {
	t, err := history.ParseTag(ref)
	env := environments.Name(t.Env)
	if err != nil {
		env = environments.Name(ref)
	}
	defer r.tell()
	o := Outcome{Env: string(env), Did: Deployed}
	spec, building, err := r.begin(ctx, env)
	if err != nil {
		return o.failed(err)
	}
	defer building()
	if o, err = r.deploy(ctx, spec, t.Name, o, sink); err != nil {
		return o, err
	}
	return r.revive(ctx, env, o)
}

// begin gives the spec of env and takes the turn for building, until done is called.
func (r *Registry) begin(ctx context.Context, env environments.Name) (spec environments.Spec, done func(), err error) {
	if err := checkName(string(env)); err != nil {
		return spec, nil, err
	}
	if spec, err = r.specFor(ctx, env); err != nil {
		return spec, nil, err
	}
	done, err = r.building.take(ctx)
	return spec, done, err
}

// deploy builds one tag of spec's environment; "" is the newest manifest. Call it in the
// turn for building.
func (r *Registry) deploy(ctx context.Context, spec environments.Spec, tag string, o Outcome, sink progress.Sink) (Outcome, error) {
	files, g, err := r.recorded(ctx, spec.Env, tag, &o)
	if err != nil {
		return o.failed(err)
	}
	if g.Number != 0 {
		o.Did, o.Generation = Unchanged, g.Number
		err := r.bear(ctx, o.Tag, g, &o)
		return o.also(err)
	}
	m, err := r.manifestOf(ctx, spec, files, sink)
	if err != nil {
		return o.failed(err)
	}
	made, err := r.c.Builder.Build(ctx, narrowed(spec, m), m, sink)
	if err != nil {
		return o.failed(r.missing(ctx, o.Env, o.Tag, m, err))
	}
	o.Did, o.Generation, o.Notices = Deployed, made.Generation.Number, append(o.Notices, made.Notices...)
	if asked, ok := find(files, envSpec); ok {
		if err := r.c.Store.KeepSpec(made.Generation, map[string][]byte{envSpec: asked}); err != nil {
			return o.failed(err)
		}
	}
	err = r.bear(ctx, o.Tag, made.Generation, &o)
	return o.also(err)
}

// recorded gives the files of a tag, and its newest complete generation if it has one.
func (r *Registry) recorded(ctx context.Context, env environments.Name, tag string, o *Outcome) ([]history.File, environments.Generation, error) {
	none := environments.Generation{}
	done, err := r.changing.take(ctx)
	if err != nil {
		return nil, none, err
	}
	defer done()
	if r.history == nil {
		return nil, none, noHistory(env, errNoHistory)
	}
	if tag == "" {
		if tag, err = r.headTag(ctx, env, o); err != nil {
			return nil, none, err
		}
	}
	o.Tag = tag
	files, err := r.history.Manifest(ctx, string(env), tag)
	if err != nil {
		return nil, none, noSuch(env, tag, fmt.Errorf("%w: %w", environments.ErrNoGeneration, err))
	}
	g, _, err := r.copyOf(ctx, r.history, env, tag)
	return files, g, err
}

// manifestOf reads the manifest of a tag. A list of the old tool, which has no hashes, is
// resolved package by package to exactly what it says.
func (r *Registry) manifestOf(ctx context.Context, spec environments.Spec, files []history.File, sink progress.Sink) (environments.Manifest, error) {
	if b, ok := find(files, manifestTxt); ok {
		return environments.ParseManifest(b)
	}
	list, ok := find(files, envManifest)
	if !ok {
		return environments.Manifest{}, fmt.Errorf("cannot deploy %s: its manifest is not there", spec.Env)
	}
	exact, err := exactly(spec, list)
	if err != nil {
		return environments.Manifest{}, err
	}
	m, _, err := r.c.Builder.Resolve(ctx, exact, Options{}, sink)
	return m, err
}

// narrowed is s without the lines that ask for what m does not have: what was recorded
// may be older than what is asked for now, and is tried with what it is about.
func narrowed(s environments.Spec, m environments.Manifest) environments.Spec {
	has := func(name string) bool { _, ok := m.Find(name); return ok }
	s.Requirements = slices.DeleteFunc(slices.Clone(s.Requirements), func(q environments.Requirement) bool { return !q.Constraint && !has(q.Name) })
	s.Conda = slices.DeleteFunc(slices.Clone(s.Conda), func(q environments.CondaRequirement) bool { return !has(q.Name()) })
	return s
}

// missing adds to a failed build which files it lacks, if any.
func (r *Registry) missing(ctx context.Context, env, tag string, m environments.Manifest, err error) error {
	if ctx.Err() != nil || err == nil {
		return err
	}
	pkgs, missErr := r.c.Builder.Missing(ctx, m)
	if missErr != nil || len(pkgs) == 0 {
		return err
	}
	e := &MissingError{Env: env, Tag: tag, Err: err}
	for _, p := range pkgs {
		e.Files = append(e.Files, p.String())
	}
	return e
}

// specFor gives the spec of an environment that is wanted, or that the history knows.
func (r *Registry) specFor(ctx context.Context, env environments.Name) (environments.Spec, error) {
	ws, err := r.c.Wanted(ctx)
	if err != nil {
		return environments.Spec{}, err
	}
	if i := slices.IndexFunc(ws, func(w Wanted) bool { return w.Env == env }); i >= 0 {
		return ws[i].Spec, nil
	}
	done, err := r.changing.take(ctx)
	if err != nil {
		return environments.Spec{}, err
	}
	defer done()
	return r.readSpec(ctx, env)
}

// readSpec gives the spec that the history has of env.
func (r *Registry) readSpec(ctx context.Context, env environments.Name) (environments.Spec, error) {
	if r.history == nil || r.c.Read == nil {
		return environments.Spec{}, notWanted(string(env))
	}
	files, err := r.history.Spec(ctx, string(env))
	if errors.Is(err, history.ErrNothing) {
		return environments.Spec{}, notWanted(string(env))
	}
	if err != nil {
		return environments.Spec{}, worded(env, err)
	}
	s, err := r.c.Read(ctx, env, files)
	s.Env = env
	if name := r.c.Store.Foreign(env); name != "" {
		s.Display = name
	}
	return s, err
}
