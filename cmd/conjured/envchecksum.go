package main

import (
	"context"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/environments"
)

// withChecksums marks the packages of g whose checksums the newest folder gives.
func (b *box) withChecksums(ctx context.Context, s *api.EnvShown, g environments.Generation) *api.EnvShown {
	if b.registry == nil {
		return s
	}
	wanted, err := b.registry.Wanted(ctx)
	if err != nil {
		b.log.Debug("it is not known which packages are fixed by a checksum", "error", err)
		return s
	}
	for _, w := range wanted {
		if w.Env != g.Env {
			continue
		}
		for i, p := range g.Manifest.Packages { // shownOf keeps their order
			s.Packages[i].Checksum = w.Pins(p)
		}
	}
	return s
}

// sourceWords says where a package comes from, and whether it can be no other file.
func sourceWords(p api.EnvPackage) string {
	if p.Checksum {
		return p.Engine + ", by its checksum"
	}
	return p.Engine
}
