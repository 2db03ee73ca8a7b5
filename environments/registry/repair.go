package registry

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
)

// Repair brings the disk into order after a power cut, and makes the history agree with
// it: generations that have no tag get one, labels are as on the disk, and a repository
// that is gone or broken is made again from the generations. It gives an outcome for each
// environment in which something was mended. Call it at boot. Only a disk that cannot be
// read is an error: whatever is wrong with the history keeps no lesson from starting.
func (r *Registry) Repair(ctx context.Context) ([]Outcome, error) {
	building, err := r.building.take(ctx)
	if err != nil {
		return nil, err
	}
	defer building()
	done, err := r.changing.take(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	mended, err := r.c.Store.Repair(ctx)
	if err != nil {
		return nil, err
	}
	names, err := r.c.Store.Environments()
	if err != nil {
		return nil, err
	}
	r.reopen(ctx, names)
	var out []Outcome
	for _, env := range names {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		o := Outcome{Env: string(env), Did: Unchanged}
		if touched(mended, env) {
			o.Did = Repaired
		}
		r.repair(ctx, env, &o)
		if o.Did != Unchanged || len(o.Notices) > 0 {
			out = append(out, o)
		}
	}
	return out, nil
}

// touched tells whether the store's own repair did something about env's labels or
// generations.
func touched(m environments.Repaired, env environments.Name) bool {
	mine := func(s string) bool {
		return len(s) > len(env) && s[:len(env)] == string(env) && (s[len(env)] == ' ' || s[len(env)] == '@')
	}
	return slices.ContainsFunc(m.Generations, mine) || slices.ContainsFunc(m.Labels, mine) || slices.Contains(m.Flips, string(env))
}

// checkTime is how long a boot waits for the history to be read. One that takes longer
// is not taken for damaged.
const checkTime = 3 * time.Second

// reopen looks whether the history can be used. One that is gone or damaged is made
// again from the generations.
func (r *Registry) reopen(ctx context.Context, names []environments.Name) {
	clear(r.tags)
	if r.history == nil && r.c.Reopen != nil && ctx.Err() == nil {
		h, err := r.c.Reopen(ctx)
		if err == nil {
			r.history = h
		} else {
			r.c.Log.Warn("cannot open the history of packages", "error", err)
		}
	}
	if r.history == nil {
		r.noHistory()
		return
	}
	all := r.restorable(names)
	damaged, err := r.damaged(ctx, len(all) > 0)
	if !damaged {
		if err != nil && ctx.Err() == nil {
			r.c.Log.Warn("cannot look at the history of packages", "error", err)
			r.noHistory()
		}
		return
	}
	r.c.Log.Warn("making the history of packages again", "cause", err)
	skipped, err := r.history.Restore(ctx, all)
	for _, s := range append(skipped, err) {
		if s != nil {
			r.c.Log.Warn("cannot restore a part of the history of packages", "error", s)
		}
	}
	if err == nil {
		r.notify("environment-history-again", "the history of the packages was gone or damaged, and was made again from the packages on the disk",
			"the class works as usual; older states that were not on the disk any more are not in the history",
			"nothing needs to be done; a damaged disk may be the reason, so keep a copy of the students' work")
	}
}

func (r *Registry) noHistory() {
	r.notify("environment-history-gone", "the history of the packages cannot be read or written",
		"the class works as usual; going back works to the packages that are still on the disk, tags do not work",
		"look at conjured doctor: a full disk or a missing program git are the usual reasons")
}

// damaged tells whether the history is not what it was. An empty one is, if there are
// generations that were recorded. That git cannot be run, or the machine has no room for
// it, says nothing about the history.
func (r *Registry) damaged(ctx context.Context, recorded bool) (bool, error) {
	limited, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	err := r.history.Check(limited)
	var machine syscall.Errno
	switch {
	case err != nil && limited.Err() != nil:
		return false, ctx.Err() // it is long, not broken
	case errors.As(err, &machine), errors.Is(err, exec.ErrNotFound):
		return false, err
	case err != nil:
		return true, err
	}
	envs, err := r.history.Environments(ctx)
	return err == nil && recorded && len(envs) == 0, err
}

// restorable gives the generations that were recorded once, oldest first.
func (r *Registry) restorable(names []environments.Name) []history.Restored {
	var out []history.Restored
	for _, env := range names {
		gs, err := r.c.Store.Generations(env)
		labels, labelErr := r.c.Store.Labels(env)
		if err != nil || labelErr != nil {
			continue
		}
		for _, g := range gs {
			spec := r.c.Store.Spec(env, g.Number)
			files, err := manifestFiles(g, spec[envSpec])
			tag := r.c.Store.KeptTag(g)
			if err != nil || tag == "" {
				continue
			}
			x := history.Restored{Env: string(env), Spec: filesOf(spec), Manifest: files, Tag: tag, Built: g.Built}
			for l, n := range labels {
				if n == g.Number {
					x.Labels = append(x.Labels, string(l))
				}
			}
			out = append(out, x)
		}
	}
	return out
}

// repair records what the history lacks of env.
func (r *Registry) repair(ctx context.Context, env environments.Name, o *Outcome) {
	if r.history == nil {
		return
	}
	if r.c.Store.Retired(env) { // a cut may have come before the history heard of it
		r.repairLabels(ctx, env, o)
		return
	}
	gs, err := r.c.Store.Generations(env)
	if err != nil {
		return
	}
	last, added := 0, 0 // last is the generation whose manifest was recorded last
	for i, g := range gs {
		r.recording(ctx, env, o, func(h History) error {
			tag, err := r.tagOf(ctx, h, g)
			if err != nil || tag != "" {
				return err
			}
			r.putSpec(ctx, env, filesOf(r.c.Store.Spec(env, g.Number)), o)
			_, err = r.put(ctx, h, g)
			last = i
			added++
			return err
		})
	}
	if n := len(gs); added > 0 && last < n-1 {
		r.recording(ctx, env, o, func(h History) error { _, err := r.put(ctx, h, gs[n-1]); return err })
	}
	if added > 0 {
		o.Did = Repaired
	}
	r.repairLabels(ctx, env, o)
}

// repairLabels makes the history's labels those of the disk.
func (r *Registry) repairLabels(ctx context.Context, env environments.Name, o *Outcome) {
	before, err := r.history.Labels(ctx, string(env))
	if err != nil {
		before = nil
	}
	r.sync(ctx, env, "labels as they are on the disk", o)
	after, err := r.history.Labels(ctx, string(env))
	if err == nil && fmt.Sprint(before) != fmt.Sprint(after) {
		o.Did = Repaired
	}
}
