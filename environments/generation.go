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
	Number   int       `json:"number"` // from 1; a higher one was begun later
	ID       string    `json:"id"`     // sha256 of the canonical manifest, hex
	Image    string    `json:"image"`  // id of the image it was built in
	Built    time.Time `json:"built"`  // decoration only: the clock may be wrong
	Asked    []string  `json:"asked"`  // normalised names that the teacher's files ask for
	Tried    int       `json:"tried"`  // the generation in which Lab was last started: this one, or one with the same files for it; 0 unknown
	State    State     `json:"-"`
	Manifest Manifest  `json:"-"` // in the file manifest.txt beside it
}
