package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/conjuring/conjured/custom"
	"github.com/conjuring/conjured/notice"
)

func newCheck(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "check DIR",
		Short: "Read a teacher's folder and say everything that is wrong with it",
		Long: `check reads the folder and prints each problem with its file and line, what it
means for the lesson, and what to do; and each place where conjured reads a file
differently from the old Conjuring project (codes that begin with "legacy-").

It runs nothing, writes nothing, and opens nothing outside the folder. The exit code
is 0 when there is no error (warnings and notes are fine), else 1.`,
		Args: exactly("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error { return runCheck(cmd.Context(), g, args[0]) },
	}
}

func runCheck(ctx context.Context, g *global, dir string) error {
	s, err := readSettings(g.settings)
	if err != nil {
		return err
	}
	r := custom.Check(ctx, dir, s.customPolicy())
	if err := ctx.Err(); err != nil {
		return err
	}
	if g.t.json {
		if err := g.t.encode(r); err != nil {
			return err
		}
	} else {
		printReport(g.t, dir, r)
	}
	if !r.OK() {
		return errReported
	}
	return nil
}

func printReport(t *terminal, dir string, r custom.Report) {
	t.notices(r.Notices)
	count := map[notice.Severity]int{}
	for _, n := range r.Notices {
		count[n.Severity]++
	}
	admins := 0
	for _, u := range r.Roster {
		if u.Admin {
			admins++
		}
	}
	t.print("%s: %s, %s, %s", dir,
		plural(count[notice.SeverityError], "error"), plural(count[notice.SeverityWarning], "warning"), plural(count[notice.SeverityInfo], "note"))
	t.print("  %s (%s)", plural(len(r.Roster), "account"), plural(admins, "teacher"))
	var names []string
	from := map[string][]string{}
	for _, e := range r.Environments {
		if from[e.Name] == nil {
			names = append(names, e.Name)
		}
		from[e.Name] = append(from[e.Name], e.File)
	}
	for _, name := range names {
		t.print("  kernel %s from %s", name, strings.Join(from[name], " and "))
	}
}
