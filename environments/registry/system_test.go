package registry

import (
	"context"
	"testing"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/notice"
)

// images is a System that remembers what it was asked.
type images struct{ asked string }

func (i *images) List(context.Context) ([]environments.Listed, error) {
	return []environments.Listed{{Env: SystemName}}, nil
}

func (i *images) Label(_ context.Context, label, ref string) (Outcome, error) {
	i.asked = "label " + label + " " + ref
	return Outcome{Env: "system", Did: Labelled}, nil
}

func (i *images) Rollback(_ context.Context, ref string) (Outcome, error) {
	i.asked = "rollback " + ref
	return Outcome{Env: "system", Did: RolledBack}, nil
}

// The system's verbs go to whoever has its images; without such a one they say so.
func TestSystem(t *testing.T) {
	var i images
	b := newBox(t, func(c *Config) { c.System = &i })
	if o, err := b.Rollback(t.Context(), SystemName, "1"); err != nil || o.Did != RolledBack || i.asked != "rollback 1" {
		t.Errorf("%+v, %v, %q", o, err, i.asked)
	}
	if o, err := b.Label(t.Context(), SystemName, "exam", "1"); err != nil || o.Did != Labelled || i.asked != "label exam 1" {
		t.Errorf("%+v, %v, %q", o, err, i.asked)
	}
	if _, err := b.Label(t.Context(), SystemName, "current", "1"); code(notice.For(err)) != "environment-label" {
		t.Errorf("%v", err)
	}
	if l, err := b.List(t.Context()); err != nil || len(l) != 1 || l[0].Env != SystemName {
		t.Errorf("%+v, %v", l, err)
	}
	b = newBox(t, nil)
	for _, do := range []func() (Outcome, error){
		func() (Outcome, error) { return b.Rollback(t.Context(), SystemName, "") },
		func() (Outcome, error) { return b.Label(t.Context(), SystemName, "exam", "1") },
	} {
		if _, err := do(); code(notice.For(err)) != "environment-no-system" {
			t.Errorf("%v", err)
		}
	}
}
