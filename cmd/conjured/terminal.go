package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/term"

	"github.com/conjuring/conjured/client"
	"github.com/conjuring/conjured/notice"
)

// terminal is where commands print. Results go to out; progress, notices and errors
// go to err, so that a script can read the one and a person the other. Colour and
// moving lines only where err is a terminal and NO_COLOR is not set.
type terminal struct {
	out, err io.Writer
	live     bool // err is a terminal: lines may be drawn again
	colour   bool
	width    func() int
	json     bool // print JSON instead of text (set by --json)
	private  bool // a person reads it, and nothing keeps it: passwords may be shown
}

func newTerminal(out, err *os.File) *terminal {
	live := term.IsTerminal(int(err.Fd())) && os.Getenv("TERM") != "dumb"
	return &terminal{
		out: out, err: err, live: live, colour: live && os.Getenv("NO_COLOR") == "",
		width: func() int {
			if w, _, e := term.GetSize(int(err.Fd())); e == nil && w > 20 {
				return w
			}
			return 80
		},
	}
}

// paint colours s with an SGR code where colour is on.
func (t *terminal) paint(code, s string) string {
	if !t.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// encode prints v as indented JSON.
func (t *terminal) encode(v any) error {
	enc := json.NewEncoder(t.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// say prints a line about what is going on.
func (t *terminal) say(format string, args ...any) { fmt.Fprintf(t.err, format+"\n", args...) }

// print prints a line of the result.
func (t *terminal) print(format string, args ...any) { fmt.Fprintf(t.out, format+"\n", args...) }

// notices prints each notice with its place, meaning and advice. Many notes that say the
// same of many lines are told once.
func (t *terminal) notices(l notice.List) {
	same := map[string]int{}
	for _, n := range l {
		same[kindOf(n)]++
	}
	for _, n := range l {
		more := same[kindOf(n)]
		switch {
		case more < 0:
			continue // told
		case more > 3:
			same[kindOf(n)] = -1
		}
		t.notice(n, more)
	}
}

// kindOf groups notes and warnings that give the same advice about one file. Errors
// stand alone: each has to be mended.
func kindOf(n notice.Notice) string {
	if n.Severity == notice.SeverityError {
		return n.String()
	}
	return n.Code + "\x00" + n.File + "\x00" + n.Do
}

// harmless is s without what a terminal would obey or what turns writing around: a notice
// may hold what a package, an index or a file said.
func harmless(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			return '\ufffd'
		}
		return r
	}, s)
}

func (t *terminal) notice(n notice.Notice, alike int) {
	mark := t.paint("1;36", "note")
	switch n.Severity {
	case notice.SeverityError:
		mark = t.paint("1;31", "error")
	case notice.SeverityWarning:
		mark = t.paint("1;33", "warning")
	}
	if id, ok := strings.CutPrefix(n.Code, "legacy-"); ok {
		mark += " (" + id + ")" // where we differ from the old project, by the row of the feature table
	}
	place := ""
	if w := n.Where(); w != "" {
		place = t.paint("1", harmless(w)) + ": "
	}
	t.say("%s: %s%s", mark, place, harmless(n.What))
	if alike > 3 {
		t.say("    (and %d more lines of %s like this one)", alike-1, n.File)
	}
	for _, s := range []string{n.Means, n.Do} {
		if s != "" {
			t.say("    %s", strings.ReplaceAll(harmless(s), "\n", "\n    "))
		}
	}
}

// fail prints err as notices (with --json: as one object with the exit code).
func (t *terminal) fail(err error, code int) {
	var usage usageError
	var child childError
	switch {
	case errors.Is(err, errReported), errors.As(err, &child):
		return
	case errors.As(err, &usage):
		t.say("%v\nRun the same command with --help to see what it takes.", usage.error)
		return
	}
	l := notice.For(err)
	if errors.Is(err, client.ErrNotRunning) {
		l = notice.List{notRunning()}
	}
	if t.json {
		_ = t.encode(map[string]any{"exit": code, "notices": l})
		return
	}
	t.notices(l)
}

func notRunning() notice.Notice {
	return notice.Notice{
		Code: "not-running", Severity: notice.SeverityError,
		What:  "conjured does not run on this machine, or runs with another --state",
		Means: "there is no class to ask",
		Do:    "start one with: conjured up DIR",
	}
}
