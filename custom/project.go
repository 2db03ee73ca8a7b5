package custom

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// pyproject is what of a pyproject.toml asks for packages: PEP 621, and the names of
// older tools' tables, which are not followed.
type pyproject struct {
	Project *struct {
		Dependencies []string `toml:"dependencies"`
		Requires     string   `toml:"requires-python"`
		Optional     map[string]any
	} `toml:"project"`
	Tool struct {
		Poetry struct {
			Dependencies map[string]any `toml:"dependencies"`
		} `toml:"poetry"`
		Pixi map[string]any `toml:"pixi"`
	} `toml:"tool"`
}

// project reads pyproject.toml. lock is the exact list that was made from it, or "".
func (a *asking) project(rel, lock string) {
	data, ok := a.text(rel, MaxText)
	if data == nil || !ok {
		return
	}
	a.keep(rel)
	var p pyproject
	if !a.toml(rel, data, &p) {
		return
	}
	lines := strings.Split(string(data), "\n")
	if len(p.Tool.Poetry.Dependencies) > 0 && path.Base(lock) != poetryLock {
		a.warn("pyproject-poetry", rel, lineWith(lines, "[tool.poetry.dependencies]", 0), printable(rel)+" lists packages as Poetry 1 does", "they are not installed", "list them below [project] as dependencies, or in requirements.txt")
	}
	if p.Project == nil {
		return
	}
	if lock == "" {
		from := lineWith(lines, "dependencies", 0)
		for _, d := range p.Project.Dependencies[:min(len(p.Project.Dependencies), MaxPackages+1)] {
			from = lineWith(lines, d, from)
			a.req.entry(rel, from, d)
		}
	}
	if p.Project.Requires != "" {
		a.requiresPython(rel, lineWith(lines, "requires-python", 0), p.Project.Requires)
	}
}

// lineWith is the 1-based line that holds text, not before the line from; from, or 1,
// when there is none. The decoder of TOML keeps no places.
func lineWith(lines []string, text string, from int) int {
	for i := max(from-1, 0); i < len(lines); i++ {
		if strings.Contains(lines[i], text) {
			return i + 1
		}
	}
	return max(from, 1)
}

var pythonClause = regexp.MustCompile(`^(===|~=|==|!=|<=|>=|<|>)\s*(\d{1,2})(?:\.(\d{1,2}))?((?:\.\d{1,3})*)(\.\*)?$`)

// requiresPython asks for a version when the usual ones do not all do. The versions
// are tried in the order in which the class most likely has them.
func (a *asking) requiresPython(rel string, line int, text string) {
	if len(a.files) > 0 || a.spec.Python != "" {
		return // what is more precise has told
	}
	usual := []int{13, 12, 11, 14, 10, 9, oldestPython}
	fits := func(minor int) bool {
		for clause := range strings.SplitSeq(text, ",") {
			if c := strings.TrimSpace(clause); c != "" && !pythonFits(c, minor) {
				return false
			}
		}
		return true
	}
	i := slices.IndexFunc(usual, fits)
	switch {
	case len(text) > MaxLine || i < 0:
		a.error("pyproject-python", rel, line, fmt.Sprintf("%s line %d: no version of Python from 3.%d on is %q", printable(rel), line, oldestPython, short(text)), `write it as: requires-python = ">=3.11"`)
	case fits(13) && fits(12) && fits(11): // whichever the class has
	default:
		a.python("3." + strconv.Itoa(usual[i]))
	}
}

// pythonFits tells whether some release of Python 3.minor satisfies a clause (PEP 440,
// as far as versions of Python go).
func pythonFits(clause string, minor int) bool {
	m := pythonClause.FindStringSubmatch(clause)
	if m == nil {
		return false
	}
	major, _ := strconv.Atoi(m[2])
	at, exact := 0, m[4] != "" // 3.12.1 is inside 3.12
	if m[3] != "" {
		at, _ = strconv.Atoi(m[3])
	}
	if m[3] == "" && m[5] != "" { // 3.*
		return (major == 3) == (m[1] == "==")
	}
	here := major*100 + at
	we := 300 + minor
	switch m[1] {
	case ">=":
		return we >= here
	case ">":
		return we > here || exact && we == here
	case "<":
		return we < here || exact && we == here
	case "<=":
		return we <= here
	case "!=":
		return we != here || exact
	case "~=":
		return we == here && exact || !exact && we >= here && major == 3
	}
	return we == here
}
