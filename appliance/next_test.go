package appliance

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawState is any state at all, also ones that no history leads to.
func drawState(t *rapid.T) (Desired, Actual, map[Kind]Action) {
	kinds := append(wished(), Observe, Collect, Seal)
	d := Desired{Wish: 2, Check: 1}
	if rapid.Bool().Draw(t, "wished") {
		d.Setup = drawSetup(t, "wish")
	}
	if rapid.Bool().Draw(t, "has fallback") {
		d.Fallback = Setup{ID: "fallback", Image: "builtin", Environment: "core"}
	}
	a := Actual{
		Roster:  rapid.SampledFrom([]string{"", "r1", "r2"}).Draw(t, "roster"),
		Kernels: rapid.SampledFrom([]string{"", "i1+k1"}).Draw(t, "kernels"),
		Images:  map[string]bool{}, Environments: map[string]bool{}, Failures: map[string]Failure{},
		Garbage: rapid.Bool().Draw(t, "garbage"), Observed: rapid.IntRange(0, 9).Draw(t, "observed") > 0,
		ReadOnly: rapid.IntRange(0, 5).Draw(t, "read-only") == 0, Checked: uint64(rapid.IntRange(0, 1).Draw(t, "checked")),
	}
	setups := []Setup{d.Setup, d.Fallback}
	for _, label := range []string{"good", "better"} {
		if rapid.Bool().Draw(t, label) {
			s := drawSetup(t, label)
			a.Good, setups = append(a.Good, s), append(setups, s)
		}
	}
	if rapid.Bool().Draw(t, "serves") {
		a.Serving = rapid.SampledFrom(setups).Draw(t, "serving")
	}
	for _, s := range setups {
		if rapid.Bool().Draw(t, "image of "+s.ID) {
			a.Images[s.Image] = true
		}
		if rapid.Bool().Draw(t, "environment of "+s.ID) {
			a.Environments[s.EnvironmentKey()] = true
		}
		for _, k := range kinds {
			if rapid.IntRange(0, 4).Draw(t, "failure") > 0 {
				continue
			}
			f := Failure{Kind: k, Setup: s.ID, Wish: uint64(rapid.IntRange(1, 2).Draw(t, "wish")), Tries: rapid.IntRange(1, 3).Draw(t, "tries"), Permanent: rapid.Bool().Draw(t, "permanent")}
			if rapid.Bool().Draw(t, "waits") {
				f.Until = time.Unix(1, 0)
			}
			f.GaveUp = f.stuck()
			a.Failures[step(k, s)] = f
		}
	}
	running := map[Kind]Action{}
	for _, k := range kinds {
		if rapid.IntRange(0, 4).Draw(t, "runs") == 0 {
			running[k] = Action{Kind: k, Setup: rapid.SampledFrom(setups).Draw(t, "what "+string(k))}
		}
	}
	return d, a, running
}

func TestNextKeepsTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, a, running := drawState(t)
		out := next(d, a, running)
		var kinds []Kind
		for _, x := range out {
			s := x.Setup
			if _, busy := running[x.Kind]; busy || slices.Contains(kinds, x.Kind) {
				t.Errorf("%s twice", x.Kind)
			}
			kinds = append(kinds, x.Kind)
			if !a.Observed && x.Kind != Observe {
				t.Errorf("%s before the world was looked at", x.Kind)
			}
			if a.ReadOnly && x.Kind != Observe && (x.Kind != Deploy || !slices.Contains(a.Good, s)) {
				t.Errorf("%s of %s though nothing can be saved", x.Kind, s.ID)
			}
			if f := a.Failures[step(x.Kind, s)]; f.Wish == d.Wish && (!f.Until.IsZero() || f.stuck() && x.Kind != Observe) {
				t.Errorf("%s of %s is started in spite of %+v", x.Kind, s.ID, f)
			}
			alone := len(out)+len(running) == 1
			switch x.Kind {
			case Deploy:
				if !a.Images[s.Image] || !a.Environments[s.EnvironmentKey()] {
					t.Errorf("deploys %s unbuilt", s.ID)
				}
				if restoring := a.Serving.ID == "" && slices.Contains(a.Good, s); !restoring && a.Roster != d.Setup.Roster {
					t.Errorf("deploys %s before the roster", s.ID)
				}
			case Kernels:
				if a.Serving.ID != s.ID {
					t.Errorf("kernels of %s while %q serves", s.ID, a.Serving.ID)
				}
			case Environment:
				if !a.Images[s.Image] {
					t.Errorf("environment of %s without its image", s.ID)
				}
			case Roster, Content:
				if s != d.Setup {
					t.Errorf("%s of %s, which nobody wishes", x.Kind, s.ID)
				}
			case Collect, Seal:
				if !alone || s.ID != a.Serving.ID {
					t.Errorf("%s of %s beside %v and %v", x.Kind, s.ID, kinds, running)
				}
			}
		}
	})
}

func TestUselessSparesWhatIsNeeded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, a, running := drawState(t)
		target := view{d, a}.target()
		if _, busy := running[Kernels]; busy && !(view{d, a}).met(Deploy, target) && !slices.Contains(useless(d, a, running), Kernels) {
			t.Errorf("the kernels do not give way to the class of %s", target.ID)
		}
		for _, k := range useless(d, a, running) {
			if k == Deploy || k == Observe {
				t.Errorf("%s is cancelled", k)
			}
			givesWay := k == Kernels && !view{d, a}.met(Deploy, target)
			if slices.Contains(wished(), k) && !givesWay && step(k, running[k].Setup) == step(k, target) {
				t.Errorf("%s is cancelled though %s needs it", k, target.ID)
			}
		}
	})
}

// Other packages of the class itself do not wait for those of another kernel, also when
// that one is needed afterwards as it is.
func TestKernelsGiveWay(t *testing.T) {
	old, wish := setup("r1", "i1", "e1"), setup("r1", "i1", "e2")
	old.Kernels, wish.Kernels = "k1", "k1"
	a := Actual{Serving: old, Observed: true, Images: map[string]bool{"i1": true}}
	running := map[Kind]Action{Kernels: {Kind: Kernels, Setup: old}}
	if got := useless(Desired{Setup: wish, Wish: 2}, a, running); len(got) != 1 || got[0] != Kernels {
		t.Errorf("stopped for the class: %v", got)
	}
	if got := useless(Desired{Setup: old, Wish: 1}, a, running); len(got) != 0 {
		t.Errorf("stopped without need: %v", got)
	}
}

// The way of a first class, one state after the other.
func TestNextStepByStep(t *testing.T) {
	s := setup("r1", "i1", "e1")
	s.Kernels = "k1"
	d := Desired{Setup: s, Wish: 1, Check: 1}
	var a Actual
	for _, want := range []string{"observe", "roster content image", "environment", "deploy", "kernels", "collect", "observe", "seal", ""} {
		var got []string
		for _, x := range next(d, a, nil) {
			got = append(got, string(x.Kind))
			if x.Kind == Observe {
				a.Observed, a.Checked = true, d.Check
			} else {
				a = achieve(a, x)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// An image that Docker has lost is made again while the class runs on, and the class is
// not switched over for it by anybody but its own worker.
func TestNextMakesALostImageAgain(t *testing.T) {
	s := Setup{ID: "a", Roster: "r", Content: "c", Image: "i", Environment: "e", Kernels: "k"}
	d := Desired{Setup: s, Wish: 1, Check: 1}
	a := Actual{
		Roster: "r", Content: "c", Serving: s, Observed: true, Checked: 1,
		Images: map[string]bool{}, Environments: map[string]bool{s.EnvironmentKey(): true}, Failures: map[string]Failure{},
	}
	if out := next(d, a, nil); len(out) != 1 || out[0].Kind != Image {
		t.Errorf("with a lost image: %v", out)
	}
	a.Failures[step(Image, s)] = Failure{Kind: Image, Wish: 1, Tries: maxTries, GaveUp: true, Until: time.Unix(1, 0)}
	if out := next(d, a, nil); len(out) != 1 || out[0].Kind != Kernels {
		t.Errorf("when it cannot be made: %v", out)
	}
	a.Failures, a.Images["i"] = nil, true
	if out := next(d, a, nil); len(out) != 1 || out[0].Kind != Kernels {
		t.Errorf("when it is there: %v", out)
	}
}
