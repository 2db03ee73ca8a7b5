package users

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

// passAtOnce is how many logins the hub works on together: it has one processor, and
// its other pages need it too.
const passAtOnce = 2

// Door lets login forms through to the hub one by one. A login costs the hub far more
// than it costs whoever sends a thousand of them, so addresses take turns before the
// hub is asked, and one whose logins fail again and again is served last (see turns).
// It knows no names: Login judges the password.
type Door struct {
	turns turns

	mu        sync.Mutex
	addresses map[netip.Prefix]tries
}

// NewDoor makes a door with nobody before it.
func NewDoor() *Door {
	return &Door{turns: turns{atOnce: passAtOnce}, addresses: map[netip.Prefix]tries{}}
}

// Enter waits for the turn of an address. The caller calls done when the hub has
// answered, once. A wait of more than 0 says when to try again: too many from this
// address are waiting. The error is ctx's.
func (d *Door) Enter(ctx context.Context, address string) (done func(failed bool), wait time.Duration, err error) {
	from := computer(address)
	sprayed := d.count(from, func(x *tries) { x.pending++ })
	leave, err := d.turns.take(ctx, from, admission{sprayed: sprayed})
	if err != nil {
		d.count(from, func(x *tries) { x.pending-- })
		if ctx.Err() == nil {
			return nil, crowdedWait, nil
		}
		return nil, 0, err
	}
	return func(failed bool) {
		leave()
		d.count(from, func(x *tries) {
			x.pending--
			if failed {
				x.wrong++
				x.last = time.Now()
			}
		})
	}, 0, nil
}

// count changes what is known about an address, and tells whether it had tried much
// before.
func (d *Door) count(from netip.Prefix, change func(*tries)) (sprayed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	x := d.addresses[from].at(time.Now(), sprayedFade)
	sprayed = x.wrong+x.pending >= sprayedAt
	change(&x)
	x.pending = max(0, x.pending)
	if x.wrong+x.pending == 0 {
		delete(d.addresses, from)
	} else {
		put(d.addresses, from, x, maxAddresses)
	}
	return sprayed
}
