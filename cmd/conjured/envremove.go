package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/registry"
)

func newEnvRemove(g *global) *cobra.Command {
	var yes, dry bool
	cmd := &cobra.Command{
		Use: "remove NAME", Aliases: []string{"rm"}, Short: "Take an imported environment out of use; deploy of a tag brings it back",
		Long: `remove takes an environment out of use that import-gitenv brought: its kernel is not offered any
more, and its generations go when the box tidies up. History and tags stay, and generations with a
label of yours or a pin. It says so first and asks; --yes answers. What the folder asks for goes
with its file, and base is not removed.`,
		Example:           "  conjured env remove old_maps --dry-run\n  conjured env remove old_maps\n  conjured env deploy old_maps env-old_maps-2019_05_14",
		Args:              exactly("NAME"),
		ValidArgsFunction: g.complete(envNames, nothing),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := api.EnvRequest{Names: args, DryRun: true}
			if dry {
				return g.doEnv(cmd.Context(), api.EnvRemove, q)
			}
			if !yes {
				if ok, err := g.mayRemove(cmd.Context(), q); !ok || err != nil {
					return err
				}
			}
			q.DryRun = false
			return g.doEnv(cmd.Context(), api.EnvRemove, q)
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would go and what stays, and remove nothing")
	return cmd
}

// mayRemove says what would be removed and asks. Where there is nothing to remove, that
// has been said, and ok is false.
func (g *global) mayRemove(ctx context.Context, q api.EnvRequest) (ok bool, err error) {
	if g.t.json || !term.IsTerminal(int(os.Stdin.Fd())) {
		return false, usageError{errors.New("nobody can be asked here: look at it with --dry-run, then give --yes")}
	}
	r, err := g.askEnv(ctx, api.EnvRemove, q)
	if err != nil {
		return false, err
	}
	if err := reportEnv(g.t, api.EnvRemove, r); err != nil {
		return false, err
	}
	if len(r.Outcomes) == 0 || r.Outcomes[0].Did != api.EnvRemovable {
		return false, nil
	}
	fmt.Fprintf(g.t.out, "Remove %s? [y/N] ", r.Outcomes[0].Env)
	switch answer, err := readAnswer(ctx); {
	case err != nil:
		return false, err
	case answer != "y" && answer != "yes":
		g.t.print("Nothing was changed.")
		return false, nil
	}
	return true, nil
}

// readAnswer reads a line of the terminal, in small letters. Who gives up does not wait
// for it.
func readAnswer(ctx context.Context) (string, error) {
	lines := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(os.Stdin).ReadString('\n') // the end of it is an empty answer
		lines <- line
	}()
	select {
	case line := <-lines:
		return strings.ToLower(strings.TrimSpace(line)), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// remove takes an imported environment out of use, and its kernel out of open Labs.
func (b *box) remove(ctx context.Context, env environments.Name, dry bool) (registry.Outcome, error) {
	o, err := b.registry.Remove(ctx, env, dry)
	if err != nil || o.Did != registry.Removed {
		return o, err
	}
	if err := os.Remove(b.place.join("sealed")); err != nil && !errors.Is(err, os.ErrNotExist) {
		b.log.Warn("the image latest stays as it was", "error", err)
	}
	if b.users == nil {
		return o, nil // nobody sees kernels here
	}
	if err := b.showKernels(ctx); err != nil {
		b.log.Warn("the lists of kernels are as they were", "error", err)
	}
	b.linkVenvs(ctx)
	return o, nil
}
