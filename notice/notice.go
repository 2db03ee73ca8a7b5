// Package notice is what people are told: what happened, what it means for the
// lesson, and what to do about it.
//
// A notice is a value. Inside the program errors stay errors ("cannot X: cause");
// at the edge where a person can act one is wrapped as an [Error], and [For] finds
// it again anywhere in the chain.
package notice

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Severity says how much a notice matters for the lesson.
type Severity string

// The severities, from worst to mildest.
const (
	SeverityError   Severity = "error"   // something was refused; the class is as it was
	SeverityWarning Severity = "warning" // it works, and differs from what somebody may expect
	SeverityInfo    Severity = "info"    // good to know
)

// Notice is one thing told to a person. The zero Notice says nothing.
type Notice struct {
	Code     string   `json:"code"` // stable, kebab-case
	Severity Severity `json:"severity"`
	File     string   `json:"file,omitempty"` // slash-separated, relative to the teacher's folder
	Line     int      `json:"line,omitempty"` // 1-based; 0 when the whole file is meant
	What     string   `json:"what"`           // a fact: file, line, name, number
	Means    string   `json:"means"`          // its effect on the lesson, and what still works
	Do       string   `json:"do"`             // one step the reader can take
}

// Where is "file:line", "file", or "" for a notice about no file.
func (n Notice) Where() string {
	if n.File == "" || n.Line == 0 {
		return n.File
	}
	return fmt.Sprintf("%s:%d", n.File, n.Line)
}

// String is the notice on up to three lines, without a final newline.
func (n Notice) String() string {
	var b strings.Builder
	if w := n.Where(); w != "" {
		fmt.Fprintf(&b, "%s: ", w)
	}
	b.WriteString(n.What)
	for _, s := range []string{n.Means, n.Do} {
		if s != "" {
			b.WriteString("\n  " + s)
		}
	}
	return b.String()
}

// Error is a notice that travels as an error. Err, its cause, may be nil.
type Error struct {
	Notice
	Err error
}

// Error is what happened, without the advice, and its cause.
func (e *Error) Error() string {
	s := e.What
	if w := e.Where(); w != "" {
		s = w + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// List is several notices that travel as one error: all problems at once.
type List []Notice

// Error is the first problem and how many more there are.
func (l List) Error() string {
	switch len(l) {
	case 0:
		return "no notices"
	case 1:
		return l[0].What
	}
	return fmt.Sprintf("%s (and %d more)", l[0].What, len(l)-1)
}

// HasErrors tells whether any notice is of severity error.
func (l List) HasErrors() bool {
	return slices.ContainsFunc(l, func(n Notice) bool { return n.Severity == SeverityError })
}

// Err is l as an error when it holds a notice of severity error, else nil.
func (l List) Err() error {
	if l.HasErrors() {
		return l
	}
	return nil
}

// For gives the notices in err's chain, or an honest general one, so that no raw
// error reaches a page. A nil err gives none.
func For(err error) List {
	if err == nil {
		return nil
	}
	var l List
	if errors.As(err, &l) {
		return l
	}
	var e *Error
	if errors.As(err, &e) {
		return List{e.Notice}
	}
	return List{{
		Code: "unexpected", Severity: SeverityError,
		What:  "something went wrong inside conjured: " + err.Error(),
		Means: "the class keeps running as it was before",
		Do:    "try again; if it happens again, run conjured doctor and send its report to whoever looks after the box",
	}}
}

// Sort orders notices by file, line and code, errors before the rest of a line.
func Sort(l List) {
	rank := func(s Severity) int { return slices.Index([]Severity{SeverityError, SeverityWarning, SeverityInfo}, s) }
	slices.SortStableFunc(l, func(a, b Notice) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		if c := rank(a.Severity) - rank(b.Severity); c != 0 {
			return c
		}
		return strings.Compare(a.Code, b.Code)
	})
}
