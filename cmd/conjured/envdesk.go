package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/gateway/desk"
	"github.com/conjuring/conjured/notice"
)

// deskPackages is the environments as the teacher's page asks for them.
type deskPackages struct{ b *box }

func (d deskPackages) Environments(ctx context.Context) ([]desk.Environment, error) {
	envs, err := d.b.Environments(ctx)
	if err != nil {
		return nil, err
	}
	var out []desk.Environment
	for _, e := range envs {
		out = append(out, deskOf(e))
	}
	return out, nil
}

func deskOf(e api.Environment) desk.Environment {
	out := desk.Environment{
		Name: e.Name, Display: e.Display, For: audience(e), Python: e.Python, Packages: e.Packages, Since: e.Created,
		Before: e.Labels[string(environments.Previous)] > 0,
	}
	if e.Waiting != nil {
		out.Waiting = e.Waiting.Sentence
	}
	if e.Failed != nil {
		out.Trouble = e.Failed.What
		if w := e.Failed.Where(); w != "" {
			out.Trouble = fmt.Sprintf("%s: %s", w, out.Trouble)
		}
	}
	return out
}

func (d deskPackages) Promote(ctx context.Context, name string) (string, error) {
	return d.do(ctx, api.EnvPromote, name)
}

func (d deskPackages) Rollback(ctx context.Context, name string) (string, error) {
	return d.do(ctx, api.EnvRollback, name)
}

// do carries a verb out and gives its sentence.
func (d deskPackages) do(ctx context.Context, v api.EnvVerb, name string) (string, error) {
	if name == "" {
		return "", noName(v)
	}
	r, err := d.b.EnvVerb(ctx, v, api.EnvRequest{Names: []string{name}})
	if err != nil {
		return "", err
	}
	if len(r.Outcomes) == 0 {
		return "", nil
	}
	switch o := r.Outcomes[0]; o.Did {
	case api.EnvFailed:
		if err := notice.List(o.Notices).Err(); err != nil {
			return "", err
		}
		return "", errors.New("cannot " + string(v) + " " + name)
	case api.EnvUnchanged:
		return "it was so already", nil
	default:
		return o.Sentence, nil
	}
}
