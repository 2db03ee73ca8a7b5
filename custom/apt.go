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

// readApt reads apt.txt: words that name packages, anywhere on a line, with
// comments from # to the end of the line (A10).
func (r *reader) readApt() {
	data, ok := r.text(AptTXT, MaxText)
	if !ok {
		return
	}
	first := map[string]AptPackage{}
	comment := 0
	for i, line := range strings.Split(string(data), "\n") {
		if len(line) > MaxLine {
			r.error("line-too-long", AptTXT, i+1, fmt.Sprintf("%s line %d has %d bytes", AptTXT, i+1, len(line)), "write one package on a line")
			continue
		}
		words, _, hash := strings.Cut(line, "#")
		if hash && comment == 0 {
			comment = i + 1
		}
		for word := range strings.FieldsSeq(words) {
			p, ok := r.aptPackage(word, i+1)
			if !ok || r.aptAgain(first, p) {
				continue
			}
			if len(r.f.apt) == MaxPackages {
				r.error("too-many-packages", AptTXT, i+1, fmt.Sprintf("%s names more than %d packages", AptTXT, MaxPackages), "leave some out")
				return
			}
			r.f.apt = append(r.f.apt, p)
		}
	}
	if comment > 0 {
		r.legacy("A10", AptTXT, comment, "from # to the end of the line is a comment; the old project took its words as names of packages, and then installed none of the list",
			"the comment is skipped, and the packages beside it are installed")
	}
}

func (r *reader) aptPackage(word string, line int) (AptPackage, bool) {
	refuse := func(code, what, do string) (AptPackage, bool) {
		r.error(code, AptTXT, line, fmt.Sprintf("%s line %d: %q %s", AptTXT, line, short(word), what), do)
		return AptPackage{}, false
	}
	m := aptWord.FindStringSubmatch(word)
	switch {
	case strings.HasPrefix(word, "-"):
		return refuse("apt-option", "is an option and not a package", "remove it; only names of packages may stand here")
	case strings.HasSuffix(word, "-"):
		return refuse("apt-removal", "would remove a package", "remove it; to leave a package out, do not name it")
	case m != nil:
		return AptPackage{Name: m[1], Version: m[2], Line: line}, true
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
func (r *reader) aptAgain(first map[string]AptPackage, p AptPackage) bool {
	old, ok := first[p.Name]
	switch {
	case !ok:
		first[p.Name] = p
		return false
	case old.Version == p.Version || p.Version == "":
		r.warn("apt-duplicate", AptTXT, p.Line, fmt.Sprintf("%s line %d names %s again, after line %d", AptTXT, p.Line, p.Name, old.Line),
			"it is installed once", "remove one of the two lines")
	case old.Version == "":
		r.warn("apt-duplicate", AptTXT, p.Line, fmt.Sprintf("%s line %d names %s again, after line %d, now with a version", AptTXT, p.Line, p.Name, old.Line),
			"version "+p.Version+" is installed", fmt.Sprintf("remove line %d", old.Line))
		if i := slices.IndexFunc(r.f.apt, func(q AptPackage) bool { return q.Name == p.Name }); i >= 0 {
			r.f.apt[i] = p
		}
		first[p.Name] = p
	default:
		r.error("apt-contradiction", AptTXT, p.Line, fmt.Sprintf("%s line %d asks for version %s of %s, and line %d for version %s", AptTXT, p.Line, p.Version, p.Name, old.Line, old.Version),
			"keep one of the two lines")
	}
	return true
}
