package users

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A thousand failing logins from five addresses delay one of a sixth by what the hub
// needs for one of each.
func TestDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const work = 15 * time.Millisecond // of the hub, for one
		d := NewDoor()
		hub := make(chan struct{}, 1) // it has one processor
		looked, sent := 0, 0
		login := func(from string, failed bool) {
			done, wait, err := d.Enter(t.Context(), from)
			hub <- struct{}{}
			defer func() { <-hub }()
			if err != nil || wait > 0 {
				sent++
				return
			}
			time.Sleep(work)
			looked++
			done(failed)
		}
		for i := range 1000 {
			go login(fmt.Sprintf("10.0.0.%d", 100+i%5), true)
		}
		synctest.Wait()
		for range 5 {
			began := time.Now()
			login("10.0.0.1", false)
			if took := time.Since(began); took > 20*work {
				t.Errorf("a right login waited %s", took)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if looked+sent != 1005 || sent < 500 {
			t.Errorf("%d were passed on and %d sent away", looked, sent)
		}
		if d.turns.busy != 0 {
			t.Errorf("%d places are lost", d.turns.busy)
		}
		time.Sleep(time.Hour)
		login("10.0.0.100", false)
		if _, there := d.addresses[computer("10.0.0.100")]; there {
			t.Error("an hour later the address is remembered")
		}
	})
}

// Whoever gives up waiting takes no place.
func TestDoorGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDoor()
		var in []func(bool)
		for range passAtOnce {
			done, _, err := d.Enter(t.Context(), "10.0.0.1")
			if err != nil {
				t.Fatal(err)
			}
			in = append(in, done)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := d.Enter(ctx, "10.0.0.1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		for _, done := range in {
			done(false)
		}
		if d.turns.busy != 0 || len(d.addresses) != 0 || len(d.turns.normal.lines) != 0 {
			t.Errorf("left: %d busy, %v", d.turns.busy, d.addresses)
		}
	})
}
