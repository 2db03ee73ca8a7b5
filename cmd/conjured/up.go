package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/appliance"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/usbwatch"
)

// running are the flags of `up` and `daemon`.
type running struct {
	listen []string
	images string
	log    string // file for the log; "" with up: none, with daemon: standard error
	boots  bool   // a supervisor starts us when the machine boots
}

func (r *running) flags(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&r.listen, "listen", nil, "address of the front door; may be given more than once (default :8989)")
	cmd.Flags().StringVar(&r.images, "images", "", "repository that our images are called after (default conjuring/conjuring)")
	cmd.Flags().StringVarP(&r.log, "log-file", "l", "", "write the log to this file")
}

func newUp(g *global) *cobra.Command {
	var r running
	cmd := &cobra.Command{
		Use:   "up DIR",
		Short: "Run the class of a folder here, until Ctrl-C",
		Long: `up builds what the folder asks for, serves the class, and follows changes of the folder:
a new account can log in within seconds, packages arrive beside what serves. Ctrl-C stops
everything; homes, accounts and images stay for the next time.`,
		Args: exactly("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error { return runUp(cmd.Context(), g, r, args[0]) },
	}
	r.flags(cmd)
	return cmd
}

// start opens the state and makes the box. The caller calls release at the end.
func (r running) start(ctx context.Context, g *global, log *slog.Logger, stop context.CancelFunc) (b *box, release func(), err error) {
	s, p, err := g.load()
	if err != nil {
		return nil, nil, err
	}
	if len(r.listen) > 0 {
		s.Listen = r.listen
	}
	if r.images != "" {
		s.Images = r.images
	}
	if s.Class == "" {
		s.Class = classManual // whoever sits at a terminal says when the class begins
		if r.boots {
			s.Class = classAuto
		}
	}
	if f := examineRights(); !f.OK {
		return nil, nil, &notice.Error{Notice: *f.Notice}
	}
	lock, err := p.open()
	if err != nil {
		return nil, nil, err
	}
	debug.SetGCPercent(50) // a small heap on a small machine; the daemon is idle nearly always
	b, err = assemble(ctx, s, p, log, stop)
	if err != nil {
		lock.Close()
		return nil, nil, err
	}
	return b, func() { _ = b.shutdown(); lock.Close() }, nil
}

// logger writes to the file, or to other when none was asked for.
func (r running) logger(other io.Writer) (*slog.Logger, func(), error) {
	if r.log == "" {
		return slog.New(slog.NewTextHandler(other, nil)), func() {}, nil
	}
	f, err := os.OpenFile(r.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return nil, nil, stateUnusable(r.log, err)
	}
	return slog.New(slog.NewTextHandler(f, nil)), func() { f.Close() }, nil
}

func runUp(ctx context.Context, g *global, r running, dir string) error {
	log, closeLog, err := r.logger(io.Discard)
	if err != nil {
		return err
	}
	defer closeLog()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	b, release, err := r.start(ctx, g, log, stop)
	if err != nil {
		return err
	}
	defer release()
	g.t.private = true
	err = b.show(ctx, g.t, dir)
	g.t.say("Stopping the class...")
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 9*time.Second)
	defer cancel()
	if e := b.close(end); e != nil {
		return errors.Join(err, e)
	}
	if err == nil {
		g.t.say("Stopped. Homes and accounts are in %s.", b.place.State)
	}
	return err
}

// show runs the class and tells the terminal about it until ctx ends.
func (b *box) show(ctx context.Context, t *terminal, dir string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	live, unwatch := b.news.Watch()
	defer unwatch()
	screen := &bars{t: t}
	lines := make(chan func(), 16) // what else is printed, in one goroutine with the bars
	var g errgroup.Group
	g.Go(func() error { screen.follow(ctx, live, lines); return nil })
	g.Go(func() error {
		defer stop()
		return b.run(ctx)
	})
	g.Go(func() error { b.follow(ctx, dir, t, lines); return nil })
	g.Go(func() error { b.announce(ctx, t, lines); return nil })
	g.Go(func() error { b.sayNewLogins(ctx, t, lines); return nil })
	return g.Wait()
}

// follow applies the folder now and after each change of it, and says what became of it.
func (b *box) follow(ctx context.Context, dir string, t *terminal, lines chan<- func()) {
	print := func(f func()) {
		select {
		case lines <- f:
		case <-ctx.Done():
		}
	}
	changed, err := usbwatch.Folder(ctx, dir, 150*time.Millisecond, b.log)
	if err != nil {
		print(func() { t.notices(notice.For(err)) })
	}
	said := said{}
	for first := true; ; first = false {
		a, err := b.applyUnlessGone(ctx, dir)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			print(func() {
				t.notices(notice.For(err))
				t.say("The folder was not taken. It is read again when a file in it changes.")
			})
		default:
			print(func() { sayWarnings(t, dir, said.news(a.Notices)) })
			go b.sayOutcome(ctx, a, said, first, t, print)
		}
		select {
		case <-ctx.Done():
			return
		case _, ok := <-changed:
			if !ok {
				return
			}
		}
	}
}

// said is what the terminal has shown already: a notice about a file that nobody
// touched is not repeated after each change of another. Used by the printing goroutine.
type said map[notice.Notice]bool

// news is what was not said before. Errors are always news: they are why a change was
// not taken.
func (s said) news(l notice.List) notice.List {
	var out notice.List
	for _, n := range l {
		if !s[n] || n.Severity == notice.SeverityError {
			out = append(out, n)
		}
		s[n] = true
	}
	return out
}

// sayWarnings prints what a teacher should look at, and counts the rest.
func sayWarnings(t *terminal, dir string, l notice.List) {
	var warnings notice.List
	for _, n := range l {
		if n.Severity != notice.SeverityInfo && !strings.HasPrefix(n.Code, "legacy-") {
			warnings = append(warnings, n)
		}
	}
	t.notices(warnings)
	if notes := len(l) - len(warnings); notes > 0 {
		t.say("%s about the folder: conjured check %s", plural(notes, "note"), dir)
	}
}

// applyUnlessGone applies dir. A folder that is not there (a stick that was pulled out)
// leaves the wish of before.
func (b *box) applyUnlessGone(ctx context.Context, dir string) (api.Applied, error) {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		if s := b.owner.Snapshot().Desired; s.ID != "" {
			return api.Applied{ID: s.ID}, nil
		}
	}
	return b.Apply(ctx, dir)
}

// sayOutcome tells what became of a change once it is known.
func (b *box) sayOutcome(ctx context.Context, a api.Applied, said said, first bool, t *terminal, print func(func())) {
	o, err := b.owner.Wait(ctx, a.ID)
	if err != nil {
		return
	}
	print(func() {
		t.notices(said.news(o.Notices))
		switch {
		case o.Verdict == appliance.Failed:
			t.say("The change did not reach the class; it is as it was before.")
		case first || len(a.Changes) == 0:
		case o.Verdict == appliance.Served:
			for _, c := range a.Changes {
				t.say("%s  %s", t.paint("32", "changed"), c)
			}
		}
	})
}
