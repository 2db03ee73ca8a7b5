package appliance

import (
	"maps"
	"slices"
	"time"

	"github.com/conjuring/conjured/notice"
)

// fold is a after r. It is pure: a is not changed.
func fold(d Desired, a Actual, r outcome, now time.Time, c Config) Actual {
	a = a.clone()
	entry := Entry{Time: now, Kind: r.Kind, Setup: r.Setup.ID, Outcome: OutcomeDone, Duration: r.took, Notices: r.result.Notices}
	switch {
	case r.err == nil:
		delete(a.Failures, step(r.Kind, r.Setup))
		a = achieve(a, r.Action)
	case r.stopped:
		entry.Outcome = OutcomeCancelled
		a = doubt(a, r.Action)
	default:
		entry.Outcome, entry.Notices = OutcomeFailed, notice.For(r.err)
		a = doubt(a, r.Action)
		a = blame(d, a, r, now, c)
	}
	if a.Last == nil {
		a.Last = map[Kind]Entry{}
	}
	a.Last[r.Kind] = entry
	return a
}

// achieve is a after x worked. Its maps are a's, which is a clone already.
func achieve(a Actual, x Action) Actual {
	s := x.Setup
	switch x.Kind {
	case Roster:
		a.Roster = s.Roster
	case Content:
		a.Content = s.Content
	case Image:
		a.Images = with(a.Images, s.Image)
	case Environment:
		a.Environments = with(a.Environments, s.EnvironmentKey())
	case Deploy:
		a.Serving, a.Garbage = s, true
		a.Good = remember(a.Good, s)
	case Kernels:
		a.Kernels = s.KernelsKey()
	case Seal:
		a.Sealed = s.SealKey()
	case Collect:
		a = forget(a, x.Keep)
		a.Garbage = false
	}
	return a
}

// forget is a after a Collect, as far as it may have come: what it was not told to keep
// counts as gone until somebody looks. Building what is there after all costs nothing.
func forget(a Actual, keep []Setup) Actual {
	maps.DeleteFunc(a.Images, func(image string, _ bool) bool {
		return !slices.ContainsFunc(keep, func(s Setup) bool { return s.Image == image })
	})
	maps.DeleteFunc(a.Environments, func(key string, _ bool) bool {
		return !slices.ContainsFunc(keep, func(s Setup) bool { return s.EnvironmentKey() == key })
	})
	a.Checked = 0
	return a
}

// doubt is a after x stopped half way: what it may have changed is
// not known any more. An accounts file or a mount that is half new must be made again
// even if the wish goes back; what serves is looked at.
func doubt(a Actual, x Action) Actual {
	switch x.Kind {
	case Roster:
		a.Roster = ""
	case Content:
		a.Content = ""
	case Kernels:
		a.Kernels = ""
	case Deploy:
		a.Checked = 0
	case Collect:
		a = forget(a, x.Keep)
	}
	return a
}

// blame is a with one more failure of r's step.
func blame(d Desired, a Actual, r outcome, now time.Time, c Config) Actual {
	key := step(r.Kind, r.Setup)
	f := a.Failures[key]
	if f.Wish != d.Wish {
		f = Failure{}
	}
	f.Kind, f.Setup, f.Wish, f.Notices = r.Kind, r.Setup.ID, d.Wish, notice.For(r.err)
	f.Tries++
	f.Permanent = IsPermanent(r.err) && r.Kind != Observe
	f.GaveUp = f.GaveUp || f.stuck()
	switch {
	case f.Permanent:
		f.Until = time.Time{}
	case r.Kind == Observe: // never given up: nothing else can be done before
		f.Until = now.Add(min(c.Backoff<<min(f.Tries-1, 3), c.Resync))
	case f.stuck() && r.Kind == Deploy && a.Serving.ID == "":
		f.Until = now.Add(min(6*c.Backoff, c.Resync)) // no class: do not wait long
	case f.stuck():
		f.Until = now.Add(c.Resync)
	default:
		f.Until = now.Add(c.Backoff << (f.Tries - 1))
	}
	if a.Failures == nil {
		a.Failures = map[string]Failure{}
	}
	maps.DeleteFunc(a.Failures, func(_ string, old Failure) bool { return old.Wish != d.Wish })
	a.Failures[key] = f
	return a
}

// merge is a with what an observation saw, except where an action ran beside it: there
// the result of the action is newer.
func merge(d Desired, a Actual, seen Actual, f flight) Actual {
	quiet := func(kinds ...Kind) bool {
		return !slices.ContainsFunc(kinds, func(k Kind) bool { return f.touched[k] })
	}
	a, seen = a.clone(), seen.clone()
	if quiet(Roster) {
		a.Roster = seen.Roster
	}
	if quiet(Content) {
		a.Content = seen.Content
	}
	if quiet(Image, Collect) {
		a.Images = seen.Images
	}
	if quiet(Environment, Collect) {
		a.Environments = seen.Environments
	}
	if quiet(Kernels) {
		a.Kernels = seen.Kernels
	}
	if quiet(Seal, Collect) {
		a.Sealed = seen.Sealed
	}
	a.Observed = true
	if quiet(Deploy) {
		a.Serving = known(d, a, seen.Serving)
		a.Checked = f.check
	}
	return a
}

// known is s as it was wished, when it was: an observer may know no more than the ID.
func known(d Desired, a Actual, s Setup) Setup {
	for _, k := range append([]Setup{d.Setup, d.Fallback}, a.Good...) {
		if s.ID != "" && k.ID == s.ID {
			return k
		}
	}
	return s
}

// reboot is the Actual to start with. What was running when the power went counts as
// tried, so that a build which takes the machine down is not begun for ever; what was
// given up waits, and everything else is tried at once: the clock of a box without a
// battery says nothing about how long it was off.
func reboot(s State, now time.Time, resync time.Duration) Actual {
	a := s.Actual.clone()
	if a.Failures == nil {
		a.Failures = map[string]Failure{}
	}
	for _, x := range s.Running {
		a.Garbage = a.Garbage || x.Kind != Observe
		if !slices.Contains([]Kind{Image, Environment, Kernels, Seal}, x.Kind) {
			continue
		}
		key := step(x.Kind, x.Setup)
		f := a.Failures[key]
		if f.Wish != s.Desired.Wish {
			f = Failure{}
		}
		f.Kind, f.Setup, f.Wish, f.Tries = x.Kind, x.Setup.ID, s.Desired.Wish, f.Tries+1
		f.GaveUp = f.GaveUp || f.stuck()
		f.Notices = interrupted(x.Kind)
		a.Failures[key] = f
	}
	for key, f := range a.Failures {
		f.Until = time.Time{}
		if f.stuck() && !f.Permanent {
			f.Until = now.Add(resync)
		}
		a.Failures[key] = f
	}
	return a
}

// with is set and key.
func with(set map[string]bool, key string) map[string]bool {
	if set == nil {
		set = map[string]bool{}
	}
	set[key] = true
	return set
}
