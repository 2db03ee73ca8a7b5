package custom

import (
	"fmt"
	"slices"
)

// poetryList is poetry.lock: https://python-poetry.org/docs/basic-usage/.
type poetryList struct {
	Package []struct {
		Name     string         `toml:"name"`
		Version  string         `toml:"version"`
		Optional bool           `toml:"optional"`
		Groups   []string       `toml:"groups"`  // since Poetry 2
		Markers  any            `toml:"markers"` // a text, or one for each group
		Source   map[string]any `toml:"source"`
		Files    []struct {
			Hash string `toml:"hash"`
		} `toml:"files"`
	} `toml:"package"`
}

// poetry reads poetry.lock, which lists what to install here, other groups among it.
func (l *pipList) poetry(data []byte) {
	var p poetryList
	if !l.toml(l.rel, data, &p) {
		return
	}
	for _, k := range p.Package {
		line := l.at(k.Name)
		marker, _ := k.Markers.(string)
		if by, ok := k.Markers.(map[string]any); ok {
			marker, _ = by["main"].(string)
		}
		kind, _ := k.Source["type"].(string)
		switch {
		case k.Optional || len(k.Groups) > 0 && !slices.Contains(k.Groups, "main"):
			l.info("lock-group", l.rel, line, fmt.Sprintf("%s line %d: %s belongs to an extra or a group", printable(l.rel), line, short(k.Name)), "it is not installed", "name it in requirements.txt if the lesson needs it")
		case kind != "" && kind != "legacy" || k.Version == "":
			l.other(line, k.Name)
		default:
			var hashes []string
			for _, f := range k.Files {
				hashes = append(hashes, f.Hash)
			}
			l.pin(line, k.Name, k.Version, marker, hashes, false)
		}
	}
}
