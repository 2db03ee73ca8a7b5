package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/conjuring/conjured/api"
)

// completeWait bounds what a press of the Tab key waits for.
const completeWait = 2 * time.Second

// choices are the words that may stand at one place of a command line. args are the
// ones before it.
type choices func(envs []api.Environment, args []string) []string

// complete asks the daemon for the words of each argument; the last of the places is
// that of all further arguments. Without a daemon there are none.
func (g *global) complete(places ...choices) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		i := min(len(args), len(places)-1)
		ctx, cancel := context.WithTimeout(cmd.Context(), completeWait)
		defer cancel()
		c, err := g.client()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer c.Close()
		envs, err := c.Environments(ctx)
		if err != nil || places[i] == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return places[i](envs, args), cobra.ShellCompDirectiveNoFileComp
	}
}

// envNames are the environments that are not named yet.
func envNames(envs []api.Environment, args []string) []string {
	var out []string
	for _, e := range envs {
		if !slices.Contains(args, e.Name) {
			out = append(out, e.Name+"\t"+audience(e))
		}
	}
	return out
}

// kernelNames are the names that are not the system's: most verbs are not about images.
func kernelNames(envs []api.Environment, args []string) []string {
	return envNames(slices.DeleteFunc(slices.Clone(envs), func(e api.Environment) bool { return isSystem(e.Name) }), args)
}

// nothing ends a command line.
func nothing([]api.Environment, []string) []string { return nil }

// envLabels are the labels of the environment that the first argument names.
func envLabels(envs []api.Environment, args []string) []string {
	e := ofName(envs, args)
	var out []string
	for _, l := range slices.Sorted(maps.Keys(e.Labels)) {
		out = append(out, fmt.Sprintf("%s\tgeneration %d", l, e.Labels[l]))
	}
	return out
}

// envTags are its tags, the newest first.
func envTags(envs []api.Environment, args []string) []string {
	out := slices.Clone(ofName(envs, args).Tags)
	slices.Reverse(out)
	return out
}

// envRefs are its labels, tags and numbers.
func envRefs(envs []api.Environment, args []string) []string {
	out := append(envLabels(envs, args), envTags(envs, args)...)
	for _, x := range ofName(envs, args).Generations {
		out = append(out, strconv.Itoa(x.Number)+"\tgeneration of "+x.Created.Local().Format("2006-01-02 15:04"))
	}
	return out
}

func ofName(envs []api.Environment, args []string) api.Environment {
	for _, e := range envs {
		if len(args) > 0 && e.Name == args[0] {
			return e
		}
	}
	return api.Environment{}
}
