package registry

import (
	"fmt"
	"slices"

	"github.com/conjuring/conjured/environments"
)

// exactly is spec with nothing but the packages of a list of the old tool.
func exactly(spec environments.Spec, list []byte) (environments.Spec, error) {
	pkgs, err := environments.ParseLegacy(list)
	if err != nil {
		return spec, fmt.Errorf("cannot deploy %s: %w", spec.Env, err)
	}
	out := spec
	out.Channels, out.Conda, out.Requirements, out.Wheels = nil, nil, nil, nil
	for i, p := range pkgs {
		if c := environments.ChannelName(p.Channel); !slices.Contains(out.Channels, c) {
			out.Channels = append(out.Channels, c)
		}
		out.Conda = append(out.Conda, environments.CondaRequirement{Spec: p.Spec(), File: envManifest, Line: i + 1})
	}
	return out, nil
}

// legacyIdentity is a digest of a list of the old tool, whatever its lines' order and
// however it spells its channels. "" when there is no package in it.
func legacyIdentity(list []byte) string {
	pkgs, err := environments.ParseLegacy(list)
	if err != nil || len(pkgs) == 0 {
		return ""
	}
	var lines []string
	for _, p := range pkgs {
		lines = append(lines, p.Subdir+" "+p.Spec())
	}
	slices.Sort(lines)
	return "legacy " + digest(lines)
}
