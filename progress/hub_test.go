package progress_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/conjuring/conjured/progress"
)

// A watcher that never reads cannot hold up the work.
func TestSlowWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h progress.Hub
		slow, stop := h.Watch()
		var work sync.WaitGroup
		for w := range 4 {
			work.Go(func() {
				for i := range 10_000 {
					h.Progress(progress.Event{Job: "image", Step: fmt.Sprint(w), Done: int64(i)})
				}
			})
		}
		work.Wait() // deadlocks, and so fails, if a slow watcher could block
		stop()
		stop()
		n := 0
		for range slow {
			n++
		}
		if n == 0 || n > 1000 {
			t.Errorf("the slow watcher got %d events", n)
		}
	})
}

// Late comers see the newest events of a job, each with a time.
func TestRecent(t *testing.T) {
	var h progress.Hub
	for i := range 500 {
		h.Progress(progress.Event{Job: "image", Done: int64(i)})
	}
	h.Progress(progress.Event{Job: "hub", Step: "starting"})
	r := h.Recent("image")
	if len(r) != 200 || r[0].Done != 300 || r[199].Done != 499 || r[0].Time.IsZero() {
		t.Errorf("%d events, from %+v", len(r), r[0])
	}
	if l := h.Newest(); len(l) != 2 || l[0].Done != 499 || l[1].Step != "starting" {
		t.Errorf("newest are %+v", l)
	}
	if r := h.Recent("nothing"); len(r) != 0 {
		t.Errorf("of no job: %+v", r)
	}
}
