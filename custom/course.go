package custom

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// noCourse tells which folders never hold a course: those that mean something else,
// hidden ones, and what tools leave behind.
func noCourse(name string) bool {
	return strings.HasPrefix(name, ".") || slices.Contains([]string{
		SrvDir, HomeDefaultDir, SharedDir, "home", "home_backup", "binder", "node_modules", "__pycache__", "lost+found",
	}, name)
}

// courseFile tells which files make a folder a course.
func courseFile(name string) bool {
	return name == RequirementsTXT || name == GroveTXT || name == RuntimeTXT || isEnvironmentYML(name) || slices.Contains(packaging(), name)
}

// isEnvironmentYML tells whether name is environment.yml in one of its two spellings.
func isEnvironmentYML(name string) bool {
	return name == "environment.yml" || name == "environment.yaml"
}

// readCourses reads the folders that ask for packages of their own, one environment each.
func (r *reader) readCourses() {
	count := 0
	for _, dir := range r.top {
		if noCourse(dir) || r.ctx.Err() != nil {
			continue
		}
		info, err := r.tree.lstat(dir)
		switch {
		case err != nil:
			r.cannotOpen(dir, nil, err)
			continue
		case info.Mode()&fs.ModeSymlink != 0:
			r.courseLink(dir)
			continue
		case !info.IsDir():
			continue
		}
		names := r.courseNames(dir)
		if names == nil {
			continue
		}
		if count++; count > MaxCourses {
			r.error("course-too-many", dir, 0, fmt.Sprintf("there are more than %d folders of courses", MaxCourses), "leave some out")
			return
		}
		r.course(dir, names)
	}
}

// courseNames lists dir when it is a course's folder.
func (r *reader) courseNames(dir string) []string {
	names := r.namesIn(dir)
	if slices.Contains(names, "pyvenv.cfg") { // a virtual environment that lies here
		return nil
	}
	isCourse := slices.ContainsFunc(names, func(n string) bool {
		return courseFile(n) && !r.asked[BaseEnvironment].req.done[path.Join(dir, n)]
	})
	switch {
	case !isCourse || !r.goodName(dir, dir):
		return nil
	case !envName.MatchString(dir):
		r.refuseName(place{file: dir}, dir, "its name cannot be that of a course", "rename it: "+nameWords())
		return nil
	}
	return names
}

// namesIn is the names in a folder of the folder; none when there are very many, because
// that is data.
func (r *reader) namesIn(dir string) []string {
	d, err := r.tree.openDir(dir)
	if err != nil {
		r.cannotOpen(dir, nil, err)
		return nil
	}
	defer d.Close()
	names, more, err := readNames(d, MaxTopEntries)
	if err != nil {
		r.changed(dir)
	}
	if more {
		r.info("course-data", dir, 0, fmt.Sprintf("%s holds more than %d files", printable(dir), MaxTopEntries), "it is taken for data, and not for a course that asks for packages", "put data into "+SharedDir+"/")
	}
	return names
}

// courseLink names a link that looks like a course.
func (r *reader) courseLink(name string) {
	if d, err := r.tree.open(name, unix.O_PATH|unix.O_DIRECTORY, 0); err == nil {
		d.Close()
		r.warn("course-link", name, 0, printable(name)+" is a link to a folder", "it is not read as a course", "copy the folder itself to this place")
	}
}

func (r *reader) course(dir string, names []string) {
	a := r.ask(dir, dir, dir, 0)
	if a == nil {
		return
	}
	a.lock = locked(dir, names, condaLocks())
	for _, n := range names {
		rel := path.Join(dir, n)
		switch {
		case n == AptTXT:
			r.courseApt(rel)
			a.keep(rel)
		case isEnvironmentYML(n):
			a.placed(rel)
		case envFile.MatchString(n):
			r.warn("course-environment", rel, 0, printable(rel)+" lies in a course's folder", "it is not read: a course has one environment, and its file is called environment.yml", "call it environment.yml, or move it up beside users.csv")
		}
	}
	for _, n := range []string{RequirementsTXT, GroveTXT} {
		if slices.Contains(names, n) {
			a.req.read(path.Join(dir, n))
		}
	}
	a.packaging(dir, names)
}

// courseApt adds a course's Debian packages to the system, which everybody has: they
// cannot be in an environment.
func (r *reader) courseApt(rel string) {
	before := len(r.f.apt)
	r.aptFile(rel)
	if n := len(r.f.apt) - before; n > 0 {
		r.info("course-apt", rel, 0, fmt.Sprintf("%s asks for Debian packages (%d), which are part of the system of the whole class", printable(rel), n),
			"everybody gets them, with the next start of the own server", "plan for a short restart of servers, or use conda's packages in environment.yml")
	}
}

// placed reads an environment file whose place says which environment it describes.
func (a *asking) placed(rel string) {
	data, ok := a.text(rel, MaxYAML)
	if data == nil || !ok {
		return
	}
	root := a.yaml(rel, data, MaxYAMLNodes)
	if root == nil {
		return
	}
	if n := value(root, "name"); n != nil && n.Value != "" && n.Value != a.spec.Display {
		a.info("course-file-name", rel, n.Line, fmt.Sprintf("%s line %d names the environment %s", printable(rel), n.Line, short(n.Value)),
			fmt.Sprintf("the file's place counts: it is %s", printable(a.spec.Display)), "nothing to do")
	}
	a.environmentFile(rel, root)
}

// readBinder reads what repo2docker's own folder asks for as if it lay in the folder
// itself, except where the folder has a file of its own.
func (r *reader) readBinder() {
	var first string
	for _, dir := range []string{"binder", ".binder"} {
		if !r.listed(dir) {
			continue
		}
		info, err := r.tree.lstat(dir)
		if err != nil || !info.IsDir() {
			continue
		}
		if first != "" {
			r.warn("binder-twice", dir, 0, fmt.Sprintf("there are both %s/ and %s/", first, dir), dir+"/ is not read", "keep one of the two")
			return
		}
		first = dir
		r.binder(dir, r.namesIn(dir))
	}
}

func (r *reader) binder(dir string, names []string) {
	base := r.asked[BaseEnvironment]
	var left []string // without what the folder has itself
	if base.lock == "" {
		base.lock = locked(dir, names, condaLocks())
	}
	for _, n := range names {
		rel := path.Join(dir, n)
		switch {
		case !courseFile(n) && n != AptTXT:
			left = append(left, n)
		case r.listed(n) || isEnvironmentYML(n) && len(base.files) > 0:
			r.warn("binder-file", rel, 0, fmt.Sprintf("%s and a file of the folder itself say the same thing", printable(rel)), rel+" is not read", "keep one of the two")
		case n == AptTXT:
			r.aptFile(rel)
		case n == RequirementsTXT || n == GroveTXT:
			base.req.read(rel)
		case isEnvironmentYML(n):
			base.placed(rel)
		default:
			left = append(left, n)
		}
	}
	base.packaging(dir, left)
}
