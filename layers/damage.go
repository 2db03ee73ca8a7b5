package layers

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/notice"
)

// condition is what is wrong with an image, or with the builder.
type condition string

const (
	sound       condition = "sound"
	absent      condition = "absent"      // Docker knows nothing of it
	unreadable  condition = "unreadable"  // Docker knows of it, and lacks its parts
	lame        condition = "lame"        // has passed its test once, and does not now
	builderLost condition = "builderLost" // what the build cache says is there is not
)

// measure is what is done about damage. Each is stronger than the one before.
type measure string

const (
	nothing    measure = "nothing"
	build      measure = "build"      // as for an image that was never there
	dropCache  measure = "dropCache"  // forget what the builder has kept
	dropImages measure = "dropImages" // the image, what was built on it, and the cache
	dropAll    measure = "dropAll"    // all that was made here and all that nobody can read, with containers that ended
	giveUp     measure = "giveUp"     // only another store mends it, and that needs Docker to be stopped
)

// remedy is what to do about c after taken has not helped: the mildest measure that can
// help and is stronger than taken. So no build takes more than three.
//
// That the cache goes with the images matters: it holds on to the layers of images that
// are gone, and an image that has a layer with the same contents would get the damaged
// one back. The same holds for images and containers that share it.
func remedy(c condition, taken measure) measure {
	strength := []measure{nothing, build, dropCache, dropImages, dropAll, giveUp}
	for _, m := range map[condition][]measure{
		sound:       {nothing},
		absent:      {build},
		unreadable:  {dropImages, dropAll},
		lame:        {dropImages, dropAll},
		builderLost: {dropCache, dropAll},
	}[c] {
		if slices.Index(strength, m) > slices.Index(strength, taken) {
			return m
		}
	}
	return giveUp
}

// damage is an error that says which stage of a plan is damaged. Whatever was built on
// that stage has the same damaged layers.
type damage struct {
	condition
	stage int      // index into Plan.Steps; -1: what the first one starts from
	kept  []string // ids of the images below, which are sound
	err   error
}

func (d *damage) Error() string { return d.err.Error() }
func (d *damage) Unwrap() error { return d.err }

// asDamage makes an error of stage i a damage if it is one; kept are the images below.
func asDamage(c condition, i int, kept []string, err error) error {
	var d *damage
	switch {
	case errors.As(err, &d):
	case engine.Damaged(err):
		d = &damage{condition: c, stage: i, err: engine.StoreDamaged(err)}
	default:
		return err
	}
	if d.stage == i {
		d.kept = kept
	}
	return d
}

// limps is the damage of an image that has passed its test before.
func limps(i int, err error) error {
	return &damage{condition: lame, stage: i, err: engine.StoreDamaged(err)}
}

func mended() notice.Notice {
	return notice.Notice{
		Code: "docker-mended", Severity: notice.SeverityInfo,
		What:  "Docker had lost parts of the images on this machine; they have been made again",
		Means: "nobody's files were touched; whoever has a server that runs keeps it",
		Do:    "nothing, if it was a power cut; if it happens again, the disk of this machine may be failing",
	}
}

// CodeBeyondRepair is the code of the notice that no build can mend Docker's store.
const CodeBeyondRepair = "docker-beyond-repair"

func beyondRepair(d *damage) error {
	return &notice.Error{Notice: notice.Notice{
		Code: CodeBeyondRepair, Severity: notice.SeverityError,
		What:  "Docker's store of images is damaged, and making the images again did not help",
		Means: "no new server can be started; who works goes on, and homes, accounts and packages are safe",
		Do:    "when nobody works, run conjured doctor --repair: it puts Docker's store aside and the class is made again, in a few minutes",
	}, Err: fmt.Errorf("cannot mend the image store: %w", d.err)}
}

// judge says whether a failed test of an image that has passed it before is damage. A
// container that was killed, or could not be made because the disk is full or Docker
// is gone, says nothing about the image: it may be the only one, and not to be had again.
func judge(err error) condition {
	var code failedTest
	switch {
	case err == nil:
		return sound
	case engine.Damaged(err), strings.Contains(err.Error(), "unable to start container process"):
		return lame
	case errors.As(err, &code) && code < 128:
		return lame
	}
	return "" // not known
}
