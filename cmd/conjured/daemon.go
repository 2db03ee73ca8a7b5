package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/conjuring/conjured/systemd"
)

func newDaemon(g *global) *cobra.Command {
	r := running{boots: true}
	cmd := &cobra.Command{
		Use:   "daemon [DIR]",
		Short: "Run the class under a supervisor",
		Long: `daemon is what systemd starts. It serves the last good class at once, takes DIR (and each
change of it) as the class to be, and answers conjured's other commands. When it stops, the
hub and the students' servers go on, and the next daemon adopts them.`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runDaemon(cmd.Context(), g, r, args) },
	}
	r.flags(cmd)
	return cmd
}

func runDaemon(ctx context.Context, g *global, r running, args []string) error {
	log, closeLog, err := r.logger(os.Stderr)
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
	quiet := &terminal{out: os.Stdout, err: logLines{log}, width: func() int { return 80 }}
	lines := make(chan func())
	var parts errgroup.Group
	parts.Go(func() error { printLines(ctx, lines); return nil })
	if len(args) == 1 {
		parts.Go(func() error { b.follow(ctx, args[0], quiet, lines); return nil })
	}
	parts.Go(func() error {
		defer stop()
		return b.run(ctx)
	})
	parts.Go(func() error { return b.supervised(ctx) })
	return parts.Wait()
}

// supervised tells systemd when the front door answers, and feeds its watchdog as long
// as the owner makes turns.
func (b *box) supervised(ctx context.Context) error {
	if err := systemd.Ready(); err != nil {
		return err
	}
	err := systemd.Feed(ctx, func() bool { return b.owner.Recheck(ctx) == nil })
	if e := systemd.Stopping(); err == nil {
		err = e
	}
	return err
}

func printLines(ctx context.Context, lines <-chan func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-lines:
			f()
		}
	}
}
