package registry

import (
	"fmt"
	"slices"
	"strings"

	"github.com/conjuring/conjured/environments"
)

// exactly is spec with nothing but the packages of a list of the old tool, one
// "CHANNEL/SUBDIR\tNAME-VERSION-BUILD" a line (conda_gitenv/deploy.py).
func exactly(spec environments.Spec, list []byte) (environments.Spec, error) {
	out := spec
	out.Channels, out.Conda, out.Requirements, out.Wheels = nil, nil, nil, nil
	n := 0
	for line := range strings.Lines(string(list)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		place, pkg, ok := strings.Cut(line, "\t")
		channel, _, ok2 := cutLast(place, "/")
		rest, build, ok3 := cutLast(pkg, "-")
		name, version, ok4 := cutLast(rest, "-")
		if !ok || !ok2 || !ok3 || !ok4 || strings.ContainsAny(pkg, " =[]") {
			return out, fmt.Errorf("cannot read line %d of %s: %.80q is no package", n, envManifest, line)
		}
		if !slices.Contains(out.Channels, channel) {
			out.Channels = append(out.Channels, channel)
		}
		out.Conda = append(out.Conda, environments.CondaRequirement{Spec: name + "=" + version + "=" + build, File: envManifest, Line: n})
	}
	return out, nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 1 || i == len(s)-1 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
