package custom

import "slices"

// Spec is what the folder asks for in one environment. Names that differ only in how
// they are written ("geo-101", "geo_101") are one name and collide.
type Spec struct {
	Name       string   // a lower-case letter, then letters, digits and underscores, at most 32: for directories, branches and tags
	Display    string   // as the teacher wrote it, such as geo-101; the kernel's name
	Course     string   // the course's directory below the folder; "" when it is the whole class's
	Students   []string // the accounts that see its kernel; nil means everybody
	Python     string   // "3.12" for a version asked for; "" for any
	Channels   []string // of conda, the most important first; never defaults
	Conda      []CondaLine
	Pip        []Requirement // requirements.txt, what it names, and the pip part of an environment file
	Wheels     []Entry       // local wheels, Path relative to the folder
	AllowBuild bool          // packages without a wheel may be built
	Files      []File        // the teacher's files verbatim, for the history: Name is the name in a tree, without directory
}

// CondaLine is one line that asks for a conda package.
type CondaLine struct {
	Spec string // a match spec, such as numpy=2.3
	File string // relative to the folder
	Line int    // 1-based
}

// Environments is every environment that the folder asks for: "base" first, which is
// always there, then the others by name.
func (f *Folder) Environments() []Spec {
	if len(f.specs) == 0 {
		return []Spec{{Name: BaseEnvironment, Display: BaseEnvironment}}
	}
	return slices.Clone(f.specs)
}

// readSpecs puts together what the parts have read.
func (r *reader) readSpecs() {
	req := r.f.requirements
	r.f.specs = []Spec{{Name: BaseEnvironment, Display: BaseEnvironment, Pip: req.Items, Wheels: req.Wheels}}
}
