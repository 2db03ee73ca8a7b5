// Package progress carries the events of long work and fans them out.
//
// An event is a value and never more than news: losing one changes nothing, and
// the outcome of work is read from state, not from the stream. Each long call takes
// a [Sink] as a parameter; [Discard] is for callers that do not care.
package progress

import "time"

// State says where a step stands.
type State string

// The states of a step. The zero State is Running.
const (
	Running State = ""
	Done    State = "done"
	Failed  State = "failed"
	Stopped State = "stopped" // given up for something newer; nothing is wrong
)

// Event is one piece of news about a job.
type Event struct {
	Job   string    `json:"job"`             // what a person asked for: "image", "environment", "hub", ...
	Step  string    `json:"step"`            // what is being done now, in words: "installing 42 packages"
	Done  int64     `json:"done,omitempty"`  // of Total, in Unit
	Total int64     `json:"total,omitempty"` // 0 when not known
	Unit  string    `json:"unit,omitempty"`  // "steps", "packages", "MB"
	Line  string    `json:"line,omitempty"`  // a raw line of output, for those who want details
	Eta   float64   `json:"eta,omitempty"`   // seconds left by the durations of earlier runs; 0 when not known
	State State     `json:"state,omitempty"`
	Time  time.Time `json:"time"` // set by the Hub when zero
}

// Sink takes events. Progress must not block for long and may drop events.
type Sink interface {
	Progress(Event)
}

// Func makes a function a Sink.
type Func func(Event)

// Progress calls f.
func (f Func) Progress(e Event) { f(e) }

type discard struct{}

func (discard) Progress(Event) {}

// Discard is the Sink that forgets.
var Discard Sink = discard{}
