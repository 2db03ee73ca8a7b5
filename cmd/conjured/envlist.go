package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/custom"
	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/registry"
	"github.com/conjuring/conjured/gateway"
	"github.com/conjuring/conjured/notice"
)

// Environments lists what kernels run in, base first: what is built, and what the
// newest folder asks for besides.
func (b *box) Environments(ctx context.Context) ([]api.Environment, error) {
	listed, err := b.listed(ctx)
	if err != nil {
		return nil, err
	}
	wanted, err := b.wantedSpecs(ctx)
	if err != nil {
		b.log.Debug("the folder's environments are not known", "error", err)
	}
	out := []api.Environment{}
	for _, l := range listed {
		e := environmentOf(l)
		e.Display = b.store.Foreign(l.Env)
		out = append(out, e)
	}
	for _, w := range wanted {
		i := slices.IndexFunc(out, func(e api.Environment) bool { return e.Name == w.Name })
		if i < 0 {
			i = len(out)
			out = append(out, api.Environment{Name: w.Name, Label: string(environments.Current)})
		}
		out[i].Display, out[i].Students, out[i].File = w.Display, b.studentsOf(w), fileOf(w)
		if w.Students != nil { // nil is everybody, for a course too
			out[i].Course = cmp.Or(w.Course, w.Display)
		}
	}
	for i := range out {
		out[i].Failed = b.trouble.of(out[i].Name)
	}
	slices.SortStableFunc(out, func(x, y api.Environment) int {
		return cmp.Or(rank(x)-rank(y), strings.Compare(x.Name, y.Name))
	})
	return out, nil
}

// rank puts the class's own environment first and its image last.
func rank(e api.Environment) int {
	switch {
	case e.Name == string(environments.Base):
		return 0
	case isSystem(e.Name):
		return 2
	}
	return 1
}

// environmentOf puts one environment into the words of the API.
func environmentOf(l registry.Listed) api.Environment {
	out := api.Environment{Name: string(l.Env), Label: string(environments.Current), Labels: map[string]int{}, Bytes: l.Bytes}
	for _, g := range l.Generations {
		x := api.EnvGeneration{
			Number: g.Number, State: string(g.State), Tag: l.Tags[g.Number], Pinned: g.Pinned,
			Python: g.Python, Packages: g.Packages, Created: g.Built, ID: g.ID, Bytes: g.Bytes,
		}
		if x.Tag != "" && !slices.Contains(out.Tags, x.Tag) {
			out.Tags = append(out.Tags, x.Tag)
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
	if o := l.Waiting; o != nil {
		out.Waiting = &api.EnvWaiting{Generation: o.Generation, Sentence: o.Sentence}
		if o.Changes != nil {
			out.Waiting.Class = string(o.Changes.Class())
		}
	}
	return out
}

// studentsOf counts those who see a kernel that not everybody sees. Teachers see all, and
// are not counted.
func (b *box) studentsOf(s custom.Spec) int {
	n := len(s.Students)
	if n == 0 || b.users == nil {
		return n
	}
	for _, a := range b.users.List() {
		if a.Admin && slices.Contains(s.Students, a.Name) {
			n--
		}
	}
	return n
}

// fileOf is the file that asks for most of an environment; "" for none.
func fileOf(s custom.Spec) string {
	switch {
	case len(s.Conda) > 0:
		return s.Conda[0].File
	case len(s.Pip) > 0:
		return s.Pip[0].File
	}
	return ""
}

// troubles is what went wrong with each environment last, until it goes well. The zero
// troubles is empty and ready to use.
type troubles struct {
	mu sync.Mutex
	by map[string]notice.Notice
}

// note takes an outcome in.
func (t *troubles) note(o registry.Outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case errors.Is(o.Err, context.Canceled): // given up, not failed
	case o.Did == registry.Failed:
		l := slices.Concat(o.Notices, notice.For(o.Err))
		if i := slices.IndexFunc(l, func(n notice.Notice) bool { return n.Severity == notice.SeverityError }); i >= 0 {
			if t.by == nil {
				t.by = map[string]notice.Notice{}
			}
			t.by[o.Env] = l[i]
		}
	case o.Did != registry.Imported && o.Env != "":
		delete(t.by, o.Env)
	}
}

func (t *troubles) of(env string) *notice.Notice {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n, ok := t.by[env]; ok {
		return &n
	}
	return nil
}

func named(envs []api.Environment, name string) (api.Environment, bool) {
	for _, e := range envs {
		if e.Name == name || name != "" && e.Display == name {
			return e, true
		}
	}
	return api.Environment{}, false
}

// envUnknown says that there is no environment of a name, and which one may be meant.
func envUnknown(name string, envs []api.Environment) error {
	var names []string
	for _, e := range envs {
		names = append(names, e.Name)
	}
	do := "look at the names with: conjured env list"
	if near := nearest(name, names); alike(name, near) {
		do = fmt.Sprintf("did you mean %s? The names are shown by: conjured env list", near)
	}
	return errors.Join(gateway.ErrUnknown, &notice.Error{Notice: notice.Notice{
		Code: "env-unknown", Severity: notice.SeverityError,
		What: fmt.Sprintf("there is no environment called %.40q", name), Means: "nothing was changed", Do: do,
	}})
}

// knowsPackages refuses a package to upgrade that none of the environments has: whoever
// misspells a name would take its silence for success.
func (b *box) knowsPackages(q api.EnvRequest, envs []api.Environment) error {
	names := q.Names
	if len(names) == 0 {
		names = namesFor(api.EnvUpdate, envs)
	}
	var have []string
	for _, n := range names {
		g, err := b.store.Current(environments.Name(n))
		if err != nil {
			return nil // the first one is only being made, or a copy is damaged
		}
		for _, p := range g.Manifest.Packages {
			have = append(have, p.Name)
		}
	}
	for _, p := range q.Packages {
		name := strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(p))
		if slices.ContainsFunc(have, func(h string) bool { return strings.EqualFold(h, p) || h == name }) {
			continue
		}
		do := "look at the packages with: conjured env show " + names[0]
		if near := nearest(name, have); alike(name, near) {
			do = fmt.Sprintf("did you mean %s? The packages are shown by: conjured env show %s", near, names[0])
		}
		return &notice.Error{Notice: notice.Notice{
			Code: "env-unknown-package", Severity: notice.SeverityError,
			What: fmt.Sprintf("there is no package %.60q in %s to take a newer version of", p, strings.Join(names, ", ")), Means: "nothing was changed", Do: do,
		}}
	}
	return nil
}

// refUnknown says that an environment has no such label, tag or number.
func refUnknown(e api.Environment, ref string) error {
	if isSystem(e.Name) && ref == string(environments.Previous) {
		return errors.Join(gateway.ErrUnknown, noOlderSystem())
	}
	return errors.Join(gateway.ErrUnknown, &notice.Error{Notice: registry.Absent(environments.Name(e.Name), ref)})
}
