package custom

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// asking is one environment while the files that ask for it are read.
type asking struct {
	*reader

	spec  Spec
	from  place
	req   *requirements
	conda map[string]int // where in spec.Conda a package was first named
	extra []string       // channels that only a line names, behind the others

	loose    bool     // builds in the file that is being read cannot be had
	loosened int      // the first line that lost one
	summed   int      // packages of a list that came with checksums
	sum      string   // the checksum that a list gives for the line, or ""
	files    []string // environment files that describe it
	lock     string   // the lock of conda's that takes the place of those files' packages
}

// place is where an environment got its name.
type place struct {
	file string // relative to the folder
	line int    // 0 when the name is the file's or the folder's own
}

func (p place) String() string {
	if p.line > 0 {
		return fmt.Sprintf("%s line %d", printable(p.file), p.line)
	}
	return printable(p.file)
}

var envMapped = regexp.MustCompile(`[.-]`)

// envReserved are names that mean something else: system is the image, manifest begins
// the names of branches, python3 is the kernel of base.
func envReserved(name string) bool {
	return slices.Contains([]string{"system", "manifest", "python3"}, name)
}

// mapName is the name for directories and branches of one that a teacher wrote, which
// has the form of envName. It may be too long.
func mapName(display string) string {
	name := envMapped.ReplaceAllString(strings.ToLower(display), "_")
	if name[0] < 'a' || name[0] > 'z' {
		name = "env_" + strings.TrimLeft(name, "_")
	}
	return name
}

// askBase is base, which is always there.
func (r *reader) askBase() *asking {
	return r.ask(BaseEnvironment, "", "the folder itself", 0)
}

// ask begins an environment, or goes on with the one that has exactly that name. It is
// nil, and a notice says why, when the name cannot be had.
func (r *reader) ask(display, course, file string, line int) *asking {
	from := place{file, line}
	name := mapName(display)
	if why, do := refusedName(name, display); why != "" {
		r.refuseName(from, course, why, do)
		return nil
	}
	if r.asked == nil {
		r.asked = map[string]*asking{}
	}
	old, ok := r.asked[name]
	if !ok {
		a := &asking{reader: r, spec: Spec{Name: name, Display: display, Course: course}, from: from, req: newRequirements(r)}
		r.asked[name] = a
		return a
	}
	if old.spec.Display == display && old.spec.Course == course {
		return old
	}
	r.error("environment-collision", file, line, collision(old, from, display, course), "give one of them another name")
	return nil
}

// refusedName says why a name cannot be had, and what to do.
func refusedName(name, display string) (why, do string) {
	switch {
	case len(name) > MaxEnvName:
		return fmt.Sprintf("the name %q is longer than %d letters", short(display), MaxEnvName), "choose a shorter name"
	case envReserved(name):
		return fmt.Sprintf("the name %q has a meaning of its own", display), "choose another name"
	}
	return "", ""
}

// refuseName says that a name cannot be had. A folder may lie here for a reason of its
// own, so that only what it asks for is left out.
func (r *reader) refuseName(from place, course, why, do string) {
	if course != "" {
		r.warn("course-name", from.file, 0, "the folder "+from.String()+" asks for packages, and "+why, "its packages are not installed", do)
		return
	}
	r.error("environment-name", from.file, from.line, from.String()+": "+why, do)
}

// collision names both places that ask for one name.
func collision(old *asking, from place, display, course string) string {
	what := func(course string, p place, display string) string {
		if course != "" {
			return fmt.Sprintf("the course %s", printable(course))
		}
		return fmt.Sprintf("%s of %s", short(display), p)
	}
	switch {
	case old.spec.Name == BaseEnvironment:
		return fmt.Sprintf("%s cannot be told from base, the class's own environment", what(course, from, display))
	case old.spec.Display == display:
		return fmt.Sprintf("%s and %s have one name", what(old.spec.Course, old.from, old.spec.Display), what(course, from, display))
	}
	return fmt.Sprintf("%s and %s differ only in how they are written", what(old.spec.Course, old.from, old.spec.Display), what(course, from, display))
}

// historyFile is the names that the history of environments takes (beside labels and
// manifests, which are its own). users.csv and whatever else holds secrets is not among
// them.
var historyFile = regexp.MustCompile(`^(?:environment[A-Za-z0-9_.-]{0,64}\.ya?ml|(?:grove-)?requirements[A-Za-z0-9_.-]{0,64}\.txt|constraints\.txt|apt\.txt|runtime\.txt|` +
	`pyproject\.toml|pylock\.toml|[A-Za-z0-9_-]{1,64}\.lock|conda-lock\.yml|Pipfile|postBuild|start|install\.R|DESCRIPTION|(?:Project|Manifest)\.toml)$`)

// keep remembers a file of the teacher's for the history, as far as it was read.
func (a *asking) keep(rel string) {
	data, ok := a.kept[rel]
	name := path.Base(rel)
	switch {
	case !ok || !historyFile.MatchString(name):
		return
	case slices.ContainsFunc(a.spec.Files, func(f File) bool { return f.Name == name }):
		return
	case len(data) > MaxHistoryFile:
		a.info("environment-history", rel, 0, fmt.Sprintf("%s has %s", printable(rel), sizeText(int64(len(data)))),
			fmt.Sprintf("it is followed; the history of environments keeps only files up to %s", sizeText(MaxHistoryFile)), "nothing to do")
		return
	}
	a.spec.Files = append(a.spec.Files, File{Path: rel, Name: name, Data: data})
}

// finish is the spec with everything that was read for it.
func (a *asking) finish() Spec {
	s := a.spec
	s.Pip, s.Wheels, s.AllowBuild = a.req.out.Items, a.req.out.Wheels, a.build
	s.Pre, s.Strict = a.req.out.Pre, a.req.out.Strict
	a.withoutHash()
	if len(s.Conda) > 0 && len(s.Channels) == 0 {
		first := s.Conda[0]
		a.info("environment-no-channel", first.File, first.Line, fmt.Sprintf("%s names no channel for its packages", printable(first.File)),
			"they come from conda-forge, which is free for everybody", "write it down, so that everybody knows: channels: [conda-forge]")
		s.Channels = []string{CondaForge}
	}
	for _, c := range a.extra {
		if !slices.Contains(s.Channels, c) {
			s.Channels = append(s.Channels, c)
		}
	}
	for _, f := range a.req.out.Files {
		a.keep(f.Path)
	}
	s.Files = a.spec.Files
	slices.SortFunc(s.Files, func(x, y File) int { return cmp.Compare(x.Name, y.Name) })
	return s
}
