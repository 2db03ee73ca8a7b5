package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/conjuring/conjured/client"
	"github.com/conjuring/conjured/engine"
)

func newDown(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "down", Short: "Stop the class: the daemon, the hub and every student's server", Args: exactly(),
		Long: `down asks the daemon to stop, and removes the containers of its class, also those that
a killed daemon left behind. Homes, accounts and images stay.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDown(cmd.Context(), g) },
	}
}

func runDown(ctx context.Context, g *global) error {
	_, p, err := g.load()
	if err != nil {
		return err
	}
	if err := stopDaemon(ctx, p); err != nil {
		return err
	}
	e, err := engine.Connect(ctx, engine.Config{Instance: p.Instance})
	if err != nil {
		return err
	}
	defer e.Close()
	n, err := removeContainers(ctx, e)
	if err != nil {
		return err
	}
	if err := removeNetwork(ctx, e, p); err != nil {
		return err
	}
	if g.t.json {
		return g.t.encode(map[string]int{"removed": n})
	}
	g.t.print("The class is down (%s removed). Homes and accounts are in %s.", plural(n, "container"), p.State)
	return nil
}

// stopDaemon asks the daemon to stop and waits until it has; none running is fine.
func stopDaemon(ctx context.Context, p place) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	c := client.New(p.apiSocket())
	defer c.Close()
	err := c.Stop(ctx)
	for err == nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		_, err = c.Status(ctx)
	}
	if errors.Is(err, client.ErrNotRunning) {
		return nil
	}
	return err
}

// removeContainers removes every container of the instance, several at a time.
func removeContainers(ctx context.Context, e *engine.Engine) (int, error) {
	all, err := e.List(ctx, nil)
	if err != nil {
		return 0, err
	}
	var g errgroup.Group
	g.SetLimit(4)
	for _, c := range all {
		g.Go(func() error { return e.Remove(ctx, c.ID) })
	}
	return len(all), g.Wait()
}
