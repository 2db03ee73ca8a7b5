package appliance

import (
	"context"

	"github.com/conjuring/conjured/notice"
)

// Phase says in one word how the class is.
type Phase string

// The phases of a box.
const (
	Starting  Phase = "starting"  // the world was not looked at yet
	Preparing Phase = "preparing" // no class yet, work goes on
	Serving   Phase = "serving"   // the class is as wished
	Changing  Phase = "changing"  // the class runs; work towards a newer wish goes on
	Held      Phase = "held"      // the class runs as it was; the newest wish failed
	Stuck     Phase = "stuck"     // no class, and the wish failed
	Idle      Phase = "idle"      // no class, and nobody wished for one
)

// Snapshot is the state at one instant. Readers may keep it, not change it.
type Snapshot struct {
	Phase      Phase          `json:"phase"`
	Desired    Setup          `json:"desired"`
	Wish       uint64         `json:"wish"` // counts wishes
	Serving    Setup          `json:"serving"`
	Fallback   bool           `json:"fallback"`  // what serves is not the teacher's setup but the built-in one
	ReadOnly   bool           `json:"read_only"` // nothing can be saved, so nothing is changed
	Running    []Action       `json:"running"`
	Notices    []Told         `json:"notices"`
	Last       map[Kind]Entry `json:"last"`   // the newest result of each kind
	Good       []Setup        `json:"good"`   // have served, the last one last
	Sealed     bool           `json:"sealed"` // latest holds what serves
	RosterDone bool           `json:"roster_done"`

	verdict Verdict // of the wish
}

// Told is a notice and what it is about.
type Told struct {
	Setup string `json:"setup,omitempty"` // ID; "" when it is about the box
	Kind  Kind   `json:"kind,omitempty"`
	notice.Notice
}

// Verdict is what became of a wish.
type Verdict string

// The verdicts. The zero Verdict means that it is still being worked on.
const (
	Served     Verdict = "served"     // all of it
	Partly     Verdict = "partly"     // it serves, but its accounts, content or other kernels could not be applied
	Failed     Verdict = "failed"     // what served before still serves
	Superseded Verdict = "superseded" // a newer wish came
)

// Outcome is the answer of [Appliance.Wait].
type Outcome struct {
	Verdict Verdict
	Notices notice.List // about this setup
}

// node is a snapshot in the chain that watchers follow.
type node struct {
	snap Snapshot
	next chan struct{} // closed when a newer one is published
}

// publish makes the present state visible to everybody.
func (o *owner) publish() {
	n := &node{snap: picture(o.d, o.a, sorted(o.running(nil)), o.board.list()), next: make(chan struct{})}
	close(o.seen.Swap(n).next)
}

// Snapshot is the newest published state. It never blocks.
func (a *Appliance) Snapshot() Snapshot { return a.seen.Load().snap }

// Watch gives the present snapshot and then newer ones; a slow reader skips those that
// are overtaken. The channel closes when ctx or Run ends.
func (a *Appliance) Watch(ctx context.Context) <-chan Snapshot {
	out := make(chan Snapshot)
	go func() {
		defer close(out)
		for {
			n := a.seen.Load()
			select {
			case out <- n.snap:
			case <-n.next:
				continue // overtaken before anybody read it
			case <-a.ended:
				return
			case <-ctx.Done():
				return
			}
			select {
			case <-n.next:
			case <-a.ended:
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// Wait answers what becomes of the wish for the setup id. It returns ctx's error, or
// ErrStopped when Run ended first.
func (a *Appliance) Wait(ctx context.Context, id string) (Outcome, error) {
	for {
		n := a.seen.Load()
		v := n.snap.verdict
		if n.snap.Desired.ID != id {
			v = Superseded
		}
		if v != "" {
			return Outcome{Verdict: v, Notices: n.snap.about(id)}, nil
		}
		select {
		case <-n.next:
		case <-a.ended:
			return Outcome{}, ErrStopped
		case <-ctx.Done():
			return Outcome{}, ctx.Err()
		}
	}
}

// about are the notices about setup id and about the box.
func (s Snapshot) about(id string) notice.List {
	var out notice.List
	for _, t := range s.Notices {
		if t.Setup == id || t.Setup == "" {
			out = append(out, t.Notice)
		}
	}
	return out
}

// picture is the snapshot of a state.
func picture(d Desired, a Actual, running []Action, standing notice.List) Snapshot {
	v := view{d, a}
	s := Snapshot{
		Desired: d.Setup, Wish: d.Wish, Serving: a.Serving, ReadOnly: a.ReadOnly, Running: running,
		Fallback: a.Serving.ID != "" && a.Serving.ID == d.Fallback.ID && d.Setup.ID != d.Fallback.ID,
		Last:     a.Last, Good: a.Good, Sealed: a.Serving.ID != "" && v.met(Seal, a.Serving),
		RosterDone: d.Setup.ID != "" && v.met(Roster, d.Setup),
		Phase:      v.phase(), verdict: v.verdict(),
	}
	s.Notices = v.told(standing, s.Fallback)
	return s
}

// verdict is what became of the wish; "" while it can still become something.
func (v view) verdict() Verdict {
	w := v.d.Setup
	open := w.ID == "" || !v.a.Observed
	for _, k := range wished() {
		open = open || !v.met(k, w) && !v.hopeless(k, w)
	}
	switch {
	case open:
		return ""
	case !v.met(Deploy, w):
		return Failed
	case !v.met(Roster, w) || !v.met(Content, w) || !v.met(Kernels, w):
		return Partly
	}
	return Served
}

func (v view) phase() Phase {
	serves := v.a.Serving.ID != ""
	_, restorable := v.restorable()
	switch verdict := v.verdict(); {
	case !v.a.Observed:
		return Starting
	case verdict == Served:
		return Serving
	case serves && v.d.Setup.ID == "":
		return Serving
	case serves && verdict == "":
		return Changing
	case serves:
		return Held
	case v.pending() || restorable:
		return Preparing
	case v.d.Setup.ID == "":
		return Idle
	}
	return Stuck
}
