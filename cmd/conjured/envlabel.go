package main

import (
	"github.com/spf13/cobra"

	"github.com/conjuring/conjured/api"
)

func newEnvTag(g *global) *cobra.Command {
	return g.plain(api.EnvTag, &cobra.Command{
		Use: "tag NAME...", Short: "Name the newest exact list of packages, so that it can be had again",
		Long: `tag gives the newest exact list of packages a name such as env-geo-2026_11_20. A list that has
one keeps it.`,
		Example: "  conjured env tag geo",
	})
}

func newEnvPromote(g *global) *cobra.Command {
	return g.plain(api.EnvPromote, &cobra.Command{
		Use: "promote NAME...", Short: "Use what waits: next becomes current, current becomes previous",
		Long: `promote has the class use the packages that wait at next. Kernels that start from now on have
them; kernels that run keep theirs until they are restarted. rollback takes it back.`,
		Example: "  conjured env diff geo\n  conjured env promote geo",
	})
}

func newEnvRollback(g *global) *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: "rollback NAME", Short: "Use the packages of before, at once: nothing is built, no network is needed",
		Long: `rollback has the class use the generation of before, or with --to that of a tag, label or number.
Kernels that run keep theirs until they are restarted. Rolling back twice is where one began.`,
		Example:           "  conjured env rollback geo\n  conjured env rollback geo --to env-geo-2026_11_20",
		Args:              exactly("NAME"),
		ValidArgsFunction: g.complete(envNames, nothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.doEnv(cmd.Context(), api.EnvRollback, api.EnvRequest{Names: args, To: to})
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the tag, label or number to go back to (default: what was in use before)")
	_ = cmd.RegisterFlagCompletionFunc("to", g.complete(envNames, envRefs)) // fails only for a flag that is not there
	return cmd
}

func newEnvLabel(g *global) *cobra.Command {
	var remove bool
	cmd := &cobra.Command{
		Use: "label NAME LABEL REF", Short: "Point a label of your own at a generation",
		Long: `label points LABEL at the generation of REF: a tag, another label or a number; with --remove the
label goes. Labels keep a generation from being cleaned up. current and previous are moved by
promote and rollback only.`,
		Example: "  conjured env label geo exam env-geo-2026_11_20\n  conjured env label geo exam current\n  conjured env label geo exam --remove",
		Args: func(cmd *cobra.Command, args []string) error {
			if remove {
				return exactly("NAME", "LABEL")(cmd, args)
			}
			return exactly("NAME", "LABEL", "REF")(cmd, args)
		},
		ValidArgsFunction: g.complete(envNames, envLabels, envRefs, nothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.doEnv(cmd.Context(), api.EnvLabel, api.EnvRequest{Names: args[:1], Label: args[1], Ref: arg(args, 2)})
		},
	}
	cmd.Flags().BoolVar(&remove, "remove", false, "take the label away")
	return cmd
}

func newEnvPin(g *global) *cobra.Command {
	return g.pinning(api.EnvPin, &cobra.Command{
		Use: "pin NAME [REF]", Short: "Keep a generation, however old it gets",
		Long:    `pin keeps the generation of REF (a label, tag or number; otherwise current) from being cleaned up.`,
		Example: "  conjured env pin geo\n  conjured env pin geo env-geo-2026_11_20",
	})
}

func newEnvUnpin(g *global) *cobra.Command {
	return g.pinning(api.EnvUnpin, &cobra.Command{
		Use: "unpin NAME [REF]", Short: "Let a pinned generation be cleaned up again",
		Example: "  conjured env unpin geo 4",
	})
}

func (g *global) pinning(v api.EnvVerb, cmd *cobra.Command) *cobra.Command {
	cmd.Args = between(1, "NAME", "REF")
	cmd.ValidArgsFunction = g.complete(kernelNames, envRefs, nothing)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return g.doEnv(cmd.Context(), v, api.EnvRequest{Names: args[:1], Ref: arg(args, 1)})
	}
	return cmd
}
