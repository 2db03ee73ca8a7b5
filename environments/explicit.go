package environments

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

const (
	explicitMark     = "@EXPLICIT"
	explicitPlatform = "# platform: "
)

// Explicit is the packages of conda in m as an explicit list, the file conda.lock: what
// `conda create --file`, mamba, pixi and rattler install without choosing anything. It
// is nil when there are none. Source of the format: conda's documentation, "Building
// identical conda environments", with a package's sha256 behind its address.
func (m Manifest) Explicit() []byte {
	list, err := m.explicit(func(p Package) (string, error) { return strings.Join(p.Hashes, ","), nil })
	if err != nil {
		return nil // never: no hash is looked for
	}
	return list
}

// ExplicitMD5 is the list for old clients, which know no other hash. md5 gives the hex md5 of an archive by its hex sha256; the error
// names the package whose hash it has not.
func (m Manifest) ExplicitMD5(md5 map[string]string) ([]byte, error) {
	return m.explicit(func(p Package) (string, error) {
		for _, h := range p.Hashes {
			if sum := md5[strings.TrimPrefix(h, "sha256:")]; sum != "" {
				return sum, nil
			}
		}
		return "", fmt.Errorf("cannot write explicit list: no md5 of %s", p)
	})
}

func (m Manifest) explicit(hash func(Package) (string, error)) ([]byte, error) {
	packages := m.of(Conda)
	if len(packages) == 0 {
		return nil, nil
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%s\n%s\n", explicitPlatform, condaSubdir(m.Platform), explicitMark)
	for _, p := range packages {
		h, err := hash(p)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s#%s\n", p.URL, h)
	}
	return b.Bytes(), nil
}

var explicitForm = regexp.MustCompile(`^(https?://[^\s#@?]+)#(?:sha256:)?([0-9a-f]{64})$`)

// maxExplicit bounds a list that somebody else wrote: 20000 packages.
const maxExplicit = 4 << 20

// ParseExplicit reads an explicit list, ours or another program's. Sizes are not in it.
// Every package has to have a sha256: one with md5 or no hash is an error, because its
// archive could not be told from another.
func ParseExplicit(b []byte) (Manifest, error) {
	var m Manifest
	if len(b) > maxExplicit {
		return m, fmt.Errorf("cannot read explicit list: %d bytes are too many", len(b))
	}
	marked := false
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, explicitPlatform):
			m.Platform = fromSubdir(strings.TrimSpace(strings.TrimPrefix(line, explicitPlatform)))
		case line == explicitMark:
			marked = true
		case line == "" || strings.HasPrefix(line, "#"):
		default:
			p, err := parseExplicitLine(line)
			if err != nil {
				return m, err
			}
			m.Packages = append(m.Packages, p)
		}
	}
	if !marked {
		return m, errors.New("cannot read explicit list: no line " + explicitMark)
	}
	return m, m.settle()
}

func parseExplicitLine(line string) (Package, error) {
	f := explicitForm.FindStringSubmatch(line)
	if f == nil {
		return Package{}, fmt.Errorf("cannot read explicit list: %.120q is no address with a sha256 behind it", line)
	}
	p := Package{Kind: Conda, URL: f[1], Hashes: []string{"sha256:" + f[2]}}
	var ok bool
	if p.Name, p.Version, p.Build, ok = condaFile(p.URL); !ok {
		return p, fmt.Errorf("cannot read explicit list: %.120q is no file of conda", p.URL)
	}
	return p, nil
}

// settle sorts packages that were read from a list, refuses a name that is there twice,
// and takes from them which Python and platform they are for.
func (m *Manifest) settle() error {
	m.Packages = m.of(Conda)
	for i, p := range m.Packages {
		if i > 0 && m.Packages[i-1].Name == p.Name {
			return fmt.Errorf("cannot read explicit list: %s is in it twice", p.Name)
		}
		if _, subdir := channelOf(p.URL); m.Platform == "" && subdir != "noarch" {
			m.Platform = fromSubdir(subdir)
		}
		if p.Name == "python" {
			m.Python = majorMinor(p.Version)
		}
	}
	m.Packages = slices.Clip(m.Packages)
	return nil
}

// majorMinor is "3.13" of "3.13.5".
func majorMinor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}
