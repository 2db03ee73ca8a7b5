package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/conjuring/conjured/api"
)

func newStatus(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Say what the class is doing", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return runStatus(cmd.Context(), g) },
	}
}

func runStatus(ctx context.Context, g *global) error {
	c, err := g.client()
	if err != nil {
		return err
	}
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	if g.t.json {
		return g.t.encode(s)
	}
	printStatus(g.t.out, s)
	g.t.notices(s.Notices)
	return nil
}

func printStatus(out io.Writer, s api.Status) {
	phase := map[api.Phase]string{
		api.Serving: "is open", api.Degraded: "is open, with a problem (below)", api.Preparing: "is being prepared",
	}[s.Phase]
	fmt.Fprintf(out, "%s %s at %s\n", s.Class, phase, strings.Join(s.Addresses, "  "))
	w := tabwriter.NewWriter(out, 2, 8, 2, ' ', 0)
	fmt.Fprintf(w, "setup\t%s\n", setupWords(s))
	fmt.Fprintf(w, "accounts\t%d (%s)\n", s.Users.Total, plural(s.Users.Admins, "teacher"))
	fmt.Fprintf(w, "hub\t%s\n", s.Hub.State)
	for _, e := range s.Environments {
		for i, line := range append([]string{environmentWords(e)}, concerns(e)...) {
			fmt.Fprintf(w, "%s\t%s\n", []string{"environment", ""}[min(i, 1)], line)
		}
	}
	for _, j := range s.Jobs {
		fmt.Fprintf(w, "working on\t%s: %s\n", j.Name, jobWords(j))
	}
	w.Flush()
	printServers(out, s.Servers)
}

func environmentWords(e api.Environment) string {
	if e.Generation == "" {
		return nameWords(e) + ", not built yet"
	}
	return nameWords(e) + ", generation " + e.Generation
}

func setupWords(s api.Status) string {
	switch {
	case s.Serving == "" && s.Desired == "":
		return "none yet"
	case s.Serving == "":
		return short(s.Desired) + ", being prepared for the first time"
	case s.Serving == s.Desired:
		return short(s.Serving) + ", up to date"
	}
	return short(s.Serving) + "; " + short(s.Desired) + " is wished for"
}

// short is the head of an id, enough to tell setups apart.
func short(id string) string { return id[:min(12, len(id))] }

func jobWords(j api.Job) string {
	if j.Total == 0 {
		return j.Step
	}
	return fmt.Sprintf("%s, %d of %d %s", j.Step, j.Done, j.Total, j.Unit)
}

func sinceWords(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " since " + t.Local().Format(time.TimeOnly)
}
