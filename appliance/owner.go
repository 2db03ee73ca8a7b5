package appliance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/conjuring/conjured/notice"
)

// stopWithin is how long Run waits for its actions at the end: the two seconds that
// workers promise, and one for this machine.
const stopWithin = 3 * time.Second

// owner is the state of Run. Only Run's goroutine touches it.
type owner struct {
	*Appliance
	d       Desired
	a       Actual
	flights map[Kind]*flight
	saved   []byte    // the state as it was saved last
	check   time.Time // when the world is looked at next
	board   board     // standing notices
}

// flight is an action under way.
type flight struct {
	Action
	cancel  context.CancelFunc
	check   uint64        // Desired.Check at its start
	touched map[Kind]bool // Observe only: kinds that ran at any time beside it
	stopped bool          // by us: whatever it answers but success is no failure
}

// outcome is what became of an action.
type outcome struct {
	Action
	result  Result
	seen    Actual // of an Observe that worked
	err     error
	stopped bool
	took    time.Duration
}

func newOwner(a *Appliance) *owner {
	o := &owner{Appliance: a, d: a.boot.Desired, flights: map[Kind]*flight{}, check: time.Now().Add(a.cfg.Resync)}
	o.a = reboot(a.boot, time.Now(), a.cfg.Resync)
	o.board.lost = a.lost
	return o
}

// hear lets e change Desired and answers it when the change is saved, or undoes it.
func (o *owner) hear(e event) {
	before := o.d
	err := e.change(&o.d, o.a)
	if err == nil {
		if err = o.save(nil); err != nil {
			o.d = before
		}
	}
	o.publish()
	e.reply <- err
}

// turn starts what is worth starting and answers when to look again at the latest.
// It saves before it acts: what may have been begun is always known after a power cut.
func (o *owner) turn(ctx context.Context) time.Duration {
	wake := o.clock(time.Now())
	was := o.a.ReadOnly
	plan := next(o.d, o.a, o.running(nil))
	switch err := o.save(plan); {
	case err != nil:
		plan = next(o.d, o.a, o.running(nil)) // read-only: what needs no saving
		wake = min(wake, o.cfg.Backoff)
	case was:
		wake = 0 // there is more to do than a read-only plan holds
	}
	for _, k := range useless(o.d, o.a, o.running(nil)) {
		o.flights[k].stopped = true
		o.flights[k].cancel()
	}
	for _, x := range plan {
		o.start(ctx, x)
	}
	o.publish()
	return wake
}

// clock lets failures that have waited long enough go, asks for a look at the world
// when it is time, and answers how long it is to the next of these.
func (o *owner) clock(now time.Time) time.Duration {
	if !now.Before(o.check) {
		o.check = now.Add(o.cfg.Resync)
		o.d.Check++
	}
	wake := o.check.Sub(now)
	o.a = o.a.clone()
	for key, f := range o.a.Failures {
		switch {
		case f.Until.IsZero():
		case now.Before(f.Until):
			wake = min(wake, f.Until.Sub(now))
		default:
			f.Until = time.Time{}
			f.Tries = min(f.Tries, maxTries-1) // what was given up gets one more try
			o.a.Failures[key] = f
		}
	}
	return wake
}

// running are the actions under way and those of plan, by kind.
func (o *owner) running(plan []Action) map[Kind]Action {
	out := map[Kind]Action{}
	for k, f := range o.flights {
		out[k] = f.Action
	}
	for _, x := range plan {
		out[x.Kind] = x
	}
	return out
}

// save stores the state with plan as running too, when it changed. Without a store
// the box serves what it serves, and starts nothing new.
func (o *owner) save(plan []Action) error {
	s := State{Desired: o.d, Actual: o.a, Running: sorted(o.running(plan))}
	raw, err := json.Marshal(s)
	if err == nil && (o.a.ReadOnly || !bytes.Equal(raw, o.saved)) {
		err = o.cfg.Store.Save(s)
	}
	o.a.ReadOnly = err != nil
	if err == nil {
		o.saved, o.board.unsaved = raw, nil
		return nil
	}
	o.cfg.Log.Error("state not saved", "err", err)
	o.board.unsaved = notSaved(err)
	return &notice.Error{Notice: o.board.unsaved[0], Err: err}
}

// start runs x in a goroutine that ends with a message on results.
func (o *owner) start(ctx context.Context, x Action) {
	ctx, cancel := context.WithTimeout(ctx, limit(x.Kind))
	f := &flight{Action: x, cancel: cancel, check: o.d.Check}
	if x.Kind == Observe {
		f.touched = map[Kind]bool{}
		for k := range o.flights {
			f.touched[k] = true
		}
	} else if look := o.flights[Observe]; look != nil {
		look.touched[x.Kind] = true
	}
	o.flights[x.Kind] = f
	o.cfg.Log.Debug("action starts", "kind", x.Kind, "setup", x.Setup.ID)
	began := time.Now()
	go func() {
		r := o.do(ctx, x)
		r.took = time.Since(began)
		o.results <- r
	}()
}

// do carries x out. A panic in a worker is a failure of that action, not of the class.
func (o *owner) do(ctx context.Context, x Action) (out outcome) {
	out.Action = x
	defer func() {
		if p := recover(); p != nil {
			o.cfg.Log.Error("action panicked", "kind", x.Kind, "panic", p, "stack", string(debug.Stack()))
			out.err = fmt.Errorf("cannot %s: panic: %v", x.Kind, p)
		}
	}()
	if x.Kind == Observe {
		out.seen, out.err = o.cfg.Observer.Observe(ctx)
	} else {
		out.result, out.err = o.cfg.Workers[x.Kind].Do(ctx, x)
	}
	if out.err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		out.err = tooLong(x.Kind, out.err)
	}
	return out
}

// fold takes a result into Actual.
func (o *owner) fold(r outcome) {
	f := o.flights[r.Kind]
	delete(o.flights, r.Kind)
	f.cancel()
	r.stopped = f.stopped
	now := time.Now()
	if r.Kind == Observe && r.err == nil {
		o.a = merge(o.d, o.a, r.seen, *f)
	}
	o.a = fold(o.d, o.a, r, now, o.cfg)
	e := o.a.Last[r.Kind]
	if r.Kind == Observe && e.Outcome == OutcomeDone {
		return // every quarter of an hour the same: not worth a line
	}
	log := o.cfg.Log.Info
	if e.Outcome == OutcomeFailed {
		log = o.cfg.Log.Warn
	}
	log("action ended", "kind", r.Kind, "setup", r.Setup.ID, "outcome", e.Outcome, "duration", r.took, "err", r.err)
	if err := o.cfg.Store.Record(e); err != nil {
		o.cfg.Log.Warn("history not written", "err", err)
	}
}

// stop ends all actions, waits for them, and saves what they achieved.
func (o *owner) stop() error {
	for _, f := range o.flights {
		f.stopped = true
		f.cancel()
	}
	late := time.NewTimer(stopWithin)
	defer late.Stop()
	var err error
	for len(o.flights) > 0 && err == nil {
		select {
		case r := <-o.results:
			o.fold(r)
		case <-late.C:
			err = fmt.Errorf("cannot stop %v within %s", sorted(o.running(nil)), stopWithin)
		}
	}
	if saveErr := o.save(nil); saveErr != nil {
		err = errors.Join(err, saveErr)
	}
	o.publish()
	return err
}

// sorted are the actions of m in order of kind, so that equal states are equal bytes.
func sorted(m map[Kind]Action) []Action {
	out := make([]Action, 0, len(m))
	for _, x := range m {
		out = append(out, x)
	}
	slices.SortFunc(out, func(x, y Action) int { return bytes.Compare([]byte(x.Kind), []byte(y.Kind)) })
	return out
}
