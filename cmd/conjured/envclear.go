package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/registry"
	"github.com/conjuring/conjured/progress"
)

func newEnvGC(g *global) *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use: "gc", Short: "Remove what nobody needs any more: old generations, and stored packages",
		Long: `gc removes generations without a label, pin or running kernel, but for the last three of each
environment; then stored packages that no generation, no label and none of the newest ten tags of
an environment names, and what crashes left. What is kept can be deployed without a network as
before. The daemon does it by itself, never in a lesson.`,
		Example: "  conjured env gc --dry-run\n  conjured env gc",
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.doEnv(cmd.Context(), api.EnvGC, api.EnvRequest{DryRun: dry})
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would be removed, and remove nothing")
	return cmd
}

// freedWords are what the disk gets back by kind, and in all.
func freedWords(l []api.EnvFreed) []string {
	var out []string
	var sum int64
	for _, f := range l {
		out = append(out, fmt.Sprintf("%9s  %s", diskWords(f.Bytes), leftoverWords(f)))
		sum += f.Bytes
	}
	if len(l) > 1 {
		out = append(out, fmt.Sprintf("%9s  in all", diskWords(sum)))
	}
	return out
}

// diskWords is a size on the disk; "-" is not known, or nothing of its own.
func diskWords(n int64) string {
	if n == 0 {
		return "-"
	}
	return sizeWords(n)
}

func leftoverWords(f api.EnvFreed) string {
	switch f.Kind {
	case "generations":
		return plural(f.Count, "generation")
	case "resolutions":
		return plural(f.Count, "remembered list") + " of versions"
	case "conda-packages":
		return plural(f.Count, "stored package") + " of conda"
	case "wheels":
		return plural(f.Count, "wheel") + " of the folder, or made from source"
	case "index-packages":
		return plural(f.Count, "stored package") + " of pip"
	case "scratch":
		return plural(f.Count, "rest") + " of work that was interrupted"
	case "old-histories":
		return plural(f.Count, "backup") + " of a damaged history"
	}
	return fmt.Sprintf("%d %s", f.Count, f.Kind)
}

// clear removes what nobody needs, or says what that would be.
func (b *box) clear(ctx context.Context, dry bool) (api.EnvReply, error) {
	var cleared registry.Cleared
	work := envWork{verb: api.EnvGC, all: func(ctx context.Context, _ progress.Sink) (_ []registry.Outcome, err error) {
		cleared, err = b.registry.GC(ctx, dry)
		return cleared.Outcomes, err
	}}
	out, err := work.run(ctx, b.news)
	b.sight.look()
	return api.EnvReply{Outcomes: outcomesOf(out), Freed: freedOf(cleared.Freed)}, err
}

func freedOf(l []environments.Freed) []api.EnvFreed {
	var out []api.EnvFreed
	for _, f := range l {
		out = append(out, api.EnvFreed{Kind: string(f.Kind), Count: f.Count, Bytes: f.Bytes})
	}
	return out
}
