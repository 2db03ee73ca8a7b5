package desk

import (
	"context"
	"fmt"
	"time"
)

// Environment is what kernels of one name run in, as it is now.
type Environment struct {
	Name     string // in acts
	Display  string // as the teacher wrote it
	For      string // who sees it: "everybody", "course geo-101", "12 students"
	Python   string // "3.13"
	Packages int
	Since    time.Time // when what is in use was made; zero when nothing was made yet
	Waiting  string    // what changes when it is promoted, a sentence; "" when nothing waits
	Before   bool      // there is something to go back to
	Trouble  string    // why the newest wish did not come true; "" for nothing
}

// Environments are the packages of the class. Promote and Rollback take effect for
// kernels that start from then on, and give a sentence about what changes.
type Environments interface {
	Environments(ctx context.Context) ([]Environment, error)
	Promote(ctx context.Context, name string) (sentence string, err error)
	Rollback(ctx context.Context, name string) (sentence string, err error)
}

const (
	verbPromote  = "promote"  // what waits
	verbRollback = "rollback" // to what was before
)

// packagesPart is the packages in words: what somebody should look at, and the rest.
type packagesPart struct {
	There       bool
	Open, Quiet []packagesRow
}

type packagesRow struct {
	Environment
	Text     string
	Promote  string // acts; "" when there is nothing to do
	Rollback string
}

func packagesOf(s *scene) packagesPart {
	p := packagesPart{There: len(s.environments) > 0}
	for _, e := range s.environments {
		r := packagesRow{Environment: e, Text: inUse(e)}
		if e.Display == "" {
			r.Display = e.Name
		}
		if e.Waiting != "" {
			r.Promote = code(verbPromote, e.Name)
		}
		if e.Before {
			r.Rollback = code(verbRollback, e.Name)
		}
		if e.Waiting != "" || e.Trouble != "" || e.Since.IsZero() {
			p.Open = append(p.Open, r)
		} else {
			p.Quiet = append(p.Quiet, r)
		}
	}
	return p
}

// inUse says what the class has now.
func inUse(e Environment) string {
	switch {
	case e.Since.IsZero() && e.Trouble != "":
		return "Not made yet."
	case e.Since.IsZero():
		return "Being made for the first time."
	}
	s := fmt.Sprintf("%d packages", e.Packages)
	if e.Packages == 1 {
		s = "1 package"
	}
	if e.Python != "" {
		s += " with Python " + e.Python
	}
	return s + ", made " + clock(e.Since) + "."
}

// changePackages is what the two buttons of an environment do.
func (d *Desk) changePackages(ctx context.Context, o order) said {
	if d.config.Environments == nil {
		return trouble(errNothing)
	}
	do, what, undo, label := d.config.Environments.Promote, "The new packages are in use", verbRollback, "Go back to the ones before"
	if o.Verb == verbRollback {
		do, what, label = d.config.Environments.Rollback, "The packages of before are in use again", "Take that back"
	}
	sentence, err := do(ctx, o.Name)
	if err != nil {
		return trouble(err)
	}
	s := word(what, "Notebooks that are open keep what they have until their kernel is restarted.")
	if sentence != "" { // it says who notices
		s.What, s.Means = s.What+": "+sentence, ""
	}
	s.Undo, s.Label = code(undo, o.Name), label
	return s
}
