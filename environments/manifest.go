package environments

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Manifest is the exact list that one gets, in the form of a requirements file with
// hashes. The order of packages and hashes does not matter; Canonical sorts.
type Manifest struct {
	Python   string    `json:"python"`   // "3.13": bytecode and wheels depend on it
	Platform string    `json:"platform"` // "linux-x86_64"
	Packages []Package `json:"packages"`

	// Variables are what was asked for beside packages: NAME=value, sorted, each name
	// once. What packages set of their own follows from them, and is not here.
	Variables []string `json:"variables,omitempty"`
}

// Kind says which engine a package comes from.
type Kind string

// The kinds. The zero Kind is a distribution of the Python index.
const (
	Pip   Kind = ""
	Conda Kind = "conda"
	Apt   Kind = "apt" // in the system's manifest only
)

// Package is one locked distribution.
type Package struct {
	Kind    Kind     `json:"kind,omitempty"`
	Name    string   `json:"name"`              // normalised as PEP 503 says; of another Kind as its engine writes it
	Version string   `json:"version,omitempty"` // "" for one that comes from URL
	Build   string   `json:"build,omitempty"`   // conda's build string
	URL     string   `json:"url,omitempty"`     // file:// in our store, or https://; of conda always, whatever mirror it came by
	Hashes  []string `json:"hashes"`            // "sha256:<hex>"; any of them will do
	Size    int64    `json:"size,omitempty"`    // bytes of the archive; 0 when not known
}

const (
	manifestHeader = "# conjured manifest 1\n"
	noPython       = "none" // where a version of Python stands, when there is none
)

// Canonical is m as bytes: the same for equal manifests, whatever their order.
func (m Manifest) Canonical() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s# python %s\n# platform %s\n", manifestHeader, cmp.Or(m.Python, noPython), m.Platform)
	for _, p := range m.of(Conda) {
		b.WriteString(condaLine(p))
	}
	b.Write(m.body())
	for _, v := range m.Variables {
		b.WriteString(variableMark + v + "\n")
	}
	return b.Bytes()
}

// of is the packages of one kind, in order.
func (m Manifest) of(k Kind) []Package {
	var out []Package
	for _, p := range m.Packages {
		if p.Kind == k {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(x, y Package) int { return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.URL, y.URL)) })
	return out
}

// body is the packages of the Python index, laid out as
// `uv pip compile --no-header --no-annotate` does.
func (m Manifest) body() []byte {
	var b bytes.Buffer
	for _, p := range m.of(Pip) {
		b.WriteString(p.String())
		for _, h := range slices.Compact(slices.Sorted(slices.Values(p.Hashes))) {
			fmt.Fprintf(&b, " \\\n    --hash=%s", h)
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// String is "name==version" or "name @ url"; of conda "name=version=build".
func (p Package) String() string {
	if p.Kind == Conda {
		return p.Name + "=" + p.Version + "=" + p.Build
	}
	if p.URL != "" {
		return p.Name + " @ " + p.URL
	}
	return p.Name + "==" + p.Version
}

// ID is the identity of a generation made from m: the hex sha256 of Canonical.
func (m Manifest) ID() string {
	h := sha256.Sum256(m.Canonical())
	return hex.EncodeToString(h[:])
}

// Find gives the package of a normalised name: that of the Python index if there are two.
func (m Manifest) Find(name string) (Package, bool) {
	i := slices.IndexFunc(m.Packages, func(p Package) bool { return p.Kind == Pip && p.Name == name })
	if i < 0 {
		i = slices.IndexFunc(m.Packages, func(p Package) bool { return p.Name == name })
	}
	if i < 0 {
		return Package{}, false
	}
	return m.Packages[i], true
}

var (
	pinForm  = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]*)(\[[A-Za-z0-9,._ -]*\])?\s*(?:===?\s*([^\s;@]+)|@\s*(\S+))$`)
	hashForm = regexp.MustCompile(`^--hash=(sha(?:256|384|512):[0-9a-f]{64,128})$`)
)

// maxManifest bounds what is read as a manifest: 4000 packages with 60 files each.
const maxManifest = 32 << 20

// ParseManifest reads what Canonical wrote.
func ParseManifest(b []byte) (Manifest, error) {
	var m Manifest
	rest, ok := strings.CutPrefix(string(b), manifestHeader)
	if !ok {
		return m, errors.New("cannot read manifest: no header")
	}
	python, rest, ok1 := strings.Cut(rest, "\n")
	platform, rest, ok2 := strings.Cut(rest, "\n")
	m.Python, _ = strings.CutPrefix(python, "# python ")
	m.Platform, _ = strings.CutPrefix(platform, "# platform ")
	if !ok1 || !ok2 || m.Python == "" || m.Platform == "" {
		return m, errors.New("cannot read manifest: no interpreter")
	}
	if m.Python == noPython {
		m.Python = ""
	}
	conda, rest, err := cutConda(rest)
	if err != nil {
		return m, err
	}
	if m.Variables, rest, err = cutVariables(rest); err != nil {
		return m, err
	}
	pip, err := parseLock([]byte(rest))
	m.Packages = append(conda, pip...)
	return m, err
}

// parseLock reads the packages of a requirements file in which every line is pinned:
// what uv writes. Comments and options for an index are skipped, markers are dropped.
func parseLock(b []byte) ([]Package, error) {
	if len(b) > maxManifest {
		return nil, fmt.Errorf("cannot read lock: %d bytes are too many", len(b))
	}
	text := strings.ReplaceAll(strings.ReplaceAll(string(b), "\r\n", "\n"), "\\\n", " ")
	var out []Package
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if i := strings.Index(" "+line, " #"); i >= 0 {
			line = strings.TrimSpace(line[:max(i-1, 0)])
		}
		if line == "" || strings.HasPrefix(line, "-") {
			continue
		}
		p, err := parsePin(line)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func parsePin(line string) (Package, error) {
	var p Package
	pin, rest, hashed := strings.Cut(line, " --hash=")
	if hashed {
		for _, f := range strings.Fields("--hash=" + rest) {
			m := hashForm.FindStringSubmatch(f)
			if m == nil {
				return p, fmt.Errorf("cannot read lock: %.80q is not a hash", f)
			}
			p.Hashes = append(p.Hashes, m[1])
		}
	}
	pin, _, _ = strings.Cut(pin, " ;")
	m := pinForm.FindStringSubmatch(strings.TrimSpace(pin))
	if m == nil {
		return p, fmt.Errorf("cannot read lock: %.80q is not pinned", pin)
	}
	p.Name, p.Version, p.URL = normalise(m[1]), m[3], m[4]
	slices.Sort(p.Hashes)
	return p, nil
}

var separators = regexp.MustCompile(`[-_.]+`)

// normalise is a distribution's name as PEP 503 compares it.
func normalise(name string) string {
	return strings.ToLower(separators.ReplaceAllString(name, "-"))
}
