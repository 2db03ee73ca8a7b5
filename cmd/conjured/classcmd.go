package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/client"
	"github.com/conjuring/conjured/progress"
)

func newClassCommand(g *global) *cobra.Command {
	cmd := &cobra.Command{
		Use: "class", Short: "Begin or end a lesson: everybody's server is there before they come",
		Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newClassBegin(g), newClassEnd(g), newClassStatus(g))
	return cmd
}

func newClassBegin(g *global) *cobra.Command {
	var detach bool
	cmd := &cobra.Command{
		Use: "begin [NAME...]", Short: "Start everybody's server, or those of the named accounts",
		Long: `begin starts a server for everybody on the roster, a few at a time, so that a student who logs
in is in Lab at once. Students who come meanwhile go first. Until conjured class end no unused
server is stopped. Ctrl-C only stops watching; begin again tries those who were passed over.

Exit code 3: the class has begun, and not everybody has a server.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			l, err := c.BeginClass(cmd.Context(), args...)
			if err == nil && !detach {
				l, err = watchLesson(cmd.Context(), g.t, c)
			}
			if err != nil {
				return err
			}
			return reportLesson(g.t, l)
		},
	}
	cmd.Flags().BoolVar(&detach, "detach", false, "do not wait until they are ready")
	return cmd
}

func newClassEnd(g *global) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "end", Short: "End the lesson, and stop the servers that nobody has used", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			l, err := c.EndClass(cmd.Context(), all)
			if err != nil {
				return err
			}
			if g.t.json {
				return g.t.encode(l)
			}
			g.t.print("The lesson has ended; %s stopped.", plural(l.Stopped, "server"))
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "stop-all", false, "stop every student's server, also those in use")
	return cmd
}

func newClassStatus(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Say how far the servers of the lesson are", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			l, err := c.Lesson(cmd.Context())
			if err != nil {
				return err
			}
			if g.t.json {
				return g.t.encode(l)
			}
			printLesson(g.t, l)
			return nil
		},
	}
}

// watchLesson draws how far the servers are until no more are started.
func watchLesson(ctx context.Context, t *terminal, c *client.Client) (api.Lesson, error) {
	b := &bars{t: t}
	defer b.clear()
	for {
		l, err := c.Lesson(ctx)
		if err != nil || !l.Busy {
			return l, err
		}
		if !t.json {
			b.take(progress.Event{
				Job: "class", Step: "starting everybody's server", Done: int64(l.Ready), Total: int64(l.Total), Unit: "ready", Eta: l.Eta,
			})
			b.draw()
		}
		select {
		case <-ctx.Done():
			if !t.json {
				b.clear()
				t.say("The servers are still being started; conjured class end stops that.")
			}
			return l, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// reportLesson says what there is after begin.
func reportLesson(t *terminal, l api.Lesson) error {
	if t.json {
		if err := t.encode(l); err != nil {
			return err
		}
	} else {
		printLesson(t, l)
	}
	if len(l.Left) > 0 {
		return errors.Join(errReported, errPartly)
	}
	return nil
}

func printLesson(t *terminal, l api.Lesson) {
	switch {
	case l.On:
		t.print("The lesson is on since %s.", l.Since.Local().Format("15:04"))
	default:
		t.print("No lesson is on.")
	}
	if l.Total > 0 {
		line := fmt.Sprintf("%d of %d servers are ready", l.Ready, l.Total)
		if l.Starting > 0 {
			line += fmt.Sprintf(", %d starting", l.Starting)
		}
		if l.Eta >= 1 {
			line += fmt.Sprintf(", all of them in about %s", elapsed(time.Duration(l.Eta*float64(time.Second))))
		}
		t.print("%s.", line)
	}
	if l.Unused > 0 {
		t.print("Nobody has used %s yet.", plural(l.Unused, "server"))
	}
	for _, x := range l.Left {
		t.print("  %-20s %s", x.User, x.Why)
	}
}
