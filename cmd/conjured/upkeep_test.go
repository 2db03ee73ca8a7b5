package main

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"
)

// A box is switched off between lessons, and its clock may jump.
func TestUpkeepIsDueByItsNote(t *testing.T) {
	dir := t.TempDir()
	var done int
	fail := errors.New("no room")
	c := chore{"pack", 24 * time.Hour, func(context.Context) error { done++; return fail }}
	at := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	for i, step := range []struct {
		after time.Duration
		want  int
	}{
		{0, 1},              // never done
		{time.Hour, 1},      // not yet due, although it failed
		{25 * time.Hour, 2}, // due
		{26 * time.Hour, 2},
		{-48 * time.Hour, 3}, // the clock went back: the note is from the future
		{-47 * time.Hour, 3},
	} {
		b := &box{place: place{State: dir}, log: slog.New(slog.DiscardHandler)} // switched off and on
		b.attend(t.Context(), c, at.Add(step.after))
		if done != step.want {
			t.Errorf("step %d: done %d times, want %d", i, done, step.want)
		}
	}

	// What was cut short is not done.
	ctx, cancel := context.WithCancel(t.Context())
	b := &box{place: place{State: t.TempDir()}, log: slog.New(slog.DiscardHandler)}
	c.do = func(context.Context) error { cancel(); return ctx.Err() }
	b.attend(ctx, c, at)
	if !due(b.place.join("chores", c.name), c.every, at) {
		t.Error("noted as done")
	}
}
