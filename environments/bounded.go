package environments

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/conjuring/conjured/notice"
	"golang.org/x/sys/unix"
)

// What a container may take at most. Both times are far beyond what the largest
// environment needs on the slowest box: they are for what never ends.
const (
	longestOnline  = 2 * time.Hour
	longestOffline = 30 * time.Minute
	leastFree      = 128 << 20 // bytes that stay on the disk, for the students' files
	leastFiles     = 10_000    // files that it can still have; a million empty ones take hardly a byte
)

// bounded is a Runner that ends what does not end by itself and what fills the disk.
// Packages, indexes and channels are made by strangers: one answers a byte a minute, one
// unpacks a few MB to more than the disk has, one leaves a process behind.
type bounded struct {
	Runner
	store           *Store
	online, offline time.Duration
	look            time.Duration // between looks at the disk
	files           func(dir string) (uint64, error)
}

func newBounded(r Runner, s *Store) bounded {
	return bounded{Runner: r, store: s, online: longestOnline, offline: longestOffline, look: time.Second, files: filesFree}
}

// Run implements Runner. What it ended is a *notice.Error.
func (r bounded) Run(ctx context.Context, c Command) (exit int, err error) {
	limit := r.offline
	if c.Network {
		limit = r.online
	}
	within, end := context.WithCancelCause(ctx)
	defer end(nil)
	timer := time.AfterFunc(limit, func() { end(endless(limit)) })
	defer timer.Stop()
	writes := slices.ContainsFunc(c.Mounts, func(m Mount) bool { return !m.ReadOnly })
	if writes {
		r.sweep()
		go r.watch(within, end)
	}
	exit, err = r.Runner.Run(within, c)
	if ctx.Err() == nil && within.Err() != nil {
		if writes { // who only reads may have one beside him that writes
			r.empty()
		}
		return -1, context.Cause(within)
	}
	return exit, err
}

// watch ends a run that takes the last of the disk.
func (r bounded) watch(ctx context.Context, end context.CancelCauseFunc) {
	tick := time.NewTicker(r.look)
	defer tick.Stop()
	for {
		if free, err := r.store.free(); err == nil && free < leastFree {
			end(takesAll(fmt.Sprintf("%d MB", free>>20)))
			return
		}
		if free, err := r.files(r.store.root); err == nil && free < leastFiles {
			end(takesAll(fmt.Sprintf("room for %d files", free)))
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// sweep removes what an engine that was killed has left half unpacked, which it never looks
// at again. Nobody else uses the caches meanwhile.
func (r bounded) sweep() {
	r.drop("store/uv/.tmp*", "store/conda/pkgs/.new-*")
}

// empty removes also what an engine would go on with: it took the whole disk.
func (r bounded) empty() {
	r.sweep()
	r.drop("store/conda/part/*")
	if exists(filepath.Join(r.store.root, "store/conda/repodata.begun")) {
		r.drop("store/conda/repodata/*") // conda.py puts the last whole lists back
	}
}

// drop removes what can be removed. The rest waits for the next run.
func (r bounded) drop(patterns ...string) {
	for _, p := range patterns {
		left, _ := filepath.Glob(filepath.Join(r.store.root, p)) // the patterns are ours
		for _, path := range left {
			_ = os.RemoveAll(path)
		}
	}
}

func endless(limit time.Duration) error {
	return &notice.Error{Notice: notice.Notice{
		Code: "environment-endless", Severity: notice.SeverityError,
		What:  fmt.Sprintf("making the packages ready did not come to an end within %d minutes, and was stopped", int(limit.Minutes())),
		Means: unchanged,
		Do:    "try again with another connection; if it happens again, take out the line that was added last",
	}}
}

// filesFree is how many more files the disk of a directory can have. A file system that
// makes room for them as they come says that it has none: that counts as many.
func filesFree(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	if st.Files == 0 {
		return math.MaxUint64, nil
	}
	return st.Ffree, nil
}

func takesAll(left string) error {
	return &notice.Error{Notice: notice.Notice{
		Code: "environment-disk-full", Severity: notice.SeverityError,
		What:  "the packages took nearly all of the disk, which has " + left + " left; making them ready was stopped",
		Means: unchanged,
		Do:    "take out the line that was added last, or remove files that are not needed any more from the box",
	}}
}
