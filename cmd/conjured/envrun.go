package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/client"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// between wants at least n of the named arguments, and no more than all of them.
func between(n int, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= n && len(args) <= len(names) {
			return nil
		}
		return exactly(names[:max(n, min(len(args), len(names)))]...)(cmd, args)
	}
}

// several is what a verb about one, some or all environments is told by its arguments.
type several struct{ all bool }

func (s *several) flag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.all, "all", false, "all environments of the class")
}

// names gives the environments that are meant; none means all. Nobody gets all of them
// by leaving something out.
func (s several) names(args []string) ([]string, error) {
	switch {
	case s.all && len(args) > 0:
		return nil, usageError{errors.New("--all and a name exclude each other")}
	case !s.all && len(args) == 0:
		return nil, usageError{errors.New("name an environment, or give --all (conjured env list shows the names)")}
	}
	return args, nil
}

// doEnv sends a verb, draws progress until it is done, and says what came of it.
func (g *global) doEnv(ctx context.Context, v api.EnvVerb, q api.EnvRequest) error {
	c, err := g.client()
	if err != nil {
		return err
	}
	defer c.Close()
	var r api.EnvReply
	err = watch(ctx, g.t, c, envJob(v), func() error {
		r, err = c.EnvVerb(ctx, v, q)
		return err
	})
	if err != nil {
		return err
	}
	return reportEnv(g.t, v, r)
}

// envJob is what the daemon's news call a verb's work.
func envJob(v api.EnvVerb) string { return "env " + string(v) }

// watch draws the daemon's progress of one job while f runs.
func watch(ctx context.Context, t *terminal, c *client.Client, job string, f func() error) error {
	if t.json {
		return f()
	}
	draw, stop := context.WithCancel(ctx)
	began, drawn := time.Now(), make(chan struct{})
	live := make(chan progress.Event)
	go func() {
		defer close(live)
		for e, err := range c.Events(draw) {
			if err != nil {
				return
			}
			if e.Job != job || e.State != progress.Running && e.Time.Before(began) {
				continue // another one's, or over before
			}
			select {
			case live <- e:
			case <-draw.Done():
				return
			}
		}
	}()
	go func() {
		defer close(drawn)
		(&bars{t: t}).follow(draw, live, nil)
	}()
	err := f()
	stop()
	<-drawn
	return err
}

// reportEnv prints outcomes and gives the error that the exit code is made of: 3 when
// something waits for an approval or only some failed, 1 when all did.
func reportEnv(t *terminal, v api.EnvVerb, r api.EnvReply) error {
	if t.json {
		if err := t.encode(r); err != nil {
			return err
		}
	} else {
		printOutcomes(t, v, r)
	}
	failed, waits := 0, 0
	for _, o := range r.Outcomes {
		switch o.Did {
		case api.EnvFailed:
			failed++
		case api.EnvWaits:
			waits++
		}
	}
	switch {
	case failed > 0 && failed == len(r.Outcomes), notice.List(r.Notices).HasErrors() && len(r.Outcomes) == 0:
		return errReported
	case failed > 0, waits > 0, notice.List(r.Notices).HasErrors():
		return errors.Join(errReported, errPartly)
	}
	return nil
}
