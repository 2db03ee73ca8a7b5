package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/client"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

func newApply(g *global) *cobra.Command {
	var detach bool
	cmd := &cobra.Command{
		Use:   "apply DIR",
		Short: "Make a folder the class of the running daemon",
		Long: `apply reads the folder and gives it to the daemon that runs on this machine. The
class that serves goes on until everything new has been built and tested; if anything
fails it stays as it was, and apply says why and exits with 1. When only other kernels
could not be made the class runs with the folder, and apply exits with 3.`,
		Args: exactly("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runApply(cmd.Context(), g, args[0], detach)
		},
	}
	cmd.Flags().BoolVar(&detach, "detach", false, "do not wait until it serves")
	return cmd
}

func runApply(ctx context.Context, g *global, dir string, detach bool) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	c, err := g.client()
	if err != nil {
		return err
	}
	a, err := c.Apply(ctx, abs)
	if err != nil {
		return err
	}
	return follow(ctx, g.t, c, a, detach)
}

func newBuild(g *global) *cobra.Command {
	var b api.Build
	var detach bool
	cmd := &cobra.Command{
		Use: "build", Short: "Build the class's images and environment again, beside the serving ones", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			a, err := c.Build(cmd.Context(), b)
			if err != nil {
				return err
			}
			return follow(cmd.Context(), g.t, c, a, detach)
		},
	}
	cmd.Flags().BoolVar(&b.Fresh, "fresh", false, "forget what earlier builds left in their caches")
	cmd.Flags().BoolVar(&detach, "detach", false, "do not wait until it serves")
	return cmd
}

// follow shows the progress of a wish until it serves or has failed.
func follow(ctx context.Context, t *terminal, c *client.Client, a api.Applied, detach bool) error {
	if !t.json {
		t.notices(a.Notices)
		for _, s := range a.Changes {
			t.say("change: %s", s)
		}
	}
	if detach {
		if t.json {
			return t.encode(a)
		}
		t.print("setup %s is on its way; conjured status says how far it is", short(a.ID))
		return nil
	}
	r, err := wait(ctx, t, c, a.ID)
	if err != nil {
		return err
	}
	return report(t, r)
}

// wait draws progress until the outcome of the setup is known.
func wait(ctx context.Context, t *terminal, c *client.Client, id string) (api.Result, error) {
	began := time.Now()
	draw, stop := context.WithCancel(ctx)
	drawn := make(chan struct{})
	go func() {
		defer close(drawn)
		if t.json {
			return
		}
		b := &bars{t: t}
		for e, err := range c.Events(draw) {
			if err != nil {
				break
			}
			if e.State != progress.Running && e.Time.Before(began) {
				continue // the end of something before
			}
			b.take(e)
			b.draw()
		}
		b.clear()
	}()
	r, err := c.Applied(ctx, id)
	stop()
	<-drawn
	return r, err
}

func report(t *terminal, r api.Result) error {
	if t.json {
		if err := t.encode(r); err != nil {
			return err
		}
	} else {
		t.notices(r.Notices)
		for _, l := range r.Logins {
			t.print("%-20s %s   (made up; shown now and kept nowhere)", l.User, l.Password)
		}
	}
	if !r.Serving {
		if !t.json && len(r.Notices) == 0 {
			t.notices(notice.List{{
				Code: "apply-failed", Severity: notice.SeverityError,
				What:  "the change did not reach the class",
				Means: "the class is exactly as it was",
				Do:    "run conjured status to see what it is doing",
			}})
		}
		return errReported
	}
	switch {
	case r.Partly && !t.json:
		t.print("The class runs with this folder now (setup %s), without what is named above.", short(r.ID))
	case !t.json:
		t.print("The class runs with this folder now (setup %s).", short(r.ID))
	}
	if r.Partly {
		return errors.Join(errReported, errPartly)
	}
	return nil
}
