package custom

import (
	"maps"
	"slices"

	"github.com/conjuring/conjured/environments/variables"
)

// Spec is what the folder asks for in one environment. Names that differ only in how
// they are written ("geo-101", "geo_101") are one name and collide.
type Spec struct {
	Name     string   // a lower-case letter, then letters, digits and underscores, at most 32: for directories, branches and tags
	Display  string   // as the teacher wrote it, such as geo-101; the kernel's name
	Course   string   // the course's directory below the folder; "" when it is the whole class's
	Students []string // the accounts that see its kernel; nil means everybody
	Python   string   // "3.12" for a version asked for; "" for any
	Channels []string // of conda, the most important first; never defaults
	// ChannelLines are the lines of as many of them, 1-based, in the first file; 0 for another one's.
	ChannelLines []int
	Conda        []CondaLine
	Pip          []Requirement // requirements.txt, what it names, and the pip part of an environment file
	Wheels       []Entry       // local wheels, Path relative to the folder
	Variables    []Variable    // that its kernels have, by name; of two files the later one counts
	AllowBuild   bool          // packages without a wheel may be built
	Pre          bool          // unfinished versions of pip's packages will do
	Strict       bool          // of pip's packages nothing is installed without a checksum, but what the class itself needs
	Files        []File        // the teacher's files verbatim, for the history: Name is the name in a tree, without directory
}

// CondaLine is one line that asks for a conda package.
type CondaLine struct {
	Spec string // a match spec, such as numpy=2.3
	File string // relative to the folder
	Line int    // 1-based
	Hash string // sha256: or md5: and hex, of the package's archive; "" for any
}

// Variable is one line that sets a variable for an environment's kernels.
type Variable = variables.Variable

// Environments is every environment that the folder asks for: "base" first, which is
// always there, then the others by name.
func (f *Folder) Environments() []Spec {
	if len(f.specs) == 0 {
		return []Spec{{Name: BaseEnvironment, Display: BaseEnvironment}}
	}
	out := slices.Clone(f.specs)
	for i, s := range out {
		s.Students, s.Channels, s.Conda = slices.Clone(s.Students), slices.Clone(s.Channels), slices.Clone(s.Conda)
		s.Pip, s.Wheels, s.Files, s.Variables = slices.Clone(s.Pip), slices.Clone(s.Wheels), slices.Clone(s.Files), slices.Clone(s.Variables)
		out[i] = s
	}
	return out
}

// readRequirements begins base, whose lines for pip stand in requirements.txt.
func (r *reader) readRequirements() {
	base := r.askBase()
	base.lock = locked("", r.top, condaLocks())
	base.req.read(RequirementsTXT)
	r.f.requirements = base.req.out
	if len(base.req.out.Files) > 0 && base.req.out.Files[0].Path == RequirementsTXT {
		r.f.requirements.Text = base.req.out.Files[0].Data
	}
}

// readSpecs puts together what the parts have read.
func (r *reader) readSpecs() {
	for _, name := range slices.Sorted(maps.Keys(r.asked)) {
		r.f.specs = append(r.f.specs, r.asked[name].finish())
	}
	slices.SortStableFunc(r.f.specs, func(a, b Spec) int {
		switch BaseEnvironment {
		case a.Name:
			return -1
		case b.Name:
			return 1
		}
		return 0
	})
}

// wheels is every local wheel once; two environments may name the same one.
func (f *Folder) wheels() []Entry {
	var out []Entry
	for _, s := range f.specs {
		for _, w := range s.Wheels {
			if !slices.ContainsFunc(out, func(o Entry) bool { return o.Path == w.Path }) {
				out = append(out, w)
			}
		}
	}
	return out
}
