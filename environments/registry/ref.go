package registry

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
	"github.com/conjuring/conjured/notice"
)

// generation finds what ref names: a label, a tag (env-geo-2026_11_21, or 2026_11_21
// alone), or a number. What is only in the history is an error that says so. Call it in
// the turn for changing.
func (r *Registry) generation(ctx context.Context, env environments.Name, ref string) (environments.Generation, error) {
	if err := checkName(string(env)); err != nil {
		return environments.Generation{}, err
	}
	if ref == latest {
		return r.latest(env)
	}
	if environments.Label(ref).Check() == nil {
		g, err := r.c.Store.Label(env, environments.Label(ref))
		if err == nil || !errors.Is(err, environments.ErrNoGeneration) {
			return g, err
		}
	}
	if n, err := strconv.Atoi(ref); err == nil {
		g, err := r.c.Store.Generation(env, n)
		return g, noSuch(env, ref, err)
	}
	tag, ok := tagRef(env, ref)
	if !ok {
		return environments.Generation{}, noSuch(env, ref, environments.ErrNoGeneration)
	}
	return r.tagged(ctx, env, tag)
}

// tagged finds the newest complete generation of a tag.
func (r *Registry) tagged(ctx context.Context, env environments.Name, tag string) (environments.Generation, error) {
	if r.history == nil {
		return environments.Generation{}, noHistory(env, errNoHistory)
	}
	g, there, err := r.copyOf(ctx, r.history, env, tag)
	if err != nil {
		return environments.Generation{}, noSuch(env, tag, fmt.Errorf("%w: %w", environments.ErrNoGeneration, err))
	}
	if !there {
		return environments.Generation{}, refused("environment-not-deployed",
			fmt.Sprintf("the packages of %s are in the history, but not on the disk any more", tag),
			"nothing was changed", "build them again first: conjured env deploy "+tag, environments.ErrNoGeneration)
	}
	return g, nil
}

// latest gives the newest complete generation.
func (r *Registry) latest(env environments.Name) (environments.Generation, error) {
	gs, err := r.c.Store.Generations(env)
	if err != nil {
		return environments.Generation{}, err
	}
	if len(gs) == 0 {
		return environments.Generation{}, noEnvironment(string(env), environments.ErrNoGeneration)
	}
	return gs[len(gs)-1], nil
}

// tagRef reads a tag of env in its long or its short form.
func tagRef(env environments.Name, ref string) (string, bool) {
	if !strings.HasPrefix(ref, "env-") {
		ref = "env-" + string(env) + "-" + ref
	}
	t, err := history.ParseTag(ref)
	return ref, err == nil && t.Env == string(env)
}

func noSuch(env environments.Name, ref string, err error) error {
	if !errors.Is(err, environments.ErrNoGeneration) {
		return err
	}
	return &notice.Error{Notice: Absent(env, ref), Err: err}
}

// Absent says that env has nothing under a label, a tag or a number, and of a label that
// moves by itself what that means.
func Absent(env environments.Name, ref string) notice.Notice {
	n := notice.Notice{
		Code: "environment-no-generation", Severity: notice.SeverityError,
		What:  fmt.Sprintf("%s has no packages under the label, tag or number %.60q", env, ref),
		Means: "nothing was changed", Do: fmt.Sprintf("look at what there is: conjured env show %s", env),
	}
	switch environments.Label(ref) {
	case environments.Previous:
		n.Code, n.What = "environment-no-previous", fmt.Sprintf("%s has no earlier packages: nothing was in use before those it has", env)
	case environments.Next:
		n.Code, n.What = "environment-no-next", fmt.Sprintf("nothing waits for %s: no change of its packages is ready", env)
	}
	return n
}

func noHistory(env environments.Name, err error) error {
	return refused("environment-no-history", fmt.Sprintf("the history of the packages of %s cannot be read", env),
		"kernels are not affected; labels and numbers of generations work, tags do not",
		"look at conjured doctor; the program git may be missing", err)
}

// checkName refuses what is no environment's name here.
func checkName(env string) error {
	if environments.Name(env).Check() == nil && env != string(SystemName) {
		return nil
	}
	return refused("environment-name", fmt.Sprintf("%.60q cannot be the name of an environment here", env),
		"nothing was changed", "use a small letter, then small letters, digits and underscores, at most 32; not \"system\"", nil)
}

// shown is an environment's name as people know it.
func shown(g environments.Generation) string {
	if g.Display != "" {
		return g.Display
	}
	return string(g.Env)
}
