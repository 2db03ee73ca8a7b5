package appliance

import (
	"context"
	"errors"
	"time"

	"github.com/conjuring/conjured/notice"
)

// Kind says which part of the box an action touches. At most one action of a kind
// runs at a time.
type Kind string

// The kinds of action, in the order in which a new setup meets them.
const (
	Observe     Kind = "observe"     // look at the world; done by Config.Observer
	Roster      Kind = "roster"      // make the accounts what Setup.Roster says
	Content     Kind = "content"     // publish home_default and shared
	Image       Kind = "image"       // build the system image
	Environment Kind = "environment" // build the environment in the setup's image
	Deploy      Kind = "deploy"      // flip label and image, swap the hub if its inputs changed
	Kernels     Kind = "kernels"     // see to the other environments, which the class does not wait for
	Collect     Kind = "collect"     // remove what neither serves nor may come back
	Seal        Kind = "seal"        // make the image latest complete by itself
)

// Action is one step towards the wish.
type Action struct {
	Kind  Kind    `json:"kind"`
	Setup Setup   `json:"setup"`
	Keep  []Setup `json:"keep,omitempty"` // Collect only: setups whose parts must stay
}

// Result is what an action that worked has to tell.
type Result struct {
	Notices notice.List
}

// Worker carries out the actions of one kind.
//
// Do must be idempotent, leave what serves as it was when it fails, and return within
// two seconds of ctx's end. Deploy goes by the roster and content last applied, not by
// Setup.Roster, and answers nil only when the class can be used. An error is taken as
// passing and tried again, unless it is [Permanent]; its notices are found by
// [notice.For].
type Worker interface {
	Do(ctx context.Context, x Action) (Result, error)
}

// Observer looks at the world. It fills the first part of [Actual]: what is built,
// applied, sealed, and what serves. Of Serving only the ID is needed when the setup
// has been wished here before; Serving is zero while the class cannot be used or this
// process still has to attach itself to it, since Deploy does that.
type Observer interface {
	Observe(ctx context.Context) (Actual, error)
}

// permanent is an error that trying again cannot mend.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent reports true; any error in the chain with such a method is taken so.
func (permanent) Permanent() bool { return true }

// Permanent marks err as one that lies in what the teacher gave: the action is not
// tried again until there is a new wish. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// IsPermanent tells whether an error in err's chain says so of itself by a method
// Permanent() bool.
func IsPermanent(err error) bool {
	var p interface{ Permanent() bool }
	return errors.As(err, &p) && p.Permanent()
}

// limit is how long an action may take before it is stopped and counted as failed.
func limit(k Kind) time.Duration {
	switch k {
	case Observe, Roster:
		return time.Minute
	case Content, Deploy, Collect:
		return 10 * time.Minute
	}
	return 2 * time.Hour // builds: a slow uplink is no reason to give up
}
