package layers

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/notice"
)

// Each kind of damage is met with the mildest measure first, each next one is stronger,
// and after three at most it is somebody else's.
func TestRemedy(t *testing.T) {
	for c, want := range map[condition][]measure{
		sound:       {nothing, giveUp},
		absent:      {build, giveUp},
		unreadable:  {dropImages, dropAll, giveUp},
		lame:        {dropImages, dropAll, giveUp},
		builderLost: {dropCache, dropAll, giveUp},
		"unheard":   {giveUp},
	} {
		var got []measure
		var m measure
		for len(got) == 0 || (m != giveUp && len(got) < 9) {
			m = remedy(c, m)
			got = append(got, m)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", c, d)
		}
	}
	// What one measure has laid bare is not met with a milder one.
	for _, c := range []struct {
		condition
		taken, want measure
	}{
		{unreadable, dropCache, dropImages}, {builderLost, dropImages, dropAll}, {lame, dropAll, giveUp}, {builderLost, giveUp, giveUp},
	} {
		if got := remedy(c.condition, c.taken); got != c.want {
			t.Errorf("%s after %s: %s, want %s", c.condition, c.taken, got, c.want)
		}
	}
}

// An image that is the only one is not removed because a test could not be run.
func TestJudge(t *testing.T) {
	test := func(code int) error {
		return &notice.Error{Notice: notice.Notice{Code: "image-smoke-failed"}, Err: failedTest(code)}
	}
	for _, c := range []struct {
		err  error
		want condition
	}{
		{nil, sound},
		{test(1), lame},
		{test(127), lame},
		{test(137), ""}, // killed: no memory
		{engine.StoreDamaged(errors.New("x")), lame},
		{errors.New(`runc create failed: unable to start container process: exec: "/bin/sh": stat /bin/sh: no such file or directory`), lame},
		{errors.New("no space left on device"), ""},
		{errors.New("Docker does not answer"), ""},
	} {
		if got := judge(c.err); got != c.want {
			t.Errorf("judge(%v) = %q, want %q", c.err, got, c.want)
		}
	}
}

// The damage of a stage comes with the images below it, and what is none stays as it is.
func TestAsDamage(t *testing.T) {
	plain := errors.New("cannot build core")
	if err := asDamage(unreadable, 1, nil, plain); !errors.Is(err, plain) || errors.As(err, new(*damage)) {
		t.Errorf("got %v", err)
	}
	lost := fmt.Errorf("cannot look at image x: %w", errors.New("layer does not exist"))
	var d *damage
	if err := asDamage(unreadable, 1, []string{"base"}, lost); !errors.As(err, &d) || d.stage != 1 || len(d.kept) != 1 {
		t.Fatalf("got %+v", err)
	}
	if l := notice.For(d); l[0].Code != "docker-damaged" {
		t.Errorf("people are told %+v", l)
	}
	if l := notice.For(beyondRepair(d)); l[0].Code != "docker-beyond-repair" {
		t.Errorf("people are told %+v", l)
	}
	// Found by a build of system in core, which is below: nothing is known to be sound.
	if err := asDamage(unreadable, 2, []string{"base", "core"}, limps(1, plain)); !errors.As(err, &d) || d.stage != 1 || d.kept != nil || d.condition != lame {
		t.Errorf("got %+v", d)
	}
}
