package registry

import (
	"context"
	"fmt"
	"slices"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/notice"
)

// Remove takes an environment out of use that came with a history from elsewhere: its
// kernel is not offered any more, and GC removes its generations. Its history and tags
// stay, and so do generations with a label of the teacher's or a pin. Deploy of a tag
// brings it back. With dry nothing is changed, and the outcome says what would be.
//
// The class's own environment and what the folder asks for are refused.
func (r *Registry) Remove(ctx context.Context, env environments.Name, dry bool) (Outcome, error) {
	o := Outcome{Env: string(env), Did: Removed}
	if err := r.removable(ctx, env); err != nil {
		return o.failed(err)
	}
	done, err := r.changing.take(ctx)
	if err != nil {
		return o.failed(err)
	}
	defer done()
	store := r.c.Store
	if !store.Imported(env) {
		gs, err := store.Generations(env)
		if err != nil {
			return o.failed(err)
		}
		if len(gs) == 0 && !store.Removed(env) {
			return o.failed(noEnvironment(o.Env, environments.ErrNoGeneration))
		}
		o.Did = Unchanged
		o.add(goesAlone(env))
		return o, nil
	}
	if o.Tag, err = r.wayBack(ctx, env); err != nil {
		return o.failed(err)
	}
	if err := r.removal(env, &o); err != nil {
		return o.failed(err)
	}
	if dry {
		o.Did = Removable
		return o, nil
	}
	if err := store.Remove(env); err != nil {
		return o.failed(err)
	}
	r.sync(ctx, env, fmt.Sprintf("%s is removed", env), &o)
	return o, nil
}

// removable refuses what cannot be removed by a word.
func (r *Registry) removable(ctx context.Context, env environments.Name) error {
	if err := checkName(string(env)); err != nil {
		return err
	}
	if env == environments.Base {
		return refused("environment-remove-base", "base is the class's own environment: without it there is no class",
			"nothing was changed", "to have fewer packages in it, take their lines out of the folder", nil)
	}
	ws, err := r.c.Wanted(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(ws, func(w Wanted) bool { return w.Env == env })
	if i < 0 {
		return nil
	}
	return refused("environment-remove-wanted", fmt.Sprintf("the folder asks for %s: it would come back by itself", env),
		"nothing was changed", fmt.Sprintf("delete %s from the folder and apply it", joined(ws[i].askedIn())), nil)
}

// askedIn names the files that ask for an environment.
func (w Wanted) askedIn() []string {
	var out []string
	for _, c := range w.Conda {
		out = append(out, c.File)
	}
	for _, q := range w.Requirements {
		out = append(out, q.File)
	}
	for _, f := range w.History {
		out = append(out, f.Name)
	}
	out = slices.DeleteFunc(out, func(name string) bool { return name == "" || name == envSpec })
	slices.Sort(out)
	if out = slices.Compact(out); len(out) == 0 {
		return []string{"what asks for " + display(w.Spec)}
	}
	return out
}

// wayBack is the tag that Deploy brings env back with: that of what is in use, or the
// newest.
func (r *Registry) wayBack(ctx context.Context, env environments.Name) (string, error) {
	if r.history == nil {
		return "", noHistory(env, errNoHistory) // there would be no way back
	}
	if g, err := r.c.Store.Current(env); err == nil {
		if tag := r.tagFor(ctx, g); tag != "" {
			return tag, nil
		}
	}
	l, err := r.taglist(ctx, r.history, string(env))
	if err != nil {
		return "", worded(env, err)
	}
	if len(l.names) == 0 {
		return "", nil
	}
	return l.names[len(l.names)-1], nil
}

// removal says what goes with env and what stays.
func (r *Registry) removal(env environments.Name, o *Outcome) error {
	gs, err := r.c.Store.Generations(env)
	if err != nil {
		return err
	}
	labels, err := r.c.Store.Labels(env)
	if err != nil {
		return err
	}
	pins, err := r.c.Store.Pins(env)
	if err != nil {
		return err
	}
	stays := map[int]bool{}
	for _, n := range pins {
		stays[n] = true
	}
	for l, n := range labels {
		if !l.Managed() {
			stays[n] = true
		}
	}
	goes := 0
	for _, g := range gs {
		if !stays[g.Number] {
			goes++
		}
	}
	what := fmt.Sprintf("the kernel %s is not offered any more, and %s when the box tidies up", r.name(env), numbered(goes, "generation goes", "generations go"))
	if len(gs) > goes {
		what += "; " + numbered(len(gs)-goes, "stays, which has", "stay, which have") + " a label of yours or a pin"
	}
	back := "its history stays; to have it back, import it again"
	if o.Tag != "" {
		back = fmt.Sprintf("its history and tags stay; to have it back: conjured env deploy %s %s", env, o.Tag)
	}
	o.add(notice.Notice{
		Code: "environment-removed", Severity: notice.SeverityInfo, What: what,
		Means: "notebooks stay; kernels that are open keep their packages until they are restarted", Do: back,
	})
	return nil
}

func numbered(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

func goesAlone(env environments.Name) notice.Notice {
	return notice.Notice{
		Code: "environment-removed", Severity: notice.SeverityInfo,
		What:  fmt.Sprintf("nobody asks for %s any more: it is removed already", env),
		Means: "what is left of it goes when the box tidies up, but for what a label of yours or a pin keeps",
		Do:    fmt.Sprintf("to see what keeps it: conjured env show %s", env),
	}
}

// revive brings back what was removed, when somebody deploys a tag of it: what is built
// comes into use as a change of the folder does.
func (r *Registry) revive(ctx context.Context, env environments.Name, o Outcome) (Outcome, error) {
	if !r.c.Store.Removed(env) {
		return o, nil
	}
	g, err := r.c.Store.Generation(env, o.Generation)
	if err != nil {
		return o.failed(err)
	}
	if err := r.c.Store.Flip(environments.Next, g); err != nil {
		return o.failed(err)
	}
	settled, err := r.Settle(ctx, env)
	settled.Tag = o.Tag
	settled.Notices = append(o.Notices, settled.Notices...)
	return settled, err
}
