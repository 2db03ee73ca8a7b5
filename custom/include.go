package custom

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// include follows -r and -c, beneath the folder only.
func (q *requirements) include(rel string, line int, text, value string, constraint bool) {
	target, ok := q.beneath(rel, line, text, value)
	if !ok {
		return
	}
	for i, f := range q.open {
		if f == target {
			q.refuse("requirements-cycle", rel, line, text, "names a file that is just being read: "+printable(strings.Join(append(q.open[i:len(q.open):len(q.open)], target), " -> ")), "remove this line")
			return
		}
	}
	if q.done[target] {
		return
	}
	if len(q.done) > MaxIncludes {
		q.refuse("requirements-includes", rel, line, text, fmt.Sprintf("is more than the %d files that are followed", MaxIncludes), "put the packages into one file")
		return
	}
	if _, err := q.tree.lstat(target); err != nil {
		q.refuse("requirements-include", rel, line, text, "names a file that is not in the folder", "check its name, or remove the line")
		return
	}
	if data, ok := q.text(target, MaxText); ok && data != nil {
		q.file(target, data, constraint)
	}
}

// beneath is the path that a line of rel names, relative to the folder.
func (q *requirements) beneath(rel string, line int, text, value string) (string, bool) {
	value = strings.Trim(value, `"'`)
	target := path.Join(path.Dir(rel), value)
	switch {
	case value == "":
		q.refuse("requirements-include", rel, line, text, "names no file", "write the file's name behind it")
	case reqScheme.MatchString(value):
		q.refuse("requirements-url", rel, line, text, "names an address", "put the file into the folder and name it there")
	case strings.HasPrefix(value, "/"), strings.HasPrefix(value, "~"), strings.Contains(value, `\`),
		target == "..", strings.HasPrefix(target, "../"):
		q.refuse("requirements-outside", rel, line, text, "names a file outside the folder", "copy the file into the folder and name it there")
	case printable(target) != target || len(target) > MaxPath:
		q.refuse("requirements-include", rel, line, text, "is no name of a file", "rename the file")
	case target == "home" || strings.HasPrefix(target, "home/") || strings.HasPrefix(target, "home_backup/") || target == UsersCSV:
		q.refuse("requirements-outside", rel, line, text, "names students' files or the roster", "put the file beside requirements.txt")
	default:
		return target, true
	}
	return "", false
}

// local handles a wheel that lies in the folder.
func (q *requirements) local(rel string, line int, text string) {
	name, hashes, ok := q.cutHashes(rel, line, strings.ReplaceAll(text, "\t", " "))
	if !ok {
		return
	}
	name, _, marked := strings.Cut(name, ";")
	name = strings.Trim(strings.TrimSpace(name), `"'`)
	if marked || strings.ContainsAny(name, " \t@:") {
		q.refuse("requirements-wheel", rel, line, text, "names a file with a condition, or with a blank in its path", "write only ./NAME.whl, and rename folders with blanks")
		return
	}
	target, ok := q.beneath(rel, line, text, name)
	if !ok {
		return
	}
	info, err := q.tree.lstat(target)
	m := reqWheel.FindStringSubmatch(path.Base(target))
	switch {
	case err != nil:
		q.refuse("requirements-missing", rel, line, text, "is not in the folder", "copy the file into the folder, or check its name")
		return
	case info.IsDir():
		q.refuse("requirements-directory", rel, line, text, "is a folder; installing it would run its code on the way", "put a wheel of it into the folder and write ./NAME.whl")
		return
	case strings.HasSuffix(target, ".tar.gz"), strings.HasSuffix(target, ".zip"):
		q.refuse("requirements-sdist", rel, line, text, "is source code that must be built first", "put a wheel (.whl) of it into the folder and write ./NAME.whl")
		return
	case m == nil:
		q.refuse("requirements-wheel", rel, line, text, "is no wheel", "a wheel's name looks like name-1.0-py3-none-any.whl; do not rename it")
		return
	}
	e, ok := q.ownWheel(target)
	switch {
	case !ok:
		return
	case len(hashes) > 0 && !slices.Contains(hashes, "sha256:"+e.SHA256):
		q.refuse("requirements-wheel-hash", rel, line, name, "is not the file that its checksum is of", "copy the file into the folder again, or correct the line (sha256sum prints a file's checksum)")
		return
	}
	q.out.Items = append(q.out.Items, Requirement{Name: normalName(m[1]), Spec: name, File: rel, Line: line})
}

// ownWheel is a wheel of the folder, read once.
func (q *requirements) ownWheel(target string) (Entry, bool) {
	if i := slices.IndexFunc(q.out.Wheels, func(e Entry) bool { return e.Path == target }); i >= 0 {
		return q.out.Wheels[i], true
	}
	e, ok := q.hash(target, MaxWheel, 0)
	if ok {
		q.out.Wheels = append(q.out.Wheels, e)
	}
	return e, ok
}
