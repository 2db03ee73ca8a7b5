package custom

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Words of apt.txt. Names as in Debian policy 5.6.7, versions as in 5.6.12 with
// the star that apt-get takes as a wildcard.
var (
	aptWord  = regexp.MustCompile(`^([a-z0-9][a-z0-9+.-]+(?::[a-z0-9-]+)?)(?:=([A-Za-z0-9.+:~*-]+))?$`)
	aptPlain = regexp.MustCompile(`^[A-Za-z0-9._:+=/*~^-]+$`)
)

// readApt reads apt.txt.
func (r *reader) readApt() {
	r.apt = map[string]AptPackage{}
	r.aptFile(AptTXT)
}

// aptFile reads words that name packages, anywhere on a line, with comments from # to
// the end of the line (A10).
func (r *reader) aptFile(rel string) {
	data, ok := r.text(rel, MaxText)
	if !ok {
		return
	}
	comment := 0
	for i, line := range strings.Split(string(data), "\n") {
		if len(line) > MaxLine {
			r.error("line-too-long", rel, i+1, fmt.Sprintf("%s line %d has %d bytes", rel, i+1, len(line)), "write one package on a line")
			continue
		}
		words, _, hash := strings.Cut(line, "#")
		if hash && comment == 0 {
			comment = i + 1
		}
		for word := range strings.FieldsSeq(words) {
			p, ok := r.aptPackage(rel, word, i+1)
			if !ok || r.aptAgain(p) {
				continue
			}
			if len(r.f.apt) == MaxPackages {
				r.error("too-many-packages", rel, i+1, fmt.Sprintf("more than %d packages of Debian are asked for", MaxPackages), "leave some out")
				return
			}
			r.f.apt = append(r.f.apt, p)
		}
	}
	if comment > 0 {
		r.legacy("A10", rel, comment, "from # to the end of the line is a comment; the old project took its words as names of packages, and then installed none of the list",
			"the comment is skipped, and the packages beside it are installed")
	}
}

func (r *reader) aptPackage(rel, word string, line int) (AptPackage, bool) {
	refuse := func(code, what, do string) (AptPackage, bool) {
		r.error(code, rel, line, fmt.Sprintf("%s line %d: %q %s", rel, line, short(word), what), do)
		return AptPackage{}, false
	}
	m := aptWord.FindStringSubmatch(word)
	switch {
	case strings.HasPrefix(word, "-"):
		return refuse("apt-option", "is an option and not a package", "remove it; only names of packages may stand here")
	case strings.HasSuffix(word, "-"):
		return refuse("apt-removal", "would remove a package", "remove it; to leave a package out, do not name it")
	case m != nil:
		return AptPackage{Name: m[1], Version: m[2], File: rel, Line: line}, true
	case strings.Trim(word, `"'`) != word && aptWord.MatchString(strings.Trim(word, `"'`)):
		return refuse("apt-quotes", "stands in quotes", "write the name without quotes")
	case !aptPlain.MatchString(word):
		return refuse("apt-shell", "holds signs that no package has", "write names of packages only, such as: tree")
	case strings.Contains(word, "=="):
		return refuse("apt-name", "has == as in requirements.txt", "write one = before the version, as in tree=2.1.0-1")
	case aptWord.MatchString(strings.ToLower(word)):
		return refuse("apt-name", "has capital letters", "write "+strings.ToLower(word)+"; Debian's packages have small letters only")
	case strings.ContainsAny(word, "/^"):
		return refuse("apt-name", "asks for a release, a task or a file", "write the name of a package only")
	}
	return refuse("apt-name", "is no name of a package", "check the spelling")
}

// aptAgain tells whether a package was named before.
func (r *reader) aptAgain(p AptPackage) bool {
	old, ok := r.apt[p.Name]
	if !ok {
		r.apt[p.Name] = p
		return false
	}
	where := fmt.Sprintf("line %d", old.Line)
	if old.File != p.File {
		where = fmt.Sprintf("%s line %d", printable(old.File), old.Line)
	}
	switch {
	case old.File != p.File && (old.Version == p.Version || p.Version == ""): // two courses need one thing
	case old.Version == p.Version || p.Version == "":
		r.warn("apt-duplicate", p.File, p.Line, fmt.Sprintf("%s line %d names %s again, after %s", p.File, p.Line, p.Name, where),
			"it is installed once", "remove one of the two lines")
	case old.Version == "":
		r.warn("apt-duplicate", p.File, p.Line, fmt.Sprintf("%s line %d names %s again, after %s, now with a version", p.File, p.Line, p.Name, where),
			"version "+p.Version+" is installed", "remove "+where)
		if i := slices.IndexFunc(r.f.apt, func(q AptPackage) bool { return q.Name == p.Name }); i >= 0 {
			r.f.apt[i] = p
		}
		r.apt[p.Name] = p
	default:
		r.error("apt-contradiction", p.File, p.Line, fmt.Sprintf("%s line %d asks for version %s of %s, and %s for version %s", p.File, p.Line, p.Version, p.Name, where, old.Version),
			"keep one of the two lines")
	}
	return true
}
