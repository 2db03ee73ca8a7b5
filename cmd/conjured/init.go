package main

import (
	"github.com/spf13/cobra"

	"github.com/conjuring/conjured/custom"
)

func newInit(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "init DIR",
		Short: "Write a sample folder to start from",
		Long: `init writes the sample class into DIR, which must be empty or absent: a roster of
thirty, two notebooks, packages, and a comment in each file that says what it does.`,
		Args: exactly("DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := custom.WriteSample(args[0]); err != nil {
				return err
			}
			if g.t.json {
				return g.t.encode(map[string]string{"dir": args[0]})
			}
			g.t.print("The sample class is in %s. Look at users.csv first, then: conjured up %s", args[0], args[0])
			return nil
		},
	}
}
