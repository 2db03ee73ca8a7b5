package homes

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// Limits of a skeleton and of the shared folder.
const (
	maxEntries = 20_000
	maxBytes   = 8 << 30 // of all files together
	maxDepth   = 32
)

// Config of Homes.
type Config struct {
	Dir string       // State/homes; made with mode 0711 if absent
	Log *slog.Logger // nil forgets
}

// Homes is the directory of all homes. Its methods may be called at the same time;
// calls for one student take turns.
type Homes struct {
	dir   string
	log   *slog.Logger
	seed  maphash.Seed
	turns [64]chan struct{}
	fault func(step string) error // the seam where tests cut the power; nil in life
}

// Report is what Prepare did.
type Report struct {
	Created bool        `json:"created"`         // the home is new
	Added   []string    `json:"added,omitempty"` // files that were given now, relative to the home
	Notices notice.List `json:"notices,omitempty"`
}

// New makes the directory of homes if it is absent.
func New(c Config) (*Homes, error) {
	h := &Homes{dir: c.Dir, log: c.Log, seed: maphash.MakeSeed()}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	for i := range h.turns {
		h.turns[i] = make(chan struct{}, 1)
	}
	// Root's alone: containers get one home mounted each, and nobody else on the
	// box has business here. Names of accounts never begin with a dot.
	for _, d := range []string{c.Dir, filepath.Join(c.Dir, ".given"), filepath.Join(c.Dir, ".new")} {
		if err := os.MkdirAll(d, 0o711); err != nil {
			return nil, fmt.Errorf("cannot make the directory of homes: %w", err)
		}
	}
	return h, os.Chmod(filepath.Join(c.Dir, ".new"), 0o700)
}

// Path of a student's home, whether it exists or not.
func (h *Homes) Path(user string) string { return filepath.Join(h.dir, user) }

// Prepare makes the home of a student ready for a server to start: made with mode
// 0700 if absent, with the files of the skeleton directory ("" or a directory that
// is absent: none) which this home was not given before, and a link shared ->
// /shared if nothing of that name is there. It never replaces a file and never
// changes the owner of what is in the home; only the home's own owner and mode are
// put right.
//
// A file that can't be given is reported as a notice and tried again next time; the
// error is for a home that a server can't start in, and for ctx.
func (h *Homes) Prepare(ctx context.Context, user string, uid, gid int, skeleton string, sink progress.Sink) (Report, error) {
	if user == "" || user[0] == '.' || len(user) > 255 || strings.ContainsAny(user, "/\x00") {
		return Report{}, fmt.Errorf("cannot make a home for %q: not a name", user)
	}
	if uid < 1 || gid < 1 {
		return Report{}, fmt.Errorf("cannot make a home for %q: uid %d and gid %d are not a student's", user, uid, gid)
	}
	turn := h.turns[maphash.String(h.seed, user)%uint64(len(h.turns))]
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return Report{}, ctx.Err()
	}
	p := &preparing{Homes: h, ctx: ctx, user: user, uid: uid, gid: gid, sink: sink}
	p.plan(skeleton)
	if err := ctx.Err(); err != nil {
		return p.report, err // not a fault of the skeleton
	}
	var st unix.Stat_t
	err := unix.Lstat(h.Path(user), &st)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = p.create()
	case err == nil:
		err = p.renew()
	}
	if err != nil {
		return p.report, fmt.Errorf("cannot prepare the home of %s: %w", user, err)
	}
	return p.report, nil
}

// preparing is one call of Prepare.
type preparing struct {
	*Homes
	ctx      context.Context
	user     string
	uid, gid int
	sink     progress.Sink
	skeleton string
	entries  []entry
	report   Report
	fresh    bool            // the home is being made
	record   map[string]bool // what this home was given, ever
}

func (p *preparing) warn(code, what, means, do string) {
	p.report.Notices = append(p.report.Notices, notice.Notice{
		Code: code, Severity: notice.SeverityWarning, What: what, Means: means, Do: do,
	})
}

// step is a place where the power can go in tests.
func (h *Homes) step(name string) error {
	if h.fault == nil {
		return nil
	}
	return h.fault(name)
}

// plan lists the skeleton. A skeleton that can't be used is no reason to keep a
// student out.
func (p *preparing) plan(skeleton string) {
	if skeleton == "" {
		return
	}
	entries, err := list(p.ctx, skeleton)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		p.log.Warn("skeleton not usable", "error", err)
		p.warn("home-default-unusable", "the folder home_default can't be copied: "+plain(err),
			"homes get no new default files; everything else works", "make home_default smaller, or copy it onto the stick again")
	default:
		p.skeleton, p.entries = skeleton, entries
	}
}

// create builds a new home where no student can reach it and moves it into place
// whole. What is left of an earlier try is removed first.
func (p *preparing) create() error {
	stage := filepath.Join(p.dir, ".new", p.user)
	if err := os.RemoveAll(stage); err != nil {
		return err
	}
	if err := os.Mkdir(stage, 0o700); err != nil {
		return err
	}
	p.record, p.fresh = map[string]bool{}, true
	// Few files are flushed one by one: flushing the file system as a whole would
	// also wait for whatever a build beside us is writing.
	few := len(p.entries) <= 200
	if err := p.fill(stage, few); err != nil {
		os.RemoveAll(stage)
		return err
	}
	if err := p.step("filled"); err != nil {
		return err
	}
	if !few {
		if err := syncTree(stage); err != nil {
			return err
		}
	}
	// The record first: without it, files that the student deletes would come back.
	if err := p.saveRecord(); err != nil {
		return err
	}
	if err := p.step("recorded"); err != nil {
		return err
	}
	if err := unix.Renameat2(unix.AT_FDCWD, stage, unix.AT_FDCWD, p.Path(p.user), unix.RENAME_NOREPLACE); err != nil {
		return err
	}
	p.report.Created = true
	return syncDir(p.dir)
}

// renew offers new default files to a home that exists.
func (p *preparing) renew() error {
	p.loadRecord()
	if err := p.fill(p.Path(p.user), true); err != nil {
		return errors.Join(err, p.saveRecord())
	}
	if err := p.step("filled"); err != nil {
		return err
	}
	return p.saveRecord()
}

// fill gives what is missing and puts the top directory right. durable asks that
// each file is on the disk before its name appears.
func (p *preparing) fill(path string, durable bool) error {
	top, err := openDir(unix.AT_FDCWD, path)
	if err != nil {
		return err
	}
	defer unix.Close(top)
	if err := p.own(top); err != nil {
		return err
	}
	if err := p.give(top, durable); err != nil {
		return err
	}
	return p.linkShared(top)
}

// own puts owner and mode of the home itself right, never of what is in it.
func (p *preparing) own(top int) error {
	var st unix.Stat_t
	if err := unix.Fstat(top, &st); err != nil {
		return err
	}
	if int(st.Uid) != p.uid || int(st.Gid) != p.gid {
		if !p.fresh && int(st.Uid) != p.uid {
			p.warn("home-owner", fmt.Sprintf("the home of %s belonged to number %d and belongs to %d now", p.user, st.Uid, p.uid),
				p.user+" can work; files inside that came from another machine may be read-only", "nothing, unless a student can't save: then copy those files within the home")
		}
		if err := unix.Fchown(top, p.uid, p.gid); err != nil {
			return err
		}
	}
	if st.Mode&0o7777 != 0o700 {
		return unix.Fchmod(top, 0o700)
	}
	return nil
}

// linkShared makes ~/shared iff nothing of that name is there (U9).
func (p *preparing) linkShared(top int) error {
	err := unix.Symlinkat("/shared", top, "shared")
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	if err != nil {
		return err
	}
	return unix.Fchownat(top, "shared", p.uid, p.gid, unix.AT_SYMLINK_NOFOLLOW)
}

// plain is an error in words without paths of this machine.
func plain(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
