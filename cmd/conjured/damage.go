package main

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/conjuring/conjured/appliance"
	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/layers"
	"github.com/conjuring/conjured/notice"
)

// doubt is whether Docker's store may have lost parts of the class's images: something
// said so, or a program could not be started in one. It holds until a build has tested
// them.
type doubt struct {
	on     atomic.Bool
	tested atomic.Int64 // when a build last cleared it, in seconds since 1970
}

// doubtAgain is how long after such a test nothing is doubted again: what fails then has
// another cause, and testing takes seconds of the class's time.
const doubtAgain = 10 * time.Minute

func (d *doubt) raise() bool {
	recent := time.Since(time.Unix(d.tested.Load(), 0))
	return (recent < 0 || recent > doubtAgain) && !d.on.Swap(true)
}

func (d *doubt) clear() {
	d.on.Store(false)
	d.tested.Store(time.Now().Unix())
}

// storeDamaged is told of each word of Docker's about a damaged store, from anywhere: a
// student's server that did not start, a hub, an environment's build. It does not block.
func (b *box) storeDamaged(err error) {
	if !b.doubt.raise() {
		return
	}
	b.log.Warn("docker's store may be damaged: the images are tested, and made again if they are", "error", err)
	if b.owner == nil {
		return // at boot everything is looked at anyway
	}
	go func() { _ = b.owner.Recheck(context.Background()) }() // it fails only at the end
}

// startFailed is told why a program in an image of ours did not start: one without its
// shell, its interpreter or a library is as damaged as one that Docker cannot read.
func (b *box) startFailed(err error) error {
	if err != nil && (engine.Damaged(err) || strings.Contains(err.Error(), "unable to start container process")) {
		b.storeDamaged(err)
		return engine.StoreDamaged(err)
	}
	return err
}

// imagesThere tells whether images can be used as far as anybody knows. One that Docker
// has lost parts of counts as gone: it is made again.
func (b *box) imagesThere(ctx context.Context, ids ...string) (bool, error) {
	for _, id := range ids {
		_, err := b.engine.Image(ctx, id)
		if errors.Is(err, engine.ErrNotFound) || errors.Is(err, engine.ErrDamaged) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// doubted tells whether the images of a setup are to be looked at by a build: those of
// the class, of the wish, and what serves while they are not to be had.
func (b *box) doubted(fp string) bool {
	if !b.doubt.on.Load() {
		return false
	}
	s := b.owner.Snapshot()
	return fp == s.Desired.Image || fp == s.Serving.Image || fp == b.builtin.Image
}

// madeAgain has the class use images that replace damaged ones. The hub and the servers
// that run go on; the owner deploys the setup once more, with the new ones.
func (b *box) madeAgain(ctx context.Context, x appliance.Setup, before, now imageRecord) {
	s := b.serving.Load()
	if s == nil || s.Image != x.Image || before == now {
		return
	}
	b.serving.Store(nil)
	go func() { _ = b.owner.Recheck(context.WithoutCancel(ctx)) }()
}

// beyondRepair has Docker's store replaced when no build can mend it. Only where the box
// owns its Docker, which is where the unit for that is installed, and only while no
// student's server runs; else the notice says what to do.
func (b *box) beyondRepair(ctx context.Context, err error) {
	if l := notice.For(err); len(l) != 1 || l[0].Code != layers.CodeBeyondRepair {
		return
	}
	if err := writeFile(b.place.join(beyondFile), []byte(err.Error()+"\n"), 0o600); err != nil {
		b.log.Warn("it is not written down that docker's store is beyond repair", "error", err)
		return
	}
	servers, err := b.hub.Servers(ctx)
	if err != nil || len(servers) > 0 {
		return
	}
	if systemctl(ctx, "cat", repairUnit) != nil {
		return // not installed, or nothing supervises anything here
	}
	b.log.Warn("docker's store is replaced, and the class made again")
	if err := systemctl(ctx, "start", "--no-block", repairUnit); err != nil {
		b.log.Warn("docker's store is not replaced", "error", err)
	}
}
