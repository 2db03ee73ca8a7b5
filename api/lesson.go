package api

import "time"

// Lesson is how far the servers are that were started before their students came.
type Lesson struct {
	On       bool         `json:"on"`                // between begin and end: nothing unused is stopped
	Since    time.Time    `json:"since,omitzero"`    // when it began
	Busy     bool         `json:"busy"`              // servers are being started
	Total    int          `json:"total"`             // accounts that a server is meant for
	Ready    int          `json:"ready"`             // of them, with a server that answers
	Starting int          `json:"starting"`          // of them, with one that starts
	Unused   int          `json:"unused"`            // servers that nobody has used yet
	Stopped  int          `json:"stopped,omitempty"` // by this request
	Eta      float64      `json:"eta,omitempty"`     // seconds until all are ready; 0 when not known
	Left     []LessonLeft `json:"left,omitempty"`    // who was passed over
}

// LessonLeft is somebody for whom no server was started. They get one when they log
// in, like everybody.
type LessonLeft struct {
	User string `json:"user"`
	Why  string `json:"why"`
}

// BeginClass asks for servers for these accounts, or for everybody when there are
// none.
type BeginClass struct {
	Users []string `json:"users,omitempty"`
}

// EndClass ends the lesson. Servers that nobody has used are stopped, with StopAll
// every student's.
type EndClass struct {
	StopAll bool `json:"stop_all,omitempty"`
}
