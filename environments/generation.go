package environments

import "time"

// State says how far a generation is.
type State string

// The states. A generation that was interrupted stays Building until Repair removes it.
const (
	Building State = "building"
	Ready    State = "ready" // complete and verified
)

// Generation is a frozen, tested copy of a manifest.
type Generation struct {
	Env      Name      `json:"env"`
	Number   int       `json:"number"`            // from 1; a higher one was begun later
	ID       string    `json:"id"`                // sha256 of the canonical manifest, hex
	Image    string    `json:"image"`             // id of the image it was built in
	Built    time.Time `json:"built"`             // decoration only: the clock may be wrong
	Asked    []string  `json:"asked"`             // normalised names that the teacher's files ask for
	Tried    int       `json:"tried"`             // the generation in which Lab was last started: this one, or one with the same files for it; 0 unknown
	Parent   int       `json:"parent,omitempty"`  // the generation that was in use then; 0 none
	Alone    bool      `json:"alone,omitempty"`   // it is Parent, file by file, and beside it New, which nothing in Parent looks for
	New      []string  `json:"new,omitempty"`     // the distributions added to Parent, normalised names; only when Alone
	Display  string    `json:"display,omitempty"` // the environment's name as the teacher wrote it; "" is Env
	Spec     string    `json:"spec,omitempty"`    // hash of what was asked for, hex
	Kernel   []string  `json:"kernel,omitempty"`  // how its kernel is started, after `launch ENV@LABEL`; nil: python -m ipykernel_launcher
	Set      string    `json:"set,omitempty"`     // sha256 of the file of variables that its kernels have, hex; "" when they have none
	State    State     `json:"-"`
	Manifest Manifest  `json:"-"` // in the file manifest.txt beside it
}
