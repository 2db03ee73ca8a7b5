package main

import (
	"slices"
	"testing"
)

// TestA15: the old make targets are gone; their verbs, and those of conjuring.sh, are
// commands of ours.
func TestA15(t *testing.T) {
	term, _, _ := plainTerminal()
	var names []string
	for _, c := range newRoot(term).Commands() {
		names = append(names, c.Name())
		if c.Short == "" {
			t.Errorf("%s has no line that says what it is for", c.Name())
		}
	}
	for _, want := range []string{"up", "down", "build", "daemon", "status", "check", "init", "apply", "users", "env", "doctor", "version"} {
		if !slices.Contains(names, want) {
			t.Errorf("there is no command %s", want)
		}
	}
}
