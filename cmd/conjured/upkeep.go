package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/conjuring/conjured/progress"
)

// chore is something that is done once in a while, when nobody works.
type chore struct {
	name  string
	every time.Duration
	do    func(context.Context) error
}

// chores are what keeps the packages in order.
func (b *box) chores() []chore {
	return []chore{
		{"collect", time.Hour, func(ctx context.Context) error { _, err := b.registry.GC(ctx, false); return err }},
		{"inspect", 24 * time.Hour, func(ctx context.Context) error {
			_, err := b.registry.Inspect(ctx, progress.Discard)
			return err
		}},
		{"pack", 7 * 24 * time.Hour, b.registry.Pack},
	}
}

// upkeepEvery is how often chores are thought of: a box may be switched on for a lesson
// only, so that what is due each week must not wait for a week of running.
const upkeepEvery = 10 * time.Minute

// upkeep does chores until ctx ends.
func (b *box) upkeep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(upkeepEvery):
		}
		for _, c := range b.chores() {
			if !b.classHours(ctx) {
				b.attend(ctx, c, time.Now())
			}
		}
	}
}

// attend does a chore that is due. When it was done is noted also if it failed: what
// fails is tried again when it is due again.
func (b *box) attend(ctx context.Context, c chore, now time.Time) {
	path := b.place.join("chores", c.name)
	if !due(path, c.every, now) {
		return
	}
	if err := c.do(ctx); err != nil {
		if ctx.Err() != nil {
			return
		}
		b.log.Warn("upkeep failed", "chore", c.name, "error", err)
	}
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = errors.Join(writeFile(path, nil, 0o600), os.Chtimes(path, now, now))
	}
	if err != nil {
		b.log.Warn("upkeep is done again too early", "chore", c.name, "error", err)
	}
}

// due tells whether a chore's note is old enough. One from the future was made with
// another clock, and says nothing.
func due(note string, every time.Duration, now time.Time) bool {
	fi, err := os.Stat(note)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		return false
	}
	age := now.Sub(fi.ModTime())
	return age < 0 || age >= every
}
