package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// Prepare makes what is wanted, records it, tags it and labels it next. When it comes to
// what is current already, nothing is written and no process is started.
func (r *Registry) Prepare(ctx context.Context, w Wanted, sink progress.Sink) (Outcome, error) {
	o := Outcome{Env: string(w.Env)}
	if err := checkName(string(w.Env)); err != nil {
		return o.failed(err)
	}
	done, err := r.building.take(ctx)
	if err != nil {
		return o.failed(err)
	}
	defer done()
	made, err := r.c.Builder.Make(ctx, w.Spec, sink)
	if err != nil {
		return o.failed(err)
	}
	return r.arrive(ctx, w, made)
}

// arrive records what was made and labels it next, unless it is in use.
func (r *Registry) arrive(ctx context.Context, w Wanted, made environments.Made) (Outcome, error) {
	g, store := made.Generation, r.c.Store
	if !w.imported && (store.Imported(w.Env) || store.Removed(w.Env)) { // the folder has it now
		if err := store.Disown(w.Env); err != nil {
			return Outcome{Env: string(w.Env)}.failed(err)
		}
	}
	o := Outcome{Env: string(w.Env), Did: Deployed, Generation: g.Number, Notices: made.Notices}
	done, err := r.changing.take(ctx)
	if err != nil {
		return o.failed(err)
	}
	defer done()
	now, err := store.Current(w.Env)
	if err != nil && !errors.Is(err, environments.ErrNoGeneration) {
		return o.failed(err)
	}
	o.compare(now, g, display(w.Spec))
	if now.Number != 0 && now.ID == g.ID {
		return r.arrived(ctx, w, now, o)
	}
	if next, err := store.Label(w.Env, environments.Next); err == nil && next.Number == g.Number && !r.behind[o.Env] {
		o.Did = Unchanged
	}
	if err := store.KeepSpec(g, mapOf(w.files())); err != nil {
		return o.failed(err)
	}
	if o.Did != Unchanged {
		r.putSpec(ctx, w.Env, w.files(), &o)
		r.recording(ctx, w.Env, &o, func(h History) (err error) {
			o.Tag, err = r.put(ctx, h, g)
			return err
		})
	}
	if err := store.Flip(environments.Next, g); err != nil {
		return o.failed(err)
	}
	if o.Did != Unchanged {
		r.sync(ctx, w.Env, why("generation %d is ready at next", g), &o)
	}
	return o, nil
}

// arrived is arrive when g is current: a next one that waits is not wanted any more, and
// what was asked for may have changed without changing what one gets.
func (r *Registry) arrived(ctx context.Context, w Wanted, g environments.Generation, o Outcome) (Outcome, error) {
	store, stale := r.c.Store, r.behind[o.Env]
	o.Did = Unchanged
	if _, err := store.Label(w.Env, environments.Next); err == nil {
		stale = true
		if err := store.Unlabel(w.Env, environments.Next); err != nil {
			return o.failed(err)
		}
	}
	if err := store.Hold(w.Env, ""); err != nil {
		return o.failed(err)
	}
	if files := w.files(); !sameFiles(store.Spec(w.Env, g.Number), files) {
		if err := store.KeepSpec(g, mapOf(files)); err != nil {
			return o.failed(err)
		}
		r.putSpec(ctx, w.Env, files, &o)
	}
	if stale {
		r.sync(ctx, w.Env, why("generation %d stays in use", g), &o)
	}
	return o, nil
}

// Settle promotes what waits at next if the policy lets it; else it says what waits.
func (r *Registry) Settle(ctx context.Context, env environments.Name) (Outcome, error) {
	defer r.tell()
	o := Outcome{Env: string(env), Did: Unchanged}
	done, err := r.changing.take(ctx)
	if err != nil {
		return o.failed(err)
	}
	defer done()
	next, err := r.c.Store.Label(env, environments.Next)
	if errors.Is(err, environments.ErrNoGeneration) {
		return o, nil
	}
	if err != nil {
		return o.failed(err)
	}
	now, _ := r.c.Store.Current(env) // none: its Number is 0
	o.Generation = next.Number
	o.compare(now, next, shown(next))
	if n, waits := r.waits(now, next, o); waits {
		o.Did = Waiting
		o.add(n)
		return o, nil
	}
	return r.promote(ctx, env, o)
}

// waits tells whether next needs somebody's word before it replaces now, and why. The
// class's own first environment needs none: without it there is no class.
func (r *Registry) waits(now, next environments.Generation, o Outcome) (notice.Notice, bool) {
	class := o.Changes.Class()
	var because string
	switch {
	case r.c.Store.Held(next.Env) == next.ID && now.Number != 0:
		because = "somebody rolled back from exactly these packages"
	case now.Number == 0 && (next.Env == environments.Base || r.c.Policy != Never):
		return notice.Notice{}, false
	case r.c.Policy == Never:
		because = "new packages come into use only when somebody says so (auto_promote: never)"
	case r.c.Policy == AddOnly && class != environments.AddOnly && class != environments.None:
		because = "it does more than add packages (auto_promote: add-only)"
	default:
		return notice.Notice{}, false
	}
	return notice.Notice{
		Code: "environment-waiting", Severity: notice.SeverityInfo,
		What:  fmt.Sprintf("a change is ready and waits: %s", o.Sentence),
		Means: "kernels keep today's packages, because " + because,
		Do:    fmt.Sprintf("when it suits the lesson: conjured env promote %s", next.Env),
	}, true
}

// Retire takes the managed labels from environments that nobody asks for any more, and
// GC then takes their generations. Base, imported environments and those in keep stay.
func (r *Registry) Retire(ctx context.Context, keep []environments.Name) error {
	done, err := r.changing.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	names, err := r.c.Store.Environments()
	if err != nil {
		return err
	}
	wanted := map[environments.Name]bool{environments.Base: true}
	for _, n := range keep {
		wanted[n] = true
	}
	var errs []error
	for _, env := range names {
		if wanted[env] || r.c.Store.Imported(env) || r.c.Store.Retired(env) {
			continue
		}
		if err := r.c.Store.Retire(env); err != nil {
			errs = append(errs, err)
			continue
		}
		r.sync(ctx, env, "nobody asks for "+string(env)+" any more", &Outcome{Env: string(env)})
	}
	return errors.Join(errs...)
}
