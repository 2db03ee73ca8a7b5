package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// Inspect compares every file in use with the hash it was installed with, and makes anew
// what is not as it was: disks forget, and power goes off. One outcome for each
// environment that was damaged, which Notify is told of too; none when all is well. It
// stops when the class gets busy.
func (r *Registry) Inspect(ctx context.Context, sink progress.Sink) ([]Outcome, error) {
	names, err := r.c.Store.Environments()
	if err != nil {
		return nil, err
	}
	var out []Outcome
	for _, env := range names {
		if r.c.Busy != nil && r.c.Busy() {
			return out, nil
		}
		damage, err := r.damage(ctx, env)
		switch {
		case ctx.Err() != nil:
			return out, ctx.Err()
		case errors.Is(err, environments.ErrNoGeneration):
			continue // nobody uses it, or it cannot be read at all, which Repair tells
		case err != nil:
			r.c.Log.Warn("cannot look at the packages", "env", env, "error", err)
			continue
		case len(damage) == 0:
			continue
		}
		r.c.Log.Warn("packages are damaged", "env", env, "damage", damage)
		o, _ := r.Reset(ctx, env, sink)
		if o.Did == Failed {
			o.Notices = append(notice.List{stillDamaged(env, r.name(env), damage)}, o.Notices...)
		} else {
			o.Notices = append(notice.List{madeAgain(r.name(env), damage)}, o.Notices...)
		}
		if r.c.Notify != nil {
			r.c.Notify(o.Notices[0])
		}
		out = append(out, o)
	}
	return out, nil
}

// damage looks at what is current, while nobody removes it.
func (r *Registry) damage(ctx context.Context, env environments.Name) ([]environments.Damage, error) {
	building, err := r.building.take(ctx)
	if err != nil {
		return nil, err
	}
	defer building()
	g, err := r.c.Store.Current(env)
	if err != nil {
		return nil, err
	}
	return r.c.Store.Damage(ctx, g)
}

func madeAgain(shown string, damage []environments.Damage) notice.Notice {
	return notice.Notice{
		Code: "environment-made-again", Severity: notice.SeverityWarning,
		What:  fmt.Sprintf("files of %s in %s were damaged on this box's disk, and were made again", packagesOf(damage), shown),
		Means: "new kernels work as before; one that was open before has to be restarted",
		Do:    "if this is told again, keep a copy of the students' work: the disk may be failing",
	}
}

func stillDamaged(env environments.Name, shown string, damage []environments.Damage) notice.Notice {
	return notice.Notice{
		Code: "environment-still-damaged", Severity: notice.SeverityWarning,
		What:  fmt.Sprintf("files of %s in %s are damaged on this box's disk, and could not be made again", packagesOf(damage), shown),
		Means: "lessons that use these packages may fail; everything else works",
		Do:    "connect the box to the internet and run conjured env reset " + string(env),
	}
}

// packagesOf names the first few.
func packagesOf(damage []environments.Damage) string {
	const few = 3
	var names []string
	for _, d := range damage[:min(few, len(damage))] {
		names = append(names, d.Package)
	}
	out := strings.Join(names, ", ")
	if more := len(damage) - few; more > 0 {
		out += fmt.Sprintf(" and %d more", more)
	}
	return out
}
