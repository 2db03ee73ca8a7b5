package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/gateway"
	"github.com/conjuring/conjured/notice"
)

// Environments lists what kernels run in, base first.
func (b *box) Environments(context.Context) ([]api.Environment, error) {
	listed, err := b.store.List()
	if err != nil {
		return nil, err
	}
	out := []api.Environment{}
	for _, l := range listed {
		e, err := b.environment(l)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	slices.SortStableFunc(out, func(x, y api.Environment) int { return rank(x) - rank(y) })
	return out, nil
}

func rank(e api.Environment) int {
	if e.Name == string(environments.Base) {
		return 0
	}
	return 1
}

// environment puts one environment of the store into the words of the API.
func (b *box) environment(l environments.Listed) (api.Environment, error) {
	out := api.Environment{Name: string(l.Env), Label: string(environments.Current), File: fileOf(l.Env), Labels: map[string]int{}}
	for _, g := range l.Generations {
		x := api.EnvGeneration{
			Number: g.Number, State: string(g.State), Python: g.Python, Packages: g.Packages, Created: g.Built, ID: g.ID,
		}
		for _, label := range g.Labels {
			x.Labels = append(x.Labels, string(label))
			out.Labels[string(label)] = g.Number
			if label == environments.Current {
				out.Generation, out.Python, out.Packages, out.Created = strconv.Itoa(g.Number), g.Python, g.Packages, g.Built
			}
		}
		out.Generations = append(out.Generations, x)
	}
	return out, nil
}

func fileOf(n environments.Name) string {
	if n == environments.Base {
		return "requirements.txt"
	}
	return ""
}

// envUnknown says that there is no environment of a name, and which one may be meant.
func envUnknown(name string, envs []api.Environment) error {
	var names []string
	for _, e := range envs {
		names = append(names, e.Name)
	}
	do := "look at the names with: conjured env list"
	if near := nearest(name, names); near != "" && distance(name, near) <= max(2, len(name)/2) {
		do = fmt.Sprintf("did you mean %s? The names are shown by: conjured env list", near)
	}
	return errors.Join(gateway.ErrUnknown, &notice.Error{Notice: notice.Notice{
		Code: "env-unknown", Severity: notice.SeverityError,
		What: fmt.Sprintf("there is no environment called %.40q", name), Means: "nothing was changed", Do: do,
	}})
}

// refUnknown says that an environment has no such label, tag or number.
func refUnknown(e api.Environment, ref string) error {
	return errors.Join(gateway.ErrUnknown, &notice.Error{Notice: notice.Notice{
		Code: "env-unknown-ref", Severity: notice.SeverityError,
		What:  fmt.Sprintf("%s has no generation called %.60q", e.Name, ref),
		Means: "nothing was changed",
		Do:    fmt.Sprintf("look at its labels, tags and numbers with: conjured env show %s", e.Name),
	}})
}
