package main

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/notice"
)

// What does not start in an image raises a doubt about it, once, and a test that has
// found nothing holds for a while. Anything else is nobody's doubt.
func TestDoubt(t *testing.T) {
	b := &box{log: slog.New(slog.DiscardHandler)}
	for _, err := range []error{nil, errors.New("no space left on device"), engine.ErrNotFound} {
		if got := b.startFailed(err); got != err || b.doubt.on.Load() {
			t.Errorf("%v became %v, and is doubted: %v", err, got, b.doubt.on.Load())
		}
	}
	lame := errors.New(`runc create failed: unable to start container process: exec: "/opt/conjured/bin/uv": exec format error`)
	for range 2 {
		if l := notice.For(b.startFailed(lame)); l[0].Code != "docker-damaged" || !b.doubt.on.Load() {
			t.Errorf("people are told %+v; doubt %v", l, b.doubt.on.Load())
		}
	}
	if b.doubt.raise() {
		t.Error("it was raised twice")
	}
	b.doubt.clear()
	if b.storeDamaged(lame); b.doubt.on.Load() {
		t.Error("right after a test that found nothing it is raised again")
	}
	for _, tested := range []time.Time{time.Now().Add(-2 * doubtAgain), time.Now().Add(time.Hour)} { // the clock may go back
		b.doubt.clear()
		b.doubt.tested.Store(tested.Unix())
		if b.storeDamaged(lame); !b.doubt.on.Load() {
			t.Errorf("tested at %v: no doubt", tested)
		}
	}
}
