package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/conjuring/conjured/api"
)

func newEnv(g *global) *cobra.Command {
	env := &cobra.Command{
		Use: "env", Short: "The environments that kernels run in: what is in them, what changes, and back again",
		Long: `An environment is the list of what was asked for (in the teacher's folder), the exact list of
what one gets, and frozen, tested copies of it, its generations. A label says which generation
the class uses now: current. What a change of the folder made waits at next, what was in use
before is at previous.

  conjured env list                what there is, and what waits
  conjured env diff geo            what would change for the class
  conjured env promote geo         use it: kernels that start from now on have it
  conjured env rollback geo        have the packages of before, at once and without a network

Exit codes: 0 done, or nothing to do; 1 failed; 2 wrong use; 3 waits for approval, or some of
several environments failed; 10 conjured does not run; 130 interrupted.`,
		Args: noVerb, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	env.AddCommand(newEnvList(g), newEnvShow(g))
	env.AddCommand(newEnvDiff(g))
	env.AddCommand(newEnvResolve(g), newEnvUpdate(g), newEnvDeploy(g), newEnvReset(g), newEnvVerify(g))
	env.AddCommand(newEnvTag(g), newEnvLabel(g), newEnvPromote(g), newEnvRollback(g), newEnvPin(g), newEnvUnpin(g))
	env.AddCommand(newEnvActivate(g))
	env.AddCommand(newEnvGC(g), newEnvRemove(g), newEnvLog(g), newEnvImport(g), newEnvExport(g), newEnvRepair(g))
	return env
}

// noVerb refuses a word that is no verb, with the nearest one.
func noVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var verbs []string
	for _, c := range cmd.Commands() {
		verbs = append(verbs, c.Name())
	}
	if near := nearest(args[0], verbs); alike(args[0], near) {
		return usageError{fmt.Errorf("there is no command env %s; did you mean env %s?", args[0], near)}
	}
	return usageError{fmt.Errorf("there is no command env %s", args[0])}
}

func newEnvList(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "list [NAME]", Aliases: []string{"ls"}, Short: "List the environments, what they use and what waits; or the generations of one",
		Args: between(0, "NAME"), ValidArgsFunction: g.complete(envNames, nothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return g.listOne(cmd.Context(), args)
			}
			c, err := g.client()
			if err != nil {
				return err
			}
			envs, err := c.Environments(cmd.Context())
			if err != nil {
				return err
			}
			if g.t.json {
				return g.t.encode(envs)
			}
			return printEnvironments(g.t.out, envs)
		},
	}
}

// listOne is the generations of one environment.
func (g *global) listOne(ctx context.Context, args []string) error {
	r, err := g.askEnv(ctx, api.EnvShow, api.EnvRequest{Names: args})
	switch {
	case err != nil:
		return err
	case r.Shown == nil:
		return errNoAnswer
	case g.t.json:
		return g.t.encode(r.Shown.Environment)
	}
	return printGenerations(g.t.out, r.Shown.Environment)
}

// printEnvironments is a table, and below it a line for each that waits or failed.
func printEnvironments(out io.Writer, envs []api.Environment) error {
	w := tabwriter.NewWriter(out, 2, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tFOR\tGENERATION\tPYTHON\tPACKAGES\tMADE\tDISK")
	for _, e := range envs {
		made, generation := "not built", "-"
		if e.Generation != "" {
			generation, made = e.Generation, e.Created.Local().Format("2006-01-02 15:04")
		}
		packages := "-"
		if e.Packages > 0 {
			packages = strconv.Itoa(e.Packages)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", nameWords(e), audience(e), generation, dash(e.Python), packages, made, diskWords(e.Bytes))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, e := range envs {
		for _, s := range concerns(e) {
			fmt.Fprintln(out, s)
		}
	}
	return nil
}

// nameWords is a name, with the spelling of the teacher where that differs.
func nameWords(e api.Environment) string {
	if e.Display != "" && e.Display != e.Name {
		return e.Name + " (" + e.Display + ")"
	}
	return e.Name
}

// audience says who sees the kernel.
func audience(e api.Environment) string {
	switch {
	case e.Students > 0:
		return plural(e.Students, "student")
	case e.Course != "":
		return "course " + e.Course
	}
	return "everybody"
}

// concerns are lines about what somebody should do something about; none when all is well.
func concerns(e api.Environment) []string {
	var out []string
	if e.Waiting != nil {
		out = append(out, fmt.Sprintf("%s waits for an OK: %s (conjured env promote %s)", e.Name, e.Waiting.Sentence, e.Name))
	}
	if e.Failed != nil {
		where := e.Failed.Where()
		if where != "" {
			where += ": "
		}
		out = append(out, fmt.Sprintf("%s could not be changed: %s%s", e.Name, where, e.Failed.What))
	}
	return out
}

func newEnvShow(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME [REF]", Short: "Show one environment: its generations, labels and exact packages",
		Long: `show lists the generations of an environment, and the exact packages of one of them: that of
REF, which is a label, a tag or a number, and otherwise that of current.`,
		Example:           "  conjured env show geo\n  conjured env show geo previous\n  conjured env show geo env-geo-2026_11_20",
		Args:              between(1, "NAME", "REF"),
		ValidArgsFunction: g.complete(envNames, envRefs),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := g.askEnv(cmd.Context(), api.EnvShow, api.EnvRequest{Names: args[:1], Ref: arg(args, 1)})
			if err != nil {
				return err
			}
			if g.t.json {
				return g.t.encode(r.Shown)
			}
			return printShown(g.t.out, r.Shown)
		},
	}
}

var errNoAnswer = errors.New("the running conjured answered nothing; it may be an older version")

func printShown(out io.Writer, s *api.EnvShown) error {
	if s == nil {
		return errNoAnswer
	}
	if err := printGenerations(out, s.Environment); err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 2, 8, 2, ' ', 0)
	fmt.Fprintf(w, "\nPACKAGE\tVERSION\tFROM\n")
	for _, p := range s.Packages {
		version := p.Version
		if p.Build != "" {
			version += " " + p.Build
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", p.Name, version, sourceWords(p))
	}
	if len(s.Variables) > 0 {
		fmt.Fprintf(w, "\nVARIABLE\tVALUE\n")
	}
	for _, v := range s.Variables {
		name, value, _ := strings.Cut(v, "=")
		fmt.Fprintf(w, "%s\t%s\n", name, value)
	}
	return w.Flush()
}

func printGenerations(out io.Writer, e api.Environment) error {
	fmt.Fprintf(out, "%s, for %s\n", nameWords(e), audience(e))
	w := tabwriter.NewWriter(out, 2, 8, 2, ' ', 0)
	fmt.Fprintln(w, "GENERATION\tTAG\tLABELS\tPYTHON\tPACKAGES\tMADE\tDISK")
	for _, x := range e.Generations {
		labels := slices.Clone(x.Labels)
		if x.Pinned {
			labels = append(labels, "(pinned)")
		}
		made := x.State
		if !x.Created.IsZero() {
			made = x.Created.Local().Format("2006-01-02 15:04")
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%s\t%s\n", x.Number, dash(x.Tag), dash(strings.Join(labels, " ")), x.Python, x.Packages, made, diskWords(x.Bytes))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range concerns(e) {
		fmt.Fprintln(out, s)
	}
	return nil
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// arg is an argument that may be left out.
func arg(args []string, i int) string {
	if i < len(args) {
		return args[i]
	}
	return ""
}

// labelWords is "current 4, previous 3", in the order people think of them.
func labelWords(labels map[string]int) string {
	usual := []string{"next", "current", "previous"}
	rest := slices.DeleteFunc(slices.Sorted(maps.Keys(labels)), func(l string) bool { return slices.Contains(usual, l) })
	var out []string
	for _, l := range append(usual, rest...) {
		if n, ok := labels[l]; ok {
			out = append(out, fmt.Sprintf("%s %d", l, n))
		}
	}
	return strings.Join(out, ", ")
}

// askEnv sends a verb that answers at once.
func (g *global) askEnv(ctx context.Context, v api.EnvVerb, q api.EnvRequest) (api.EnvReply, error) {
	c, err := g.client()
	if err != nil {
		return api.EnvReply{}, err
	}
	defer c.Close()
	return c.EnvVerb(ctx, v, q)
}
