package registry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// A history that cannot be written costs a notice, and is made up for by the next verb.
func TestHistoryThatCannotBeWritten(t *testing.T) {
	b := newBox(t, nil)
	b.want("base", "numpy==1")
	b.past.broken = fmt.Errorf("cannot write: %w", syscall.ENOSPC)
	w := wish("base", "numpy==2")
	o, err := b.Prepare(t.Context(), w, progress.Discard)
	if err != nil || o.Did != Deployed || o.Tag != "" || len(o.Notices) != 1 || code(o.Notices) != "environment-history" {
		t.Fatalf("%+v, %v", o, err)
	}
	if o, err = b.Settle(t.Context(), "base"); err != nil || o.Did != Promoted || o.Generation != 2 {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err = b.Rollback(t.Context(), "base", ""); err != nil || o.Did != RolledBack {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err = b.Rollback(t.Context(), "base", "2"); err != nil || o.Did != RolledBack {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := b.Tag(t.Context(), "base"); code(notice.For(err)) != "environment-history" {
		t.Errorf("%v", err)
	}
	b.past.broken = nil
	o, err = b.Prepare(t.Context(), w, progress.Discard)
	if err != nil || o.Did != Unchanged || len(o.Notices) != 0 {
		t.Errorf("%+v, %v", o, err)
	}
	b.labels("base", map[string]int{"current": 2, "previous": 1})
	spec, _ := b.git.Spec(t.Context(), "base")
	if text, _ := find(spec, "requirements.txt"); string(text) != "numpy==2\n" {
		t.Errorf("the history has %q", text)
	}
}

// Who gives up in the middle of writing the history is not told that it is broken; the
// next verb writes what is missing.
func TestGivenUp(t *testing.T) {
	b := newBox(t, nil)
	b.want("base", "numpy==1")
	ctx, cancel := context.WithCancel(t.Context())
	b.past.during = cancel
	o, err := b.Prepare(ctx, wish("base", "numpy==2"), progress.Discard)
	if err != nil || o.Did != Deployed || len(o.Notices) != 0 {
		t.Errorf("%+v, %v", o, err)
	}
	b.past.during = nil
	if o := b.want("base", "numpy==2"); o.Did != Promoted || len(o.Notices) != 0 {
		t.Errorf("%+v", o)
	}
	b.labels("base", map[string]int{"current": 2, "previous": 1})
}

// ENOSPC on the disk of labels: the verb fails, and current is what it was.
func TestDiskFull(t *testing.T) {
	b := newBox(t, nil)
	b.want("base", "numpy==1")
	b.store.Guard(func(string) error { return syscall.ENOSPC })
	if _, err := b.Prepare(t.Context(), wish("base", "numpy==2"), progress.Discard); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v", err)
	}
	b.store.Guard(func(string) error { return nil })
	b.labels("base", map[string]int{"current": 1})
	if o := b.want("base", "numpy==2"); o.Did != Promoted || o.Generation != 2 {
		t.Errorf("%+v", o)
	}
	b.labels("base", map[string]int{"current": 2, "previous": 1})
}

// Without the program git there is no history, and the class goes on.
func TestWithoutGit(t *testing.T) {
	var open func(context.Context) (History, error)
	b := newBox(t, func(c *Config) {
		c.History = nil
		c.Reopen = func(ctx context.Context) (History, error) { return open(ctx) }
	})
	open = func(context.Context) (History, error) { return nil, exec.ErrNotFound }
	if _, err := b.Repair(t.Context()); err != nil || len(b.told) != 1 || b.told[0].Code != "environment-history-gone" {
		t.Errorf("%v, %+v", err, b.told)
	}
	b.want("geo", "numpy==1")
	if o := b.want("geo", "numpy==2"); o.Did != Promoted || o.Tag != "" {
		t.Errorf("%+v", o)
	}
	if o, err := b.Rollback(t.Context(), "geo", "1"); err != nil || o.Generation != 1 {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := b.Rollback(t.Context(), "geo", "2026_01_01"); code(notice.For(err)) != "environment-no-history" {
		t.Errorf("%v", err)
	}
	if _, err := b.List(t.Context()); err != nil {
		t.Error(err)
	}
	open = func(context.Context) (History, error) { return b.git, nil }
	out, err := b.Repair(t.Context())
	if err != nil || len(out) != 1 || out[0].Did != Repaired {
		t.Errorf("%+v, %v", out, err)
	}
	b.labels("geo", map[string]int{"current": 1, "previous": 2})
}

// A repository that is gone or damaged is made again from the generations, with the
// names of its tags.
func TestRepositoryGone(t *testing.T) {
	for name, hurt := range map[string]func(dir string) error{
		"gone":   os.RemoveAll,
		"no git": func(dir string) error { return os.WriteFile(filepath.Join(dir, "HEAD"), nil, 0o644) },
		"objects": func(dir string) error {
			packs, _ := filepath.Glob(filepath.Join(dir, "objects/pack/*.pack"))
			for _, p := range packs {
				if err := errors.Join(os.Chmod(p, 0o600), os.Truncate(p, 20)); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t, nil)
			b.want("geo", "numpy==1")
			tag := b.want("geo", "numpy==2").Tag
			b.want("bio", "numpy==1")
			b.git.Close()
			if err := hurt(filepath.Join(b.root, "history.git")); err != nil {
				t.Fatal(err)
			}
			b = openBox(t, b.root, nil)
			if _, err := b.Repair(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(b.told, func(n notice.Notice) bool { return n.Code == "environment-history-again" }) {
				t.Errorf("told %+v", b.told)
			}
			b.labels("geo", map[string]int{"current": 2, "previous": 1})
			b.labels("bio", map[string]int{"current": 1})
			if o, err := b.Rollback(t.Context(), "geo", tag); err != nil || o.Did != Unchanged || o.Tag != tag {
				t.Errorf("the tag is not what it was: %+v, %v", o, err)
			}
			spec, err := b.git.Spec(t.Context(), "geo")
			if text, _ := find(spec, "requirements.txt"); err != nil || string(text) != "numpy==2\n" {
				t.Errorf("the history has %q, %v", text, err)
			}
			b.told = nil
			if out, err := b.Repair(t.Context()); err != nil || len(out) != 0 || len(b.told) != 0 {
				t.Errorf("again: %+v, %v, %+v", out, err, b.told)
			}
		})
	}
}

// That git cannot be run says nothing about the repository: it is left where it is.
func TestGitThatCannotRun(t *testing.T) {
	b := newBox(t, nil)
	tag := b.want("geo", "numpy==1").Tag
	for _, cause := range []error{syscall.ENOMEM, &os.PathError{Op: "fork/exec", Path: "git", Err: syscall.ENOENT}, exec.ErrNotFound} {
		b.past.broken, b.told = fmt.Errorf("cannot check: %w", cause), nil
		if _, err := b.Repair(t.Context()); err != nil {
			t.Error(err)
		}
		if len(b.told) != 1 || b.told[0].Code != "environment-history-gone" {
			t.Errorf("%v: told %+v", cause, b.told)
		}
	}
	b.past.broken = nil
	if out, err := b.Repair(t.Context()); err != nil || len(out) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
	if moved, _ := filepath.Glob(filepath.Join(b.root, "history.git.broken*")); len(moved) != 0 {
		t.Errorf("it was moved to %v", moved)
	}
	if o, err := b.Rollback(t.Context(), "geo", tag); err != nil || o.Did != Unchanged || o.Tag != tag {
		t.Errorf("%+v, %v", o, err)
	}
}

// A clock that goes back changes nothing about what is newer: tags of a later date are
// the older ones, and numbers order generations.
func TestClockGoesBack(t *testing.T) {
	b := newBox(t, nil)
	b.want("geo", "numpy==1")
	g, err := b.store.Current("geo")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.store.KeepTag(g, "env-geo-2099_12_31-4"); err != nil { // it was tagged by a clock that was ahead
		t.Fatal(err)
	}
	b.git.Close()
	if err := os.RemoveAll(filepath.Join(b.root, "history.git")); err != nil {
		t.Fatal(err)
	}
	b = openBox(t, b.root, nil)
	if _, err := b.Repair(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := b.want("geo", "numpy==2")
	if now.Did != Promoted || now.Tag == "" || now.Tag >= "env-geo-2099" {
		t.Fatalf("%+v", now)
	}
	if o, err := b.Deploy(t.Context(), "geo", progress.Discard); err != nil || o.Tag != now.Tag || o.Generation != 2 {
		t.Errorf("the newest is %+v, %v", o, err)
	}
	if o, err := b.Rollback(t.Context(), "geo", "latest"); err != nil || o.Did != Unchanged || o.Generation != 2 {
		t.Errorf("latest is %+v, %v", o, err)
	}
	if o, err := b.Rollback(t.Context(), "geo", "2099_12_31-4"); err != nil || o.Generation != 1 {
		t.Errorf("%+v, %v", o, err)
	}
	b.labels("geo", map[string]int{"current": 1, "previous": 2})
}
