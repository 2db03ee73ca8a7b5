package appliance

import "slices"

// next returns the actions worth starting now. It is pure: every rule of order and
// safety is here or in [useless], and is tested without goroutines.
func next(d Desired, a Actual, running map[Kind]Action) []Action {
	var out []Action
	v := view{d, a}
	start := func(k Kind, s Setup) {
		if _, busy := running[k]; !busy && v.ready(k, s) {
			out = append(out, Action{Kind: k, Setup: s})
		}
	}
	// A look at the world while a deploy changes it would tell neither before nor after.
	if _, busy := running[Deploy]; d.Check != a.Checked && !busy {
		start(Observe, Setup{})
	}
	if !a.Observed {
		return out // what is saved is a hint, not a reason to act
	}
	if !a.ReadOnly && d.Setup.ID != "" {
		for _, k := range []Kind{Roster, Content} { // at once, whatever else goes on
			if !v.met(k, d.Setup) {
				start(k, d.Setup)
			}
		}
	}
	// Nothing serves: first of all what has served before, if it is still there.
	if good, ok := v.restorable(); ok {
		if v.rosterSettled() {
			start(Deploy, good)
		}
		return out
	}
	if a.ReadOnly || d.Setup.ID == "" {
		return out
	}
	// Collect removes things, so nothing is made beside it; useless stops it first.
	if _, busy := running[Collect]; busy {
		return out
	}
	s := v.target()
	switch {
	// Nobody waits for a class because of another kernel's packages. An image that Docker
	// has lost is made again while the class runs on.
	case v.met(Deploy, s) && (v.met(Image, s) || v.hopeless(Image, s)):
		if !v.met(Kernels, s) {
			start(Kernels, s)
		}
	case !v.met(Image, s):
		start(Image, s)
	case !v.met(Environment, s):
		start(Environment, s)
	case v.met(Roster, s):
		start(Deploy, s)
	}
	return append(out, v.background(out, running)...)
}

// useless returns the kinds whose running action no longer serves any purpose, or has
// to give way. Deploy is never among them: half a deploy is worse than an old one.
func useless(d Desired, a Actual, running map[Kind]Action) []Kind {
	v := view{d, a}
	s := v.target()
	var out []Kind
	for k, x := range running {
		var stop bool
		switch k {
		case Roster, Content, Image, Environment:
			stop = step(k, x.Setup) != step(k, s)
		case Kernels: // gives way to whatever the class itself waits for; what it has made stays
			stop = step(k, x.Setup) != step(k, s) || !v.met(Deploy, s)
		case Seal:
			stop = v.pending() || step(k, x.Setup) != step(k, a.Serving)
		case Collect:
			stop = v.pending()
		}
		if stop {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// view answers questions about a state.
type view struct {
	d Desired
	a Actual
}

// wished are the steps of a setup, each after those it needs.
func wished() []Kind { return []Kind{Roster, Content, Image, Environment, Deploy, Kernels} }

// needs are the steps that must be met before k is worth starting.
func needs(k Kind) []Kind {
	switch k {
	case Environment:
		return []Kind{Image}
	case Deploy:
		return []Kind{Roster, Image, Environment}
	case Kernels:
		return []Kind{Deploy}
	}
	return nil
}

// met tells whether step k of s is done.
func (v view) met(k Kind, s Setup) bool {
	switch k {
	case Roster:
		return v.a.Roster == s.Roster
	case Content:
		return v.a.Content == s.Content
	case Image:
		return v.a.Images[s.Image]
	case Environment:
		return v.a.Environments[s.EnvironmentKey()]
	case Deploy:
		return v.a.Serving.ID == s.ID
	case Kernels:
		return s.Kernels == "" || v.a.Kernels == s.KernelsKey()
	case Seal:
		return v.a.Sealed == s.SealKey()
	}
	return false
}

// failure is what is held against a step in this wish; the zero Failure is nothing.
func (v view) failure(k Kind, s Setup) Failure {
	f := v.a.Failures[step(k, s)]
	if f.Wish != v.d.Wish {
		return Failure{}
	}
	return f
}

// ready tells whether no failure forbids to start the step now.
func (v view) ready(k Kind, s Setup) bool {
	f := v.failure(k, s)
	return f.Until.IsZero() && (k == Observe || !f.stuck())
}

// hopeless tells whether a step cannot be met without a new wish or a resync.
func (v view) hopeless(k Kind, s Setup) bool {
	if v.met(k, s) {
		return false
	}
	return v.failure(k, s).stuck() || slices.ContainsFunc(needs(k), func(n Kind) bool { return v.hopeless(n, s) })
}

// gaveUp tells whether a step that s cannot be served without was given up in this
// wish, even if it is being tried again.
func (v view) gaveUp(s Setup) bool {
	return slices.ContainsFunc([]Kind{Roster, Image, Environment, Deploy}, func(k Kind) bool {
		return !v.met(k, s) && v.failure(k, s).GaveUp
	})
}

// pending tells whether something of the target can still be done, now or later.
func (v view) pending() bool {
	s := v.target()
	return s.ID != "" && slices.ContainsFunc(wished(), func(k Kind) bool {
		return !v.met(k, s) && !v.hopeless(k, s)
	})
}

// fallback is the built-in setup with the wish's accounts and content.
func (v view) fallback() Setup {
	f := v.d.Fallback
	f.Roster, f.Content = v.d.Setup.Roster, v.d.Setup.Content
	return f
}

// target is the setup to work for: the wish, or the fallback while there is no class
// and the wish was given up. Once begun the fallback is brought to its end, though the
// wish may get another try meanwhile: both would else cancel each other for ever.
func (v view) target() Setup {
	w, f := v.d.Setup, v.fallback()
	if v.a.Serving.ID != "" || f.ID == "" || w.ID == "" {
		return w
	}
	if v.gaveUp(w) && !v.gaveUp(f) {
		return f
	}
	if v.hopeless(Deploy, w) && !v.hopeless(Deploy, f) {
		return f
	}
	return w
}

// restorable is the newest good setup that is still built, while nothing serves.
func (v view) restorable() (Setup, bool) {
	if v.a.Serving.ID != "" {
		return Setup{}, false
	}
	for _, s := range slices.Backward(v.a.Good) {
		if v.met(Image, s) && v.met(Environment, s) && !v.failure(Deploy, s).stuck() {
			return s, true
		}
	}
	return Setup{}, false
}

// rosterSettled tells whether waiting for the wished roster is pointless: it is there,
// or it is not to be had; a class with the accounts of before beats no class.
func (v view) rosterSettled() bool {
	return v.d.Setup.ID == "" || v.met(Roster, v.d.Setup) || v.failure(Roster, v.d.Setup).stuck() || v.a.ReadOnly
}

// background is what may be done while there is nothing better to do.
func (v view) background(wanted []Action, running map[Kind]Action) []Action {
	s := v.a.Serving
	if len(wanted)+len(running) > 0 || s.ID == "" || v.pending() {
		return nil
	}
	switch {
	case v.a.Garbage && v.ready(Collect, s):
		return []Action{{Kind: Collect, Setup: s, Keep: v.keep()}}
	case s.Image != "" && !v.met(Seal, s) && v.ready(Seal, s):
		return []Action{{Kind: Seal, Setup: s}}
	}
	return nil
}

// keep are the setups that Collect must leave alone, each once.
func (v view) keep() []Setup {
	var out []Setup
	for _, s := range append([]Setup{v.d.Setup, v.a.Serving, v.d.Fallback}, v.a.Good...) {
		if s.ID != "" && !slices.ContainsFunc(out, func(o Setup) bool { return o.ID == s.ID }) {
			out = append(out, s)
		}
	}
	return out
}
