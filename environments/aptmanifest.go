package environments

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// System is the name that the class image has beside the environments: what apt.txt and
// base.Dockerfile ask for. Its generations are images.
const System Name = "system"

var aptForm = regexp.MustCompile(`^([a-z0-9][a-z0-9+.-]*)=([A-Za-z0-9.+:~-]+):([a-z0-9-]+) (-|[0-9a-f]{64}) (-|[0-9]{1,12}) (\S+)$`)

// ParseAptManifest reads the packages of a class image, in the form that
// layers/image/aptmanifest.py writes. A package that is installed for two architectures
// has the second one in its name.
func ParseAptManifest(b []byte) (Manifest, error) {
	m := Manifest{}
	seen := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		f := aptForm.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if f == nil {
			return Manifest{}, fmt.Errorf("cannot read the system's packages: %.80q", line)
		}
		p := Package{Kind: Apt, Name: f[1], Version: f[2]}
		if seen[p.Name] {
			p.Name += ":" + f[3]
		}
		seen[p.Name] = true
		if f[4] != "-" {
			p.Hashes = []string{"sha256:" + f[4]}
		}
		p.Size, _ = strconv.ParseInt(f[5], 10, 64) // 0 for "-"
		if f[6] != "-" {
			p.URL = f[6]
		}
		m.Packages = append(m.Packages, p)
	}
	return m, nil
}
