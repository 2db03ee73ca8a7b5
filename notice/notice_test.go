package notice_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/conjuring/conjured/notice"
)

func problem(file string, line int, s notice.Severity) notice.Notice {
	return notice.Notice{Code: "x", Severity: s, File: file, Line: line, What: "w", Means: "m", Do: "d"}
}

// For finds what was worded for people anywhere in the chain.
func TestFor(t *testing.T) {
	worded := &notice.Error{Notice: problem("apt.txt", 3, notice.SeverityError), Err: errors.New("exit status 100")}
	if l := notice.For(fmt.Errorf("cannot build: %w", worded)); len(l) != 1 || l[0].Where() != "apt.txt:3" {
		t.Errorf("one notice: %+v", l)
	}
	several := notice.List{problem("a", 1, notice.SeverityError), problem("b", 2, notice.SeverityWarning)}
	if l := notice.For(fmt.Errorf("cannot read: %w", several)); len(l) != 2 {
		t.Errorf("a list: %+v", l)
	}
	if l := notice.For(nil); l != nil {
		t.Errorf("no error: %+v", l)
	}
}

// An error that nobody worded becomes an honest notice, with nothing left out.
func TestForUnworded(t *testing.T) {
	l := notice.For(errors.New("EIO"))
	if len(l) != 1 || l[0].Means == "" || l[0].Do == "" || !strings.Contains(l[0].What, "EIO") {
		t.Errorf("%+v", l)
	}
}

// The cause is for the log; the sentence for people does not hold it.
func TestErrorKeepsItsCause(t *testing.T) {
	cause := errors.New("exit status 100")
	err := &notice.Error{Notice: problem("apt.txt", 3, notice.SeverityError), Err: cause}
	if !errors.Is(err, cause) || err.Error() != "apt.txt:3: w: exit status 100" {
		t.Errorf("%v", err)
	}
	if s := err.Notice.String(); s != "apt.txt:3: w\n  m\n  d" {
		t.Errorf("%q", s)
	}
}

func TestListErr(t *testing.T) {
	if err := (notice.List{problem("a", 1, notice.SeverityWarning)}).Err(); err != nil {
		t.Errorf("warnings alone are no error: %v", err)
	}
	l := notice.List{problem("a", 1, notice.SeverityError), problem("b", 1, notice.SeverityInfo)}
	if err := l.Err(); err == nil || err.Error() != "w (and 1 more)" {
		t.Errorf("%v", err)
	}
}

func TestSort(t *testing.T) {
	l := notice.List{
		problem("b", 1, notice.SeverityInfo), problem("a", 2, notice.SeverityInfo),
		problem("a", 2, notice.SeverityError), problem("a", 1, notice.SeverityWarning),
	}
	notice.Sort(l)
	var got []string
	for _, n := range l {
		got = append(got, n.Where()+" "+string(n.Severity))
	}
	if want := "a:1 warning, a:2 error, a:2 info, b:1 info"; strings.Join(got, ", ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, ", "), want)
	}
}
