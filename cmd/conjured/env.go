package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func newEnv(g *global) *cobra.Command {
	env := &cobra.Command{
		Use: "env", Short: "The environments that kernels run in",
		Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	env.AddCommand(&cobra.Command{
		Use: "list", Short: "List the environments and the generation in use", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
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
			w := tabwriter.NewWriter(g.t.out, 2, 8, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tLABEL\tGENERATION\tPACKAGES\tMADE")
			for _, e := range envs {
				made := "not built"
				if !e.Created.IsZero() {
					made = e.Created.Local().Format("2006-01-02 15:04")
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", e.Name, e.Label, e.Generation, e.Packages, made)
			}
			return w.Flush()
		},
	})
	return env
}
