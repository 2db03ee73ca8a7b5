package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/conjuring/conjured/progress"
)

// bars shows the progress of jobs. On a terminal each running job has one line that
// is drawn again in place; elsewhere each new step is one plain line. A job that
// ends leaves a line with the time it took.
type bars struct {
	t     *terminal
	jobs  []*job // in order of their start
	drawn int    // lines of the last drawing, to be cleared
}

type job struct {
	progress.Event
	started time.Time
}

// follow draws what comes over live, and runs what comes over lines above it, until ctx
// ends or live closes.
func (b *bars) follow(ctx context.Context, live <-chan progress.Event, lines <-chan func()) {
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	defer b.clear()
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-live:
			if !ok {
				return
			}
			b.take(e)
		case f := <-lines:
			b.clear()
			f()
		case <-tick.C:
			b.draw()
		}
	}
}

// take folds one event in, and prints what is to stay on the screen.
func (b *bars) take(e progress.Event) {
	j := b.job(e)
	before := j.Step
	if e.Step == "" {
		e.Step = before
	}
	j.Event = e
	switch {
	case e.State == progress.Done:
		b.remove(j)
		b.keep(fmt.Sprintf("%s   %-12s %s", b.t.paint("32", "done"), e.Job, elapsed(time.Since(j.started))))
	case e.State == progress.Failed:
		b.remove(j)
		b.keep(fmt.Sprintf("%s %-12s %s", b.t.paint("31", "failed"), e.Job, e.Step))
	case e.State == progress.Stopped:
		b.remove(j)
	case !b.t.live && e.Step != before:
		b.t.say("       %-12s %s", e.Job, j.text())
	}
}

func (b *bars) job(e progress.Event) *job {
	if i := slices.IndexFunc(b.jobs, func(j *job) bool { return j.Job == e.Job }); i >= 0 {
		return b.jobs[i]
	}
	j := &job{Event: progress.Event{Job: e.Job}, started: time.Now()}
	if !e.Time.IsZero() {
		j.started = e.Time
	}
	b.jobs = append(b.jobs, j)
	return j
}

func (b *bars) remove(gone *job) {
	b.jobs = slices.DeleteFunc(b.jobs, func(j *job) bool { return j == gone })
}

// keep prints a line that stays, above the moving ones.
func (b *bars) keep(line string) {
	b.clear()
	b.t.say("%s", line)
}

func (b *bars) clear() {
	if b.drawn > 0 {
		fmt.Fprintf(b.t.err, "\x1b[%dA\x1b[J", b.drawn)
		b.drawn = 0
	}
}

func (b *bars) draw() {
	if !b.t.live {
		return
	}
	b.clear()
	for _, j := range b.jobs {
		line := []rune(fmt.Sprintf("       %-12s %s %s", j.Job, bar(j.Done, j.Total), j.text()))
		if most := b.t.width() - 1; len(line) > most {
			line = append(line[:most-1], '…')
		}
		fmt.Fprintln(b.t.err, string(line))
	}
	b.drawn = len(b.jobs)
}

// text is the step with its numbers: "downloading, 3 of 42 packages, about 20 s left".
func (j *job) text() string {
	s := j.Step
	switch {
	case j.Total > 0:
		s += strings.TrimSpace(fmt.Sprintf(", %d of %d %s", j.Done, j.Total, j.Unit))
	case j.Done > 0:
		s += strings.TrimSpace(fmt.Sprintf(", %d %s", j.Done, j.Unit))
	}
	if ran := time.Since(j.started); j.Eta >= 1 {
		s += fmt.Sprintf(", about %s left", elapsed(time.Duration(j.Eta*float64(time.Second))))
	} else if ran > 10*time.Second {
		s += ", " + elapsed(ran)
	}
	return strings.TrimSpace(s)
}

// bar is a gauge of 20 cells; blank when the total is not known.
func bar(done, total int64) string {
	const cells = 20
	if total <= 0 {
		return strings.Repeat(" ", cells+2)
	}
	full := int(min(done, total) * cells / total)
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", cells-full) + "]"
}

// elapsed is a duration as people say it: "4 s", "2 min 5 s".
func elapsed(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	if s < 60 {
		return fmt.Sprintf("%d s", s)
	}
	return fmt.Sprintf("%d min %d s", s/60, s%60)
}
