package main

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/registry"
)

// This file puts what the registry says into the words of the API.

func outcomesOf(l []registry.Outcome) []api.EnvOutcome {
	out := []api.EnvOutcome{}
	for _, o := range l {
		x := api.EnvOutcome{
			Env: o.Env, Did: api.EnvDid(o.Did), Generation: o.Generation, Tag: o.Tag, Labels: o.Labels,
			Sentence: o.Sentence, Notices: o.Notices,
		}
		var missing *registry.MissingError
		if errors.As(o.Err, &missing) {
			x.Missing = missing.Files
		}
		if o.Changes != nil {
			c := changesOf(*o.Changes)
			x.Changes = &c
		}
		out = append(out, x)
	}
	return out
}

func changesOf(c environments.Changes) api.EnvChanges {
	out := api.EnvChanges{
		Class: string(c.Class()), Added: changeList(c.Added), Removed: changeList(c.Removed),
		Upgraded: changeList(c.Upgraded), Downgraded: changeList(c.Downgraded), Rebuilt: changeList(c.Rebuilt),
	}
	for _, v := range c.Variables {
		out.Variables = append(out.Variables, api.EnvChange{Name: v.Name, From: v.From, To: v.To, Engine: "variable"})
	}
	// The interpreter stands in no list of pip's; a person looks for it first.
	if c.Python != nil {
		p := api.EnvChange{Name: "python", From: c.Python.From, To: c.Python.To, Engine: "system"}
		if !slices.ContainsFunc(slices.Concat(out.Upgraded, out.Downgraded), func(x api.EnvChange) bool { return x.Name == p.Name }) {
			out.Upgraded = append([]api.EnvChange{p}, out.Upgraded...)
		}
	}
	return out
}

func changeList(l []environments.Change) []api.EnvChange {
	var out []api.EnvChange
	for _, c := range l {
		out = append(out, api.EnvChange{Name: c.Name, From: c.From, To: c.To, Engine: engineOf(c.Kind), Bytes: c.Size})
	}
	return out
}

// diff compares two generations; what a teacher asks without further words is what
// waits, or, when nothing does, what changed last.
func (b *box) diff(ctx context.Context, e api.Environment, q api.EnvRequest) (api.EnvReply, error) {
	env := environments.Name(e.Name)
	_, next := e.Labels[string(environments.Next)]
	_, previous := e.Labels[string(environments.Previous)]
	switch {
	case q.From != "" || q.To != "" || next:
	case previous:
		q.From, q.To = string(environments.Previous), string(environments.Current)
	case len(e.Generations) == 1 && e.Generation != "":
		return api.EnvReply{Compared: nothingToCompare(e)}, nil
	}
	if q.From != "" && q.To == "" {
		q.To = string(environments.Current)
	}
	c, err := b.registry.Diff(ctx, env, q.From, q.To)
	if err != nil {
		return api.EnvReply{}, err
	}
	return api.EnvReply{Compared: &api.EnvCompared{
		Env: e.Name, From: api.EnvRef(c.From), To: api.EnvRef(c.To), Changes: changesOf(c.Changes), Sentence: c.Sentence,
		Touched: api.EnvTouched{Courses: c.Touched.Courses, Servers: c.Touched.Servers, Kernels: c.Touched.Kernels},
	}}, nil
}

// maxLog bounds the lines of a log, usualLog is what fits a screen.
const (
	maxLog   = 1000
	usualLog = 20
)

// envLog is what happened to one environment, or to all, the newest first.
func (b *box) envLog(ctx context.Context, q api.EnvRequest, envs []api.Environment) (api.EnvReply, error) {
	names, n := q.Names, min(cmp.Or(max(q.Lines, 0), usualLog), maxLog)
	if len(names) == 0 {
		names = namesFor(api.EnvLog, envs)
	}
	out := []api.EnvLogEntry{}
	for _, name := range names {
		l, err := b.registry.Log(ctx, environments.Name(name), n)
		if err != nil {
			return api.EnvReply{}, err
		}
		for _, e := range l {
			x := api.EnvLogEntry{Time: e.When, Env: name, Commit: e.Commit, What: cmp.Or(e.Why, string(e.Did))}
			if len(e.Tags) > 0 {
				x.Tag = e.Tags[len(e.Tags)-1]
			}
			out = append(out, x)
		}
	}
	if len(names) > 1 { // within one environment the order of the history counts, not the clock's
		slices.SortStableFunc(out, func(x, y api.EnvLogEntry) int { return y.Time.Compare(x.Time) })
	}
	return api.EnvReply{Log: out[:min(n, len(out))]}, nil
}

func shownOf(e api.Environment, g environments.Generation) *api.EnvShown {
	s := &api.EnvShown{Environment: e, Packages: []api.EnvPackage{}}
	for _, x := range e.Generations {
		if x.Number == g.Number {
			s.Generation = x
		}
	}
	for _, p := range g.Manifest.Packages {
		s.Packages = append(s.Packages, api.EnvPackage{
			Name: p.Name, Version: p.Version, Build: p.Build, Engine: engineOf(p.Kind), Bytes: p.Size,
		})
	}
	return s
}

func engineOf(k environments.Kind) string {
	if k == environments.Pip {
		return "pip"
	}
	return string(k)
}

func hasKind(m environments.Manifest, k environments.Kind) bool {
	return slices.ContainsFunc(m.Packages, func(p environments.Package) bool { return p.Kind == k })
}
