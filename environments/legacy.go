package environments

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// LegacyPackage is a line of conda-gitenv's env.manifest: a package without its hash.
type LegacyPackage struct {
	Channel string // canonical address, without a slash at its end
	Subdir  string
	Name    string
	Version string
	Build   string
}

// Spec is a line that asks for exactly this package.
func (l LegacyPackage) Spec() string {
	return ChannelName(l.Channel) + "::" + l.Name + "=" + l.Version + "=" + l.Build
}

// Legacy is the packages of conda in m as conda-gitenv keeps them, the file env.manifest:
// `<channel>/<subdir>`, a tab, and name-version-build, sorted by name. A file's ending is
// left out whether it is .conda or .tar.bz2. Nil when there are none.
func (m Manifest) Legacy() []byte {
	var b bytes.Buffer
	for _, p := range m.of(Conda) {
		channel, subdir := channelOf(p.URL)
		fmt.Fprintf(&b, "%s/%s\t%s-%s-%s\n", channel, subdir, p.Name, p.Version, p.Build)
	}
	return b.Bytes()
}

var legacySource = regexp.MustCompile(`^(https?://[^\s@?#]+?)/([a-z0-9_-]+)/?$`)

// ParseLegacy reads an env.manifest. Its packages have no hashes, so they can be asked
// for again, and not be installed as they are.
func ParseLegacy(b []byte) ([]LegacyPackage, error) {
	if len(b) > maxExplicit {
		return nil, fmt.Errorf("cannot read env.manifest: %d bytes are too many", len(b))
	}
	var out []LegacyPackage
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		source, stem, ok := strings.Cut(line, "\t")
		f := legacySource.FindStringSubmatch(source)
		if !ok || f == nil {
			return nil, fmt.Errorf("cannot read env.manifest: %.120q is not a channel, a tab and a package", line)
		}
		l := LegacyPackage{Channel: f[1], Subdir: f[2]}
		stem = strings.TrimSuffix(stem, ".conda")
		if l.Name, l.Version, l.Build, ok = condaFile("/" + stem + ".conda"); !ok || strings.ContainsAny(stem, "/ \t\\") {
			return nil, fmt.Errorf("cannot read env.manifest: %.120q is no name, version and build", stem)
		}
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b LegacyPackage) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Channel, b.Channel))
	})
	return out, nil
}
