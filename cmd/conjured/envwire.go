package main

import (
	"context"
	"strconv"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/notice"
)

// EnvVerb does what is asked of environments. Every name is known before anything is
// begun.
func (b *box) EnvVerb(ctx context.Context, v api.EnvVerb, q api.EnvRequest) (api.EnvReply, error) {
	envs, err := b.Environments(ctx)
	if err != nil {
		return api.EnvReply{}, err
	}
	var about api.Environment
	for _, name := range q.Names {
		e, ok := named(envs, name)
		if !ok {
			return api.EnvReply{}, envUnknown(name, envs)
		}
		if about.Name == "" {
			about = e
		}
	}
	switch v {
	case api.EnvShow, api.EnvActivate:
		if about.Name == "" {
			return api.EnvReply{}, envUnknown("", envs)
		}
		return b.look(v, about, q.Ref)
	}
	return api.EnvReply{}, &notice.Error{Notice: notice.Notice{
		Code: "env-verb", Severity: notice.SeverityError,
		What:  "this conjured cannot do that with environments: " + string(v),
		Means: "nothing was changed", Do: "look at conjured version",
	}}
}

// look answers the verbs that change nothing.
func (b *box) look(v api.EnvVerb, e api.Environment, ref string) (api.EnvReply, error) {
	g, err := b.generation(e, ref)
	if err != nil {
		return api.EnvReply{}, err
	}
	if v == api.EnvShow {
		return api.EnvReply{Shown: shownOf(e, g)}, nil
	}
	return api.EnvReply{Place: &api.EnvPlace{
		Env: e.Name, Display: e.Display, Generation: g.Number, Image: g.Image,
		Root: b.store.Root(), Mount: environmentMount, Path: g.Path(), Conda: hasKind(g.Manifest, environments.Conda),
	}}, nil
}

// generation is what a label, a tag or a number means; "" is current.
func (b *box) generation(e api.Environment, ref string) (environments.Generation, error) {
	if ref == "" {
		ref = string(environments.Current)
	}
	n, ok := e.Labels[ref]
	for _, x := range e.Generations {
		if !ok && (x.Tag == ref || strconv.Itoa(x.Number) == ref) {
			n, ok = x.Number, true
		}
	}
	if !ok {
		return environments.Generation{}, refUnknown(e, ref)
	}
	return b.store.Generation(environments.Name(e.Name), n)
}

func named(envs []api.Environment, name string) (api.Environment, bool) {
	for _, e := range envs {
		if e.Name == name || e.Display == name {
			return e, true
		}
	}
	return api.Environment{}, false
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
	for _, p := range m.Packages {
		if p.Kind == k {
			return true
		}
	}
	return false
}
