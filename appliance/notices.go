package appliance

import (
	"fmt"
	"slices"

	"github.com/conjuring/conjured/notice"
)

// board holds the notices about the box itself that stand until they are mended.
type board struct {
	lost    notice.List // from Load
	unsaved notice.List
}

func (b board) list() notice.List { return append(slices.Clone(b.lost), b.unsaved...) }

// told are all notices of a state: standing ones, failures of this wish, and what
// actions that worked had to say about what is wished or serves; the worst come first.
func (v view) told(standing notice.List, fallback bool) []Told {
	var out []Told
	for _, n := range standing {
		out = append(out, Told{Notice: n})
	}
	if fallback {
		out = append(out, Told{Setup: v.d.Setup.ID, Kind: Deploy, Notice: onFallback()})
	}
	for _, k := range []Kind{Observe, Roster, Content, Image, Environment, Deploy, Kernels, Collect, Seal} {
		for _, key := range sortedKeys(v.a.Failures) {
			f := v.a.Failures[key]
			if f.Kind != k || f.Wish != v.d.Wish {
				continue
			}
			about := f.Setup
			if k == Observe || k == Collect {
				about = ""
			}
			for _, n := range f.Notices {
				out = append(out, Told{Setup: about, Kind: k, Notice: n})
			}
		}
		if e, ok := v.a.Last[k]; ok && e.Outcome == OutcomeDone && (e.Setup == v.d.Setup.ID || e.Setup == v.a.Serving.ID) {
			for _, n := range e.Notices {
				out = append(out, Told{Setup: e.Setup, Kind: k, Notice: n})
			}
		}
	}
	worst := []notice.Severity{notice.SeverityError, notice.SeverityWarning, notice.SeverityInfo}
	slices.SortStableFunc(out, func(x, y Told) int {
		return slices.Index(worst, x.Severity) - slices.Index(worst, y.Severity)
	})
	return out
}

func sortedKeys(m map[string]Failure) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func notSaved(err error) notice.List {
	return notice.List{{
		Code: "state-not-saved", Severity: notice.SeverityError,
		What:  fmt.Sprintf("the box cannot write down its state (%v)", err),
		Means: "the class goes on as it is, but nothing can be changed, since a power cut would lose the change",
		Do:    "make room on the box's disk; the box tries again by itself",
	}}
}

func onFallback() notice.Notice {
	return notice.Notice{
		Code: "serving-fallback", Severity: notice.SeverityWarning,
		What:  "the class runs on the built-in setup, because the folder's own could not be built",
		Means: "everybody can log in and work with the core packages; the folder's own packages and settings are missing",
		Do:    "mend what the other notices name and bring the folder again",
	}
}

func interrupted(k Kind) notice.List {
	return notice.List{{
		Code: "interrupted", Severity: notice.SeverityWarning,
		What:  fmt.Sprintf("the power went, or the box stopped, while it worked on: %s", k.words()),
		Means: "what served before serves again; the work is begun anew up to three times",
		Do:    "nothing, if it was the switch; if it happens each time, run conjured doctor",
	}}
}

// tooLong is err of an action that was stopped because it took too long.
func tooLong(k Kind, err error) error {
	return &notice.Error{Err: err, Notice: notice.Notice{
		Code: "took-too-long", Severity: notice.SeverityError,
		What:  fmt.Sprintf("%s did not finish within %s", k.words(), limit(k)),
		Means: "the class keeps running as it was before",
		Do:    "look at the box's uplink and disk; the box tries again by itself",
	}}
}

// words says to a person what a kind of action does.
func (k Kind) words() string {
	switch k {
	case Observe:
		return "looking at what runs"
	case Roster:
		return "setting up the accounts"
	case Content:
		return "publishing the shared files"
	case Image:
		return "building the class image"
	case Environment:
		return "installing the packages"
	case Deploy:
		return "switching the class over"
	case Kernels:
		return "installing the packages of the other kernels"
	case Collect:
		return "removing what is not needed any more"
	case Seal:
		return "completing the image latest"
	}
	return string(k)
}
