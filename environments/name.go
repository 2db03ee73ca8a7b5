package environments

import (
	"fmt"
	"regexp"
)

// Name is an environment's name: a lower-case letter, then letters, digits and
// underscores, at most 32 characters. "base" is the class's own.
type Name string

// Base is the environment of requirements.txt, in which the students' servers run.
const Base Name = "base"

// Label is a name for a generation: lower-case letters, digits, underscores and dots,
// not beginning with a dot, at most 32 characters.
type Label string

// The labels that are kept for a person. Flip maintains Previous whenever Current moves.
const (
	Current  Label = "current"
	Previous Label = "previous"
)

var (
	nameForm  = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	labelForm = regexp.MustCompile(`^[a-z0-9_][a-z0-9_.]{0,31}$`)
)

// Check is nil when n has the form of a name.
func (n Name) Check() error {
	if !nameForm.MatchString(string(n)) {
		return fmt.Errorf("%q is not a name of an environment", string(n))
	}
	return nil
}

// Check is nil when l has the form of a label.
func (l Label) Check() error {
	if !labelForm.MatchString(string(l)) {
		return fmt.Errorf("%q is not a label", string(l))
	}
	return nil
}
