package main

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/conjuring/conjured/api"
)

// This file says what came of a verb, in the words of somebody who did not read the manual.

func printOutcomes(t *terminal, v api.EnvVerb, r api.EnvReply) {
	t.notices(r.Notices)
	for _, o := range r.Outcomes {
		if o.Env != "" {
			t.print("%s", outcomeWords(v, o))
		}
		t.notices(o.Notices)
		for _, file := range o.Missing {
			t.print("missing: %s", file)
		}
	}
	for _, line := range freedWords(r.Freed) {
		t.print("%s", line)
	}
	if len(r.Outcomes)+len(r.Notices)+len(r.Freed) > 0 {
		return
	}
	switch v { // nothing to do is said too
	case api.EnvGC:
		t.print("Nothing to remove: everything that is there is needed.")
	case api.EnvRepair:
		t.print("Nothing to repair: the history agrees with what is on the disk.")
	default:
		t.print("Nothing to do: there is no environment with packages yet.")
	}
}

// outcomeWords is one line: the environment, the sentence for the teacher, and where
// that left the labels.
func outcomeWords(v api.EnvVerb, o api.EnvOutcome) string {
	s := didWords(v, o)
	if o.Sentence != "" && o.Did != api.EnvFailed && o.Did != api.EnvUnchanged {
		s += " " + sentence(o.Sentence)
	}
	if l := labelWords(o.Labels); l != "" && o.Did != api.EnvUnchanged {
		s += " (" + l + ")"
	}
	return o.Env + ": " + s
}

// sentence gives words the beginning and the end of a sentence.
func sentence(s string) string {
	if s == "" {
		return s
	}
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + strings.TrimSuffix(s[n:], ".") + "."
}

// didWords says what was done.
func didWords(v api.EnvVerb, o api.EnvOutcome) string {
	named := namedWords(o)
	switch o.Did {
	case api.EnvUnchanged:
		return unchangedWords(v, named, o.Env)
	case api.EnvResolved:
		return "the exact list of packages is written down; nothing is built yet."
	case api.EnvTagged:
		return named + " names this list of packages now."
	case api.EnvDeployed:
		return named + " is built and tested; nobody uses it yet."
	case api.EnvPromoted:
		return named + " is in use: kernels that start from now on have it."
	case api.EnvWaits:
		return named + " is ready and waits for an OK (conjured env promote " + o.Env + ")."
	case api.EnvRolledBack:
		return "back to " + named + ": kernels that start from now on have it."
	case api.EnvLabelled:
		if o.Generation == 0 {
			return "the label is gone."
		}
		return "the label points at " + named + "."
	case api.EnvPinned:
		return named + " is kept until it is unpinned."
	case api.EnvUnpinned:
		return named + " may be removed when nothing needs it."
	case api.EnvWasReset:
		return "built anew, the same packages as before, as " + named + "."
	case api.EnvVerified:
		return named + " is exactly what its list says, and its kernel works."
	case api.EnvRemoved, api.EnvRemovable:
		return removedWords(v, o)
	case api.EnvRepaired:
		return "the history agrees with what is on the disk again."
	case api.EnvImported:
		return "imported."
	case api.EnvExported:
		return "the history is written there, for conda-gitenv and for import-gitenv."
	case api.EnvFailed:
		return "not done; it is exactly as it was."
	}
	return string(o.Did) + "."
}

// removedWords says what went, or would go: a generation, or all of an environment.
func removedWords(v api.EnvVerb, o api.EnvOutcome) string {
	s := ""
	if v != api.EnvRemove {
		s = namedWords(o) + " "
	}
	switch {
	case o.Did == api.EnvRemovable:
		s += "would be removed."
	case s != "":
		s += "is removed."
	default:
		s += "removed."
	}
	return s
}

// namedWords is what an outcome is about.
func namedWords(o api.EnvOutcome) string {
	switch {
	case o.Tag != "":
		return o.Tag
	case o.Generation > 0:
		return fmt.Sprintf("generation %d", o.Generation)
	}
	return "it"
}

// unchangedWords says why there was nothing to do.
func unchangedWords(v api.EnvVerb, named, env string) string {
	why := ""
	switch v {
	case api.EnvPromote:
		why = fmt.Sprintf("nothing waits, %s stays in use (conjured env rollback %s takes a change back, and a rollback too)", named, env)
	case api.EnvRollback:
		why = named + " is in use already"
	case api.EnvTag:
		why = named + " names this list of packages already"
	case api.EnvDeploy:
		why = named + " is built already"
	case api.EnvLabel:
		why = "it is so already"
	case api.EnvPin:
		why = named + " is kept already"
	case api.EnvUnpin:
		why = named + " was not pinned"
	case api.EnvResolve, api.EnvUpdate:
		why = "what the folder asks for is in use"
	case api.EnvRemove:
		why = "nobody asks for it any more"
	case api.EnvImport:
		why = "all of it is here already"
	default:
		return "nothing to do."
	}
	return "nothing to do: " + why + "."
}
