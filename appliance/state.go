package appliance

import (
	"maps"
	"slices"
	"time"

	"github.com/conjuring/conjured/notice"
)

const (
	maxTries = 3 // of one step for one wish, before it waits for the resync
	keepGood = 5 // setups that have served, for Undo and for the next start
)

// Desired is what the box should do. Only events change it.
type Desired struct {
	Setup Setup  `json:"setup"` // zero until the first wish
	Wish  uint64 `json:"wish"`  // counts wishes; a new one gives every step new tries

	Fallback Setup  `json:"-"` // Config.Fallback
	Check    uint64 `json:"-"` // counts demands to look at the world; never 0
}

// Actual is what is known to be true. Only results change it.
type Actual struct {
	// What an Observer answers.
	Roster       string          `json:"roster"`       // the roster applied; "" when none or not known
	Content      string          `json:"content"`      // the content published; "" when none or not known
	Images       map[string]bool `json:"images"`       // Setup.Image of what is built
	Environments map[string]bool `json:"environments"` // Setup.EnvironmentKey of what is built
	Serving      Setup           `json:"serving"`      // what the class runs; zero when there is no class
	Kernels      string          `json:"kernels"`      // Setup.KernelsKey of the other environments; "" when not known
	Sealed       string          `json:"sealed"`       // Setup.SealKey of the image latest

	// What the owner remembers; an Observer leaves these zero.
	Good     []Setup            `json:"good"`     // have served, the last one last
	Failures map[string]Failure `json:"failures"` // by step
	Last     map[Kind]Entry     `json:"last"`     // the newest result of each kind
	Garbage  bool               `json:"garbage"`  // something was deployed since the last Collect
	Observed bool               `json:"-"`        // the world was looked at since the start
	Checked  uint64             `json:"-"`        // the Desired.Check that was met last; 0 after a failed Deploy
	ReadOnly bool               `json:"-"`        // the store cannot save
}

// Failure is what is remembered about a step that failed. It counts only for the wish
// in which it happened.
type Failure struct {
	Kind      Kind        `json:"kind"`
	Setup     string      `json:"setup"` // ID
	Wish      uint64      `json:"wish"`
	Tries     int         `json:"tries"`
	Permanent bool        `json:"permanent"`
	GaveUp    bool        `json:"gave_up"` // permanent, or tried maxTries times, in this wish
	Until     time.Time   `json:"-"`       // not tried again before; zero means now
	Notices   notice.List `json:"notices"`
}

// stuck tells whether the step is not even waiting for another try.
func (f Failure) stuck() bool { return f.Permanent || f.Tries >= maxTries }

// Entry is one result, as the history keeps it.
type Entry struct {
	Time     time.Time     `json:"time"`
	Kind     Kind          `json:"kind"`
	Setup    string        `json:"setup"` // ID
	Outcome  string        `json:"outcome"`
	Duration time.Duration `json:"duration"` // nanoseconds
	Notices  notice.List   `json:"notices,omitempty"`
}

// The outcomes of an Entry.
const (
	OutcomeDone      = "done"
	OutcomeFailed    = "failed"
	OutcomeCancelled = "cancelled" // not needed any more, or the daemon stopped
)

// State is what survives a power cut.
type State struct {
	Desired Desired  `json:"desired"`
	Actual  Actual   `json:"actual"`  // a hint: the world is observed anew at each start
	Running []Action `json:"running"` // saved before they are started
}

// Store keeps the state. Save is atomic and durable: when it returns nil, every later
// Load gives that state or a newer one, also after a power cut; after an error it gives
// that state or the one before. Record appends to the history and may lose entries.
type Store interface {
	// Load gives the zero State when there is none, and notices about what was lost.
	Load() (State, notice.List, error)
	Save(s State) error
	Record(e Entry) error
}

// step names what an action achieves, so that two setups that need the same thing
// share its failures.
func step(k Kind, s Setup) string {
	switch k {
	case Roster:
		return string(k) + ":" + s.Roster
	case Content:
		return string(k) + ":" + s.Content
	case Image:
		return string(k) + ":" + s.Image
	case Environment:
		return string(k) + ":" + s.EnvironmentKey()
	case Kernels:
		return string(k) + ":" + s.KernelsKey()
	case Seal:
		return string(k) + ":" + s.SealKey()
	case Deploy:
		return string(k) + ":" + s.ID
	}
	return string(k)
}

// clone is a copy that shares no map or slice with a, so that snapshots stay as they are.
func (a Actual) clone() Actual {
	a.Images = maps.Clone(a.Images)
	a.Environments = maps.Clone(a.Environments)
	a.Failures = maps.Clone(a.Failures)
	a.Last = maps.Clone(a.Last)
	a.Good = slices.Clone(a.Good)
	return a
}
