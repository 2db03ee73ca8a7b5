package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/conjuring/conjured/api"
)

// making are the flags of the verbs that look for versions.
type making struct {
	several
	q api.EnvRequest
}

func (m *making) flags(cmd *cobra.Command) {
	m.flag(cmd)
	f := cmd.Flags()
	f.BoolVar(&m.q.Upgrade, "upgrade", false, "take the newest versions of everything, not as few changes as possible")
	f.StringSliceVar(&m.q.Packages, "upgrade-package", nil, "take the newest version of this package; may be given more than once")
	f.BoolVar(&m.q.Offline, "offline", false, "use only what is on this machine; what is missing is listed")
}

func (g *global) making(v api.EnvVerb, cmd *cobra.Command) *cobra.Command {
	var m making
	m.flags(cmd)
	cmd.ValidArgsFunction = g.complete(kernelNames)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if m.q.Names, err = m.names(args); err != nil {
			return err
		}
		if m.q.Upgrade && len(m.q.Packages) > 0 {
			return usageError{errors.New("--upgrade is everything already: leave one of it and --upgrade-package out")}
		}
		return g.doEnv(cmd.Context(), v, m.q)
	}
	return cmd
}

func newEnvResolve(g *global) *cobra.Command {
	return g.making(api.EnvResolve, &cobra.Command{
		Use: "resolve NAME...", Short: "Find the exact list of packages for what was asked for; build nothing",
		Long: `resolve turns what the folder asks for into the exact list of packages, with hashes, and writes
it into the history. Versions in use stay unless something asks for another one: a new package
does not move numpy. When nothing changes, nothing is written.`,
		Example: "  conjured env resolve geo\n  conjured env resolve --all --offline\n  conjured env resolve geo --upgrade-package numpy",
	})
}

func newEnvUpdate(g *global) *cobra.Command {
	return g.making(api.EnvUpdate, &cobra.Command{
		Use: "update NAME...", Short: "Bring an environment up to what the folder asks for: resolve, tag, build, promote",
		Long: `update finds the exact list of packages, names it with a tag, builds and tests it, and has the
class use it if the policy of this machine (auto_promote) lets it; else it waits for promote and
the exit code is 3. One environment that fails does not stop the others.`,
		Example: "  conjured env update geo101\n  conjured env update --all\n  conjured env update geo101 --upgrade",
	})
}

// plain is a command about one, some or all environments, without further flags.
func (g *global) plain(v api.EnvVerb, cmd *cobra.Command) *cobra.Command {
	var s several
	s.flag(cmd)
	cmd.ValidArgsFunction = g.complete(kernelNames)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		names, err := s.names(args)
		if err != nil {
			return err
		}
		return g.doEnv(cmd.Context(), v, api.EnvRequest{Names: names})
	}
	return cmd
}

func newEnvReset(g *global) *cobra.Command {
	return g.plain(api.EnvReset, &cobra.Command{
		Use: "reset NAME...", Short: "Build the packages in use anew, for a copy that was damaged",
		Long: `reset builds the same list of packages again from what is on this machine, without a network, and
has the class use the new copy. No version changes. Kernels that run keep the old copy.`,
		Example: "  conjured env reset geo101",
	})
}

func newEnvVerify(g *global) *cobra.Command {
	return g.plain(api.EnvVerify, &cobra.Command{
		Use: "verify NAME...", Short: "Check that the packages in use are whole and that their kernel works",
		Long: `verify compares each file of the generation in use with its hash, checks that the packages fit
each other, and runs a kernel. It changes nothing; reset repairs what it finds.`,
		Example: "  conjured env verify geo\n  conjured env verify --all",
	})
}

func newEnvDeploy(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "deploy NAME [REF]", Short: "Build what a tag names; nobody uses it until it is promoted or labelled",
		Long: `deploy builds and tests the exact list of packages that REF names (a tag, a label or a number),
otherwise the newest one. A generation that is there already is not built again.`,
		Example:           "  conjured env deploy geo\n  conjured env deploy geo env-geo-2026_11_20",
		Args:              between(1, "NAME", "REF"),
		ValidArgsFunction: g.complete(kernelNames, envTags, nothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.doEnv(cmd.Context(), api.EnvDeploy, api.EnvRequest{Names: args[:1], Ref: arg(args, 1)})
		},
	}
}
