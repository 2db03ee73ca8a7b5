package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/conjuring/conjured/api"
)

func newEnvDiff(g *global) *cobra.Command {
	var exitCode bool
	cmd := &cobra.Command{
		Use: "diff NAME [FROM [TO]]", Short: "Say what changes for the class between two generations",
		Long: `diff says in one sentence what changes, then who is touched, then shows each package. FROM and TO
are labels, tags or numbers, also written FROM..TO; otherwise current is compared with next, or,
when nothing waits, previous with current.

With --exit-code the exit code is 3 when there is a difference, and 0 when there is none.`,
		Example: "  conjured env diff geo\n  conjured env diff geo previous current\n  conjured env diff geo env-geo-2026_11_20..current",
		Args:    between(1, "NAME", "FROM", "TO"), ValidArgsFunction: g.complete(envNames, envRefs, envRefs, nothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := api.EnvRequest{Names: args[:1], From: arg(args, 1), To: arg(args, 2)}
			if from, to, ok := strings.Cut(q.From, ".."); ok && q.To == "" {
				q.From, q.To = from, to
			}
			r, err := g.askEnv(cmd.Context(), api.EnvDiff, q)
			if err != nil {
				return err
			}
			if err := g.printDiff(r); err != nil {
				return err
			}
			if exitCode && r.Compared.Changes.Count() > 0 {
				return errors.Join(errReported, errPartly)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 3 when there is a difference")
	return cmd
}

func (g *global) printDiff(r api.EnvReply) error {
	switch {
	case r.Compared == nil:
		return errNoAnswer
	case g.t.json:
		return g.t.encode(r.Compared)
	}
	g.t.notices(r.Notices)
	return printCompared(g.t.out, *r.Compared)
}

func printCompared(out io.Writer, c api.EnvCompared) error {
	fmt.Fprintln(out, sentence(c.Sentence))
	if c.Changes.Count() == 0 {
		return nil
	}
	fmt.Fprintln(out, touchedWords(c))
	fmt.Fprintf(out, "\n%s: from %s to %s\n", c.Env, refWords(c.From), refWords(c.To))
	w := tabwriter.NewWriter(out, 2, 8, 2, ' ', 0)
	fmt.Fprintln(w, "CHANGE\tPACKAGE\tFROM\tTO\tBY\tSIZE")
	for _, part := range []struct {
		what    string
		changes []api.EnvChange
	}{
		{"new", c.Changes.Added},
		{"gone", c.Changes.Removed},
		{"newer", c.Changes.Upgraded},
		{"older", c.Changes.Downgraded},
		{"rebuilt", c.Changes.Rebuilt},
		{"set", c.Changes.Variables},
	} {
		for _, x := range part.changes {
			size := "-"
			if x.Bytes > 0 {
				size = sizeWords(x.Bytes)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", part.what, x.Name, dash(x.From), dash(x.To), x.Engine, size)
		}
	}
	return w.Flush()
}

// touchedWords says who notices, and what they have to do.
func touchedWords(c api.EnvCompared) string {
	t := c.Touched
	who := "everybody"
	switch len(t.Courses) {
	case 0:
	case 1:
		who = "course " + t.Courses[0]
	default:
		who = "courses " + strings.Join(t.Courses, ", ")
	}
	s := fmt.Sprintf("It concerns %s: %s and %s open now.", who, plural(t.Servers, "server"), plural(t.Kernels, "kernel"))
	if t.Servers == 0 && t.Kernels == 0 {
		s = fmt.Sprintf("It concerns %s; nobody is at work in it now.", who)
	}
	switch {
	case c.Changes.Class == "system":
		return s + " A student's next server has it."
	case c.Changes.Class == "add-only" && t.Kernels > 0:
		return s + " New packages can be used where kernels run already; else: restart the kernel."
	}
	return s // the sentence before says what open kernels keep
}

func refWords(r api.EnvRef) string {
	s := r.Asked
	if r.Tag != "" && r.Tag != r.Asked {
		s += " (" + r.Tag + ")"
	} else if r.Generation > 0 && s != fmt.Sprint(r.Generation) {
		s += fmt.Sprintf(" (generation %d)", r.Generation)
	}
	return s
}

func sizeWords(n int64) string {
	if n < 1_000_000 {
		return fmt.Sprintf("%d kB", max(1, n/1000))
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
