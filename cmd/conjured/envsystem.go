package main

import (
	"cmp"
	"context"
	"fmt"
	"os"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/notice"
)

// This file has the verbs of env that show the system's own packages. Its generations
// are images, which the registry labels and rolls back, and does not look into.

// isSystem tells whether an environment is the class's image.
func isSystem(name string) bool { return name == string(environments.System) }

// ofSystem is an image as a generation, with its Debian packages.
func (b *box) ofSystem(number int) (environments.Generation, error) {
	g := environments.Generation{Env: environments.System, Number: number, State: environments.Ready}
	data, err := os.ReadFile(b.systems.manifest(number))
	if err != nil {
		return g, fmt.Errorf("cannot read the system's packages: %w", err)
	}
	g.Manifest, err = environments.ParseAptManifest(data)
	return g, err
}

// diffSystem compares two images by their Debian packages.
func (b *box) diffSystem(ctx context.Context, e api.Environment, q api.EnvRequest) (api.EnvReply, error) {
	if _, ok := e.Labels[string(environments.Previous)]; !ok && q.From == "" && q.To == "" {
		return api.EnvReply{Compared: nothingToCompare(e)}, nil
	}
	from, err := b.generation(e, cmp.Or(q.From, string(environments.Previous)))
	if err != nil {
		return api.EnvReply{}, err
	}
	to, err := b.generation(e, q.To)
	if err != nil {
		return api.EnvReply{}, err
	}
	changes := environments.Diff(from.Manifest, to.Manifest)
	c := api.EnvCompared{
		Env: e.Name, Changes: changesOf(changes), Sentence: changes.Sentence("the system"),
		From: api.EnvRef{Asked: cmp.Or(q.From, string(environments.Previous)), Generation: from.Number},
		To:   api.EnvRef{Asked: cmp.Or(q.To, string(environments.Current)), Generation: to.Number},
	}
	if b.hub != nil {
		servers, err := b.hub.Servers(ctx)
		if err != nil {
			return api.EnvReply{}, err
		}
		c.Touched.Servers = len(servers)
	}
	return api.EnvReply{Compared: &c}, nil
}

// nothingToCompare is the difference of one generation to itself, when it is the only one.
func nothingToCompare(e api.Environment) *api.EnvCompared {
	now := api.EnvRef{Asked: string(environments.Current), Generation: e.Labels[string(environments.Current)]}
	return &api.EnvCompared{
		Env: e.Name, From: now, To: now, Changes: changesOf(environments.Changes{}),
		Sentence: fmt.Sprintf("%s has had no other packages than it has now, and nothing waits: there is nothing to compare", nameWords(e)),
	}
}

// notOfSystem refuses a verb that an image does not have.
func notOfSystem(v api.EnvVerb) error {
	return &notice.Error{Notice: notice.Notice{
		Code: "env-system", Severity: notice.SeverityError,
		What:  fmt.Sprintf("system is the class's image, for which there is no %s", v),
		Means: "nothing was changed",
		Do:    "change apt.txt or base.Dockerfile; list, show, diff, label and rollback work with system too",
	}}
}

// hasSystem tells whether a verb can be about the image.
func hasSystem(v api.EnvVerb) bool {
	switch v {
	case api.EnvShow, api.EnvDiff, api.EnvLabel, api.EnvRollback:
		return true
	}
	return false
}
