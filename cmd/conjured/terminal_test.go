package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

func plainTerminal() (*terminal, *bytes.Buffer, *bytes.Buffer) {
	var out, err bytes.Buffer
	return &terminal{out: &out, err: &err, width: func() int { return 80 }}, &out, &err
}

// Without a terminal each step is one line, and the numbers of a step are not repeated.
func TestBarsWithoutTerminal(t *testing.T) {
	term, _, err := plainTerminal()
	b := &bars{t: term}
	for _, e := range []progress.Event{
		{Job: "image", Step: "unpacking", Done: 1, Total: 4, Unit: "packages"},
		{Job: "image", Step: "unpacking", Done: 2, Total: 4, Unit: "packages"},
		{Job: "image", Line: "raw output"},
		{Job: "image", Step: "testing", Eta: 65},
		{Job: "image", State: progress.Done},
	} {
		b.take(e)
		b.draw()
	}
	want := []string{"unpacking, 1 of 4 packages", "testing, about 1 min 5 s left", "done"}
	got := strings.Split(strings.TrimSpace(err.String()), "\n")
	if len(got) != len(want) {
		t.Fatalf("lines:\n%s", err)
	}
	for i, w := range want {
		if !strings.Contains(got[i], w) {
			t.Errorf("line %d is %q, want %q in it", i, got[i], w)
		}
	}
}

// On a terminal what was drawn is cleared before it is drawn again.
func TestBarsOnTerminal(t *testing.T) {
	term, _, err := plainTerminal()
	term.live = true
	b := &bars{t: term}
	b.take(progress.Event{Job: "image", Step: "one", Done: 1, Total: 2, Unit: "steps"})
	b.draw()
	b.draw()
	if n := strings.Count(err.String(), "\x1b[1A\x1b[J"); n != 1 {
		t.Errorf("cleared %d times, want 1: %q", n, err)
	}
	if !strings.Contains(err.String(), "[##########..........]") {
		t.Errorf("no half full gauge in %q", err)
	}
}

func TestNoticesForPeople(t *testing.T) {
	term, _, err := plainTerminal()
	term.notices(notice.List{{
		Code: "x", Severity: notice.SeverityError, File: "apt.txt", Line: 3,
		What: "there is no package vmi", Means: "the class is as it was", Do: "correct the name",
	}})
	want := "error: apt.txt:3: there is no package vmi\n    the class is as it was\n    correct the name\n"
	if err.String() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

func TestElapsed(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0 s", 59400 * time.Millisecond: "59 s", 125 * time.Second: "2 min 5 s"} {
		if got := elapsed(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}

// What a package says of itself, a terminal does not obey.
func TestNoticesObeyNobody(t *testing.T) {
	term, _, err := plainTerminal()
	evil := "x\x1b]0;title\a\x1b[2J\u202eback\r\u009b"
	term.notices(notice.List{{Severity: notice.SeverityError, File: evil, What: evil, Means: evil + "\nnext", Do: evil}})
	if got := err.String(); strings.ContainsAny(got, "\x1b\a\r\u202e\u009b") || !strings.Contains(got, "[2J") || !strings.Contains(got, "\n    next") {
		t.Errorf("%q", got)
	}
}
