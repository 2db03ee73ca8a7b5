package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/conjuring/conjured/notice"
)

// ErrStopped tells that Run has ended, so that nobody hears events any more.
var ErrStopped = errors.New("the appliance has stopped")

// ErrNoPrevious tells that there is no good setup to go back to.
var ErrNoPrevious = errors.New("no earlier setup has served")

// Config is what an Appliance is made of. Workers for all kinds but Observe, Observer
// and Store are required.
type Config struct {
	Workers  map[Kind]Worker
	Observer Observer
	Store    Store
	Fallback Setup         // served while the first wish of a new box fails; its Roster and Content are not used; zero: none
	Log      *slog.Logger  // nil discards
	Resync   time.Duration // the world is looked at, and what was given up is tried again, this often; 0 means 15 minutes
	Backoff  time.Duration // wait after a first failure, doubled after each further one; 0 means 10 seconds
}

// Appliance keeps the box as its teacher wants it. Make it with [New], call Run once.
type Appliance struct {
	cfg     Config
	boot    State
	lost    notice.List // what Load had to say
	events  chan event
	results chan outcome
	seen    atomic.Pointer[node]
	ended   chan struct{} // closed when Run has returned
}

// event asks the owner to change what is desired.
type event struct {
	change func(*Desired, Actual) error
	reply  chan error // buffered, so that the owner never waits for the asker
}

// New checks c and loads what was saved. A store of a newer version is a [notice.Error].
func New(c Config) (*Appliance, error) {
	for _, k := range append(wished(), Collect, Seal) {
		if c.Workers[k] == nil {
			return nil, fmt.Errorf("cannot make an appliance without a worker for %s", k)
		}
	}
	if c.Observer == nil || c.Store == nil {
		return nil, errors.New("cannot make an appliance without an observer and a store")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Resync <= 0 {
		c.Resync = 15 * time.Minute
	}
	if c.Backoff <= 0 {
		c.Backoff = 10 * time.Second
	}
	s, lost, err := c.Store.Load()
	if err != nil {
		return nil, fmt.Errorf("cannot load the state: %w", err)
	}
	s.Desired.Fallback, s.Desired.Check = c.Fallback, 1
	s.Actual = s.Actual.clone()
	a := &Appliance{
		cfg: c, boot: s, lost: lost,
		events: make(chan event), results: make(chan outcome, 8), ended: make(chan struct{}),
	}
	a.seen.Store(&node{snap: picture(s.Desired, s.Actual, nil, lost), next: make(chan struct{})})
	return a, nil
}

// Run works until ctx ends, then stops the actions, waits for them and saves. It
// answers an error only when an action did not stop. Call it once.
func (a *Appliance) Run(ctx context.Context) error {
	defer close(a.ended)
	o := newOwner(a)
	wake := time.NewTimer(0)
	defer wake.Stop()
	for {
		select {
		case <-ctx.Done():
			return o.stop()
		case e := <-a.events:
			o.hear(e)
		case r := <-a.results:
			o.fold(r)
		case <-wake.C:
		}
		wake.Reset(o.turn(ctx))
	}
}

// Wish makes s the setup to serve and gives each of its steps new tries, also when it
// was the wish before. When Wish returns nil the wish is saved and outlives a power
// cut; when the store cannot save, the wish before stands and the error is a notice.
// The directory setups/<ID> must be complete before.
func (a *Appliance) Wish(ctx context.Context, s Setup) error {
	if err := s.check(); err != nil {
		return err
	}
	return a.ask(ctx, func(d *Desired, _ Actual) error {
		d.Setup, d.Wish = s, d.Wish+1
		return nil
	})
}

// Undo wishes for the newest good setup that is not the present wish: what serves, when
// the wish failed, else what served before it. Twice Undo is back again. It gives that
// setup, or ErrNoPrevious.
func (a *Appliance) Undo(ctx context.Context) (Setup, error) {
	var to Setup
	err := a.ask(ctx, func(d *Desired, now Actual) error {
		i := len(now.Good) - 1
		for ; i >= 0; i-- {
			if id := now.Good[i].ID; id != d.Setup.ID && id != d.Fallback.ID {
				break
			}
		}
		if i < 0 {
			return ErrNoPrevious
		}
		to = now.Good[i]
		d.Setup, d.Wish = to, d.Wish+1
		return nil
	})
	return to, err
}

// Recheck has the world looked at anew, for those who hear that it changed: Docker
// came back, the hub's container died.
func (a *Appliance) Recheck(ctx context.Context) error {
	return a.ask(ctx, func(d *Desired, _ Actual) error {
		d.Check++
		return nil
	})
}

func (a *Appliance) ask(ctx context.Context, change func(*Desired, Actual) error) error {
	e := event{change, make(chan error, 1)}
	select {
	case a.events <- e:
	case <-a.ended:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	return <-e.reply // the owner answers within the turn that heard it
}

// remember is good with s as its newest, without the oldest beyond keepGood.
func remember(good []Setup, s Setup) []Setup {
	out := slices.DeleteFunc(slices.Clone(good), func(g Setup) bool { return g.ID == s.ID })
	out = append(out, s)
	return out[max(0, len(out)-keepGood):]
}
