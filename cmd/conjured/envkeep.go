package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/conjuring/conjured/api"
)

func newEnvRepair(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "repair", Short: "Have the history agree with what is on the disk",
		Long: `repair makes the history (a git repository) anew from the generations and labels on the disk where
it is damaged, lost or behind. What kernels use is not touched. The daemon does it at each start.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.doEnv(cmd.Context(), api.EnvRepair, api.EnvRequest{})
		},
	}
}

func newEnvImport(g *global) *cobra.Command {
	return g.moving(api.EnvImport, &cobra.Command{
		Use: "import-gitenv PATH", Short: "Take over environments, tags and labels of a conda-gitenv repository",
		Long: `import-gitenv reads a git repository in the form of conda-gitenv: a branch with env.spec and labels
for each environment, manifest/NAME with what it resolved to, tags of dates. A name with "-" gets
"_" instead and is shown as it was written. What its labels name is built; the rest stays in the
history, from where deploy builds it.`,
		Example: "  conjured env import-gitenv /srv/environments.git",
	})
}

func newEnvExport(g *global) *cobra.Command {
	return g.moving(api.EnvExport, &cobra.Command{
		Use: "export-gitenv PATH", Short: "Write the history as a repository that conda-gitenv can read",
		Example: "  conjured env export-gitenv /srv/environments.git",
	})
}

// moving is a command about a directory of this machine.
func (g *global) moving(v api.EnvVerb, cmd *cobra.Command) *cobra.Command {
	cmd.Args = exactly("PATH")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		abs, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		return g.doEnv(cmd.Context(), v, api.EnvRequest{Path: abs})
	}
	return cmd
}

func newEnvLog(g *global) *cobra.Command {
	var lines int
	cmd := &cobra.Command{
		Use: "log [NAME]", Short: "Show what happened to an environment, or to all, the newest first",
		Example:           "  conjured env log geo -n 50",
		Args:              atMost(1),
		ValidArgsFunction: g.complete(kernelNames, nothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			if lines < 1 {
				return usageError{errors.New("--lines takes a number from 1 on")}
			}
			r, err := g.askEnv(cmd.Context(), api.EnvLog, api.EnvRequest{Names: args, Lines: lines})
			if err != nil {
				return err
			}
			if g.t.json {
				return g.t.encode(r.Log)
			}
			return printEnvLog(g.t.out, r.Log)
		},
	}
	cmd.Flags().IntVarP(&lines, "lines", "n", 20, "how many lines")
	return cmd
}

func printEnvLog(out io.Writer, log []api.EnvLogEntry) error {
	w := tabwriter.NewWriter(out, 2, 8, 2, ' ', 0)
	fmt.Fprintln(w, "WHEN\tNAME\tCOMMIT\tWHAT\tTAG")
	for _, x := range log {
		when := "-"
		if !x.Time.IsZero() {
			when = x.Time.Local().Format("2006-01-02 15:04")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", when, x.Env, dash(short(x.Commit)), x.What, dash(x.Tag))
	}
	return w.Flush()
}
