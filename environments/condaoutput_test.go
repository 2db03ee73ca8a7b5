package environments

import (
	"fmt"
	"strings"
	"testing"

	"github.com/conjuring/conjured/progress"
)

// events keeps what was said.
type events []string

func (e *events) Progress(p progress.Event) {
	*e = append(*e, strings.TrimSpace(fmt.Sprintf("%s %d/%d %s", p.Step, p.Done, p.Total, p.Unit)))
}

// What conda.py counts is told as what it is.
func TestReaderOfConda(t *testing.T) {
	var got events
	r := &reader{sink: &got}
	text := "conjured: step conda-solve\nconjured: done conda-download 3 40\nconjured: done conda-link 1 75\nconjured: done compile 60 900\nconjured: done other 1 2\nconjured: done conda-link x y\n"
	if _, err := r.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	want := []string{"choosing versions 0/0", "downloading packages 3/40 MB", "installing packages 1/75 packages", "compiling packages 60/900 modules"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What a package says is not taken for what build.py said before it was read.
func TestOutputOfStrangers(t *testing.T) {
	r := &reader{sink: progress.Discard}
	fmt.Fprint(r, "conjured: python 3.13 linux-x86_64\nerror: a package says\nconjured: python ../.. evil\n")
	if r.python != "3.13" || r.platform != "linux-x86_64" {
		t.Errorf("%s %s", r.python, r.platform)
	}
}
