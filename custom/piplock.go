package custom

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// pipList is an exact list of packages of the index while it is read.
type pipList struct {
	*asking

	rel   string
	count int

	// The lines of the file that are name = "NAME", and { name = "NAME" ...: the
	// decoder of TOML keeps no places.
	entries, needs map[string][]int
	last           int // the line of the last package
}

var listedName = regexp.MustCompile(`^(\{ )?name = "([^"]+)"`)

// places finds the lines of names once, because a list may be long.
func (l *pipList) places(text string) {
	l.entries, l.needs = map[string][]int{}, map[string][]int{}
	line := 0
	for s := range strings.SplitSeq(text, "\n") {
		line++
		m := listedName.FindStringSubmatch(strings.TrimSpace(s))
		switch {
		case m == nil:
		case m[1] == "":
			l.entries[m[2]] = append(l.entries[m[2]], line)
		default:
			l.needs[m[2]] = append(l.needs[m[2]], line)
		}
	}
}

// after is the first of some sorted lines behind a line, or that line.
func after(lines []int, line int) int {
	if i, _ := slices.BinarySearch(lines, line+1); i < len(lines) {
		return lines[i]
	}
	return max(line, 1)
}

// at is the line on which the list names a package; entries come in order, and a name
// may come twice.
func (l *pipList) at(name string) int {
	l.last = after(l.entries[name], l.last)
	return l.last
}

// pin asks for one version, or only keeps to it when something else asks.
func (l *pipList) pin(line int, name, version, marker string, hashes []string, constraint bool) {
	text := name + "==" + version
	if marker != "" {
		text += " ; " + marker
	}
	before := len(l.req.out.Items)
	if l.req.pinned(l.rel, line, text, l.listed(l.rel, line, name, hashes...), constraint); len(l.req.out.Items) > before {
		l.count++
	}
}

// other names a package that does not come from the index.
func (l *pipList) other(line int, name string) {
	l.warn("lock-other", l.rel, line, fmt.Sprintf("%s line %d: %s comes from an address or a folder and not from the index", printable(l.rel), line, short(name)),
		"it is not installed", "put a wheel of it into the folder and name it in requirements.txt: ./NAME.whl")
}

// uvList is uv.lock, version 1: https://docs.astral.sh/uv/concepts/projects/layout/.
type uvList struct {
	Package []struct {
		Name    string         `toml:"name"`
		Version string         `toml:"version"`
		Source  map[string]any `toml:"source"`
		Markers []string       `toml:"resolution-markers"`
		Sdist   uvFile         `toml:"sdist"`
		Wheels  []uvFile       `toml:"wheels"`
		Needs   []struct {
			Name   string   `toml:"name"`
			Marker string   `toml:"marker"`
			Extra  []string `toml:"extra"`
		} `toml:"dependencies"`
	} `toml:"package"`
}

type uvFile struct {
	Hash string `toml:"hash"` // sha256:...
}

// uv reads uv.lock: what the project itself needs is asked for, and every version in
// the list is kept to. The list is made for all systems at once, so that most of it may
// not be asked for here.
func (l *pipList) uv(data []byte) {
	var u uvList
	if !l.toml(l.rel, data, &u) {
		return
	}
	for _, p := range u.Package {
		line := l.at(p.Name)
		switch {
		case isProject(p.Source):
			for _, n := range p.Needs {
				text := n.Name
				if len(n.Extra) > 0 {
					text += "[" + strings.Join(n.Extra, ",") + "]"
				}
				if n.Marker != "" {
					text += " ; " + n.Marker
				}
				l.req.pinned(l.rel, after(l.needs[n.Name], line), text, nil, false)
			}
		case p.Source["registry"] == nil:
			l.other(line, p.Name)
		default:
			marker := ""
			if len(p.Markers) > 0 {
				marker = "(" + strings.Join(p.Markers, ") or (") + ")"
			}
			hashes := []string{p.Sdist.Hash}
			for _, w := range p.Wheels {
				hashes = append(hashes, w.Hash)
			}
			l.pin(line, p.Name, p.Version, marker, hashes, true)
		}
	}
}

// isProject tells whether an entry of uv.lock is the project that the list is for.
func isProject(source map[string]any) bool {
	return source["virtual"] == "." || source["editable"] == "." || source["directory"] == "."
}

type pyFile struct {
	Hashes map[string]string `toml:"hashes"` // by kind
}

// sumsOf is a checksum of each file: the best that is known, since all are of one file.
func sumsOf(files []pyFile) []string {
	var out []string
	for _, f := range files {
		for _, kind := range append([]string{"sha256"}, slices.Sorted(maps.Keys(f.Hashes))...) {
			if h, ok := f.Hashes[kind]; ok {
				out = append(out, kind+":"+h)
				break
			}
		}
	}
	return out
}

// pylock reads pylock.toml (PEP 751), which lists what to install here.
func (l *pipList) pylock(data []byte) {
	var p struct {
		Packages []struct {
			Name    string   `toml:"name"`
			Version string   `toml:"version"`
			Marker  string   `toml:"marker"`
			VCS     any      `toml:"vcs"`
			Folder  any      `toml:"directory"`
			Archive any      `toml:"archive"`
			Sdist   pyFile   `toml:"sdist"`
			Wheels  []pyFile `toml:"wheels"`
		} `toml:"packages"`
	}
	if !l.toml(l.rel, data, &p) {
		return
	}
	for _, k := range p.Packages {
		line := l.at(k.Name)
		switch {
		case k.VCS != nil || k.Folder != nil || k.Archive != nil || k.Version == "":
			l.other(line, k.Name)
		case strings.Contains(k.Marker, "extras") || strings.Contains(k.Marker, "dependency_groups"):
			l.info("lock-group", l.rel, line, fmt.Sprintf("%s line %d: %s belongs to an extra or a group", printable(l.rel), line, short(k.Name)), "it is not installed", "name it in requirements.txt if the lesson needs it")
		default:
			l.pin(line, k.Name, k.Version, k.Marker, sumsOf(append(k.Wheels, k.Sdist)), false)
		}
	}
}

// pipfile reads Pipfile.lock, whose default packages are installed.
func (l *pipList) pipfile(data []byte) {
	type entry struct {
		Version string   `json:"version"`
		Markers string   `json:"markers"`
		Hashes  []string `json:"hashes"`
	}
	var p struct {
		Meta struct {
			Requires struct {
				Python string `json:"python_version"`
			} `json:"requires"`
		} `json:"_meta"`
		Default map[string]entry `json:"default"`
	}
	if err := json.Unmarshal(data, &p); err != nil {
		l.error("json-syntax", l.rel, 1, printable(l.rel)+" cannot be read as JSON", "make it again with pipenv lock, or remove it")
		return
	}
	places, python := pipfilePlaces(data)
	for _, name := range slices.Sorted(maps.Keys(p.Default)) {
		e, line := p.Default[name], max(places[name], 1)
		version, ok := strings.CutPrefix(e.Version, "==")
		if !ok {
			l.other(line, name)
			continue
		}
		l.pin(line, name, version, e.Markers, e.Hashes, false)
	}
	if m := runtimePython.FindStringSubmatch("python-" + p.Meta.Requires.Python); m != nil && len(l.files) == 0 {
		l.runtimeWord(l.rel, python, printable(l.rel), m[0])
	}
}

var pipfileKey = regexp.MustCompile(`^"([^"]+)": (\{|")`)

// pipfilePlaces finds the lines of names, of which the first counts: default comes
// before develop.
func pipfilePlaces(data []byte) (places map[string]int, python int) {
	places = map[string]int{}
	line := 0
	for s := range strings.SplitSeq(string(data), "\n") {
		line++
		m := pipfileKey.FindStringSubmatch(strings.TrimSpace(s))
		switch {
		case m == nil:
		case m[2] == "{" && places[m[1]] == 0:
			places[m[1]] = line
		case m[1] == "python_version":
			python = line
		}
	}
	return places, max(python, 1)
}
