package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/conjuring/conjured/environments/secret"
)

// writer writes while the lock is held.
type writer struct {
	*Repository
	lock *os.File
}

// update moves one reference from old, or from none, to new.
type update struct {
	ref      string
	old, new oid
}

// change does f, which changes env, with the writer's lock.
func (r *Repository) change(ctx context.Context, env string, f func(*writer) error) error {
	if err := checkEnv(env); err != nil {
		return err
	}
	return r.hold(ctx, func(_ context.Context, lock *os.File) error { return f(&writer{r, lock}) })
}

// write stores objects, and then moves references to them, all or none. Each object is
// on the disk before a reference names it, and the references are before write returns.
func (w *writer) write(ctx context.Context, objs []object, refs []update) error {
	err := w.publish(ctx, objs, refs)
	if err != nil {
		_ = w.sweep() // on a full disk what a command left is room for the next try
		return err
	}
	w.tidy(ctx)
	return nil
}

func (w *writer) publish(ctx context.Context, objs []object, refs []update) error {
	if err := w.store(ctx, objs); err != nil {
		return err
	}
	var in strings.Builder
	for _, u := range refs {
		fmt.Fprintf(&in, "update %s %s %s\n", u.ref, u.new, u.old)
		// We hold the lock, so that of a killed command is nobody's.
		if err := os.Remove(filepath.Join(w.c.Dir, u.ref+".lock")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := w.step("update-ref"); err != nil {
		return err
	}
	if err := w.program().run(ctx, strings.NewReader(in.String()), nil, "update-ref", "--stdin"); err != nil {
		return err
	}
	if err := w.step("sync refs"); err != nil {
		return err
	}
	synced := map[string]bool{}
	for _, u := range refs {
		for d := filepath.Dir(u.ref); d != "." && !synced[d]; d = filepath.Dir(d) {
			synced[d] = true
			if err := syncDir(filepath.Join(w.c.Dir, d)); err != nil {
				return err
			}
		}
	}
	return nil
}

// store adds objects to the repository; git checks each, and that what they name is there.
func (w *writer) store(ctx context.Context, objs []object) error {
	if err := w.step("index-pack"); err != nil {
		return err
	}
	if err := w.program().run(ctx, bytes.NewReader(pack(objs)), nil, "index-pack", "--stdin", "--strict"); err != nil {
		return err
	}
	if err := w.step("sync objects"); err != nil {
		return err
	}
	return syncDir(filepath.Join(w.c.Dir, "objects", "pack"))
}

func (w *writer) program() program {
	return program{path: w.git, dir: w.c.Dir, lock: w.lock}
}

// reason is why a commit is made, and when: the zero time is now.
type reason struct {
	text string
	when time.Time
}

// edit gives the files of a branch their next state. What f gives back replaces what
// is there; blobs are the new files among it. Nothing is written when nothing differs.
func (w *writer) edit(ctx context.Context, ref string, why reason, f func(was contents) (now contents, blobs []object, err error)) (bool, error) {
	id, head, ok, err := w.head(ctx, ref)
	if err != nil {
		return false, err
	}
	was, old := contents{}, none
	if ok {
		old = id
		if was, err = w.files(ctx, head.tree); err != nil {
			return false, err
		}
	}
	now, blobs, err := f(was)
	if err != nil {
		return false, err
	}
	tree, trees := now.objects()
	if ok && tree == head.tree {
		return false, nil
	}
	c := commit{tree: tree, message: sentence(why.text)}
	if why.when.IsZero() {
		why.when = w.now()
	}
	by := identity{ourselves, why.when.UTC()}
	if ok {
		c.parents = []oid{id}
		by.when = after(by.when, head.committer.when)
	}
	c.author, c.committer = by, by
	objs := append(append(blobs, trees...), c.object())
	return true, w.write(ctx, objs, []update{{ref, old, objs[len(objs)-1].id()}})
}

// after is now, or a second after the parent commit when the clock stands before it:
// other tools take the newest date for the latest. A parent from a far future, written
// by a clock that was wrong, is not followed.
func after(now, parent time.Time) time.Time {
	if parent.Before(now) || parent.Sub(now) > 366*24*time.Hour {
		return now
	}
	return parent.Add(time.Second)
}

// sentence makes a commit's message of what somebody may have typed: printable, at most
// 1000 bytes, and without secrets.
func sentence(why string) string {
	why = strings.Map(func(c rune) rune {
		if c != '\n' && !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(why, "?"))
	why = strings.TrimSpace(why)
	if len(why) > 1000 {
		why = strings.ToValidUTF8(why[:1000], "") + "..."
	}
	if why == "" || len(secret.Find(why)) > 0 {
		why = "Changed."
	}
	return why
}
