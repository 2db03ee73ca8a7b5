package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/notice"
)

// roleActivate marks containers of env activate; LabelKey is the process that talks to it.
const roleActivate = "activate"

func (p place) scratch() string { return p.join("scratch") }

// newScratch makes the directories for what is changed in a container and thrown away.
// They are named after this process, so that a later one can tell whether it still runs.
func newScratch(p place) (*engine.Scratch, error) {
	if strings.ContainsAny(p.State, `,:\`) {
		return nil, &notice.Error{Notice: notice.Notice{
			Code: "env-scratch", Severity: notice.SeverityError,
			What:  fmt.Sprintf("the state directory %s has a comma, a colon or a backslash in its name", p.State),
			Means: "packages cannot be changed for a try there",
			Do:    "use activate without --writable",
		}}
	}
	dir := filepath.Join(p.scratch(), strconv.Itoa(os.Getpid()))
	s := &engine.Scratch{Upper: filepath.Join(dir, "upper"), Work: filepath.Join(dir, "work")}
	if err := os.MkdirAll(p.scratch(), 0o700); err != nil {
		return nil, fmt.Errorf("cannot make room for changes: %w", err)
	}
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Mkdir(s.Upper, 0o755), os.Mkdir(s.Work, 0o755)); err != nil {
		return nil, fmt.Errorf("cannot make room for changes: %w", err)
	}
	return s, nil
}

// tidyScratch removes what processes left behind that were killed.
func tidyScratch(ctx context.Context, e *engine.Engine, p place) error {
	left, err := e.List(ctx, map[string]string{engine.LabelRole: roleActivate})
	if err != nil {
		return err
	}
	for _, c := range left {
		if !alive(c.Labels[engine.LabelKey]) {
			if err := e.Remove(ctx, c.ID); err != nil {
				return err
			}
		}
	}
	dirs, err := os.ReadDir(p.scratch())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot tidy up: %w", err)
	}
	for _, d := range dirs {
		if !alive(d.Name()) {
			if err := os.RemoveAll(filepath.Join(p.scratch(), d.Name())); err != nil {
				return fmt.Errorf("cannot tidy up: %w", err)
			}
		}
	}
	return nil
}

// alive tells whether a process other than this one has the number.
func alive(pid string) bool {
	n, err := strconv.Atoi(pid)
	return err == nil && n > 0 && n != os.Getpid() && !errors.Is(syscall.Kill(n, 0), syscall.ESRCH)
}

// rawTerminal hands each key to the program in the container, Ctrl-C too, until restore
// is called. sizes are those of the terminal, now and whenever it changes.
func rawTerminal(ctx context.Context) (restore func(), sizes <-chan engine.Size, err error) {
	in := int(os.Stdin.Fd())
	before, err := term.MakeRaw(in)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot use the terminal: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	out := make(chan engine.Size)
	go func() {
		for {
			if w, h, err := term.GetSize(in); err == nil && w > 0 && h > 0 {
				select {
				case out <- engine.Size{Rows: uint(h), Columns: uint(w)}:
				case <-ctx.Done():
					return
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		stop()
		signal.Stop(changed)
		_ = term.Restore(in, before) // nothing is left to do where it fails
	}, out, nil
}
