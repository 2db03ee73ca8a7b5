package custom

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// The grammar of a requirement, PEP 508, as far as a teacher's file needs it.
var (
	reqLine    = regexp.MustCompile(`^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(\[[A-Za-z0-9._, -]*\])?\s*(.*)$`)
	reqVersion = regexp.MustCompile(`^\(?\s*(?:(?:===|~=|==|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+!_-]+\s*(?:,\s*|$|\)))+\)?\s*$`)
	reqMarker  = regexp.MustCompile(`^(?:\s*(?:python_version|python_full_version|os_name|sys_platform|platform_release|platform_system|platform_version|platform_machine|platform_python_implementation|implementation_name|implementation_version|extra|'[^'\\]*'|"[^"\\]*"|===|~=|==|!=|<=|>=|<|>|and\b|or\b|not\b|in\b|[()]))+\s*$`)
	reqRuns    = regexp.MustCompile(`[-_.]+`)
	reqWheel   = regexp.MustCompile(`^([A-Za-z0-9._]+)-([A-Za-z0-9.!+_]+)(-\d[A-Za-z0-9_.]*)?-[A-Za-z0-9._]+-[A-Za-z0-9._]+-[A-Za-z0-9._]+\.whl$`)
	reqPin     = regexp.MustCompile(`^={2,3}\s*[^*,\s]+$`)
	reqSecret  = regexp.MustCompile(`://[^/@\s]*@`)
	reqScheme  = regexp.MustCompile(`(?i)^[a-z][a-z0-9+.-]*:`)
)

// requirements follows the lines that ask for packages of the index in one
// environment, and the files that they name.
type requirements struct {
	*reader

	out    Requirements           // Text is the reader's
	open   []string               // files that are being read, outermost first
	done   map[string]bool        // files that were read
	first  map[string]Requirement // by name
	hashes bool                   // a --hash was seen
	quiet  bool                   // a name that comes again is no news
	given  []string               // the checksums that a list gives for the line
}

func newRequirements(r *reader) *requirements {
	return &requirements{reader: r, done: map[string]bool{}, first: map[string]Requirement{}}
}

// read reads a requirements.txt, which may be absent.
func (q *requirements) read(rel string) {
	if q.done[rel] { // another file named it
		return
	}
	data, ok := q.text(rel, MaxText)
	if data == nil || !ok {
		return
	}
	q.file(rel, data, false)
}

// entry takes one line that stands in a file of another kind.
func (q *requirements) entry(rel string, line int, text string) {
	for _, l := range logicalLines(text) {
		q.logical(rel, line, l.text, false)
	}
}

func (q *requirements) file(rel string, data []byte, constraint bool) {
	q.done[rel] = true
	q.open = append(q.open, rel)
	q.out.Files = append(q.out.Files, File{Path: rel, Name: path.Base(rel), Data: data})
	for _, l := range logicalLines(string(data)) {
		if !q.logical(rel, l.line, l.text, constraint) {
			break
		}
	}
	q.open = q.open[:len(q.open)-1]
}

// pinned takes a line of an exact list, which may name again what a person asked for,
// and the checksums that the list has for it.
func (q *requirements) pinned(rel string, line int, text string, hashes []string, constraint bool) {
	q.quiet, q.given = true, hashes
	q.logical(rel, line, text, constraint)
	q.quiet, q.given = false, nil
}

// logical takes one line unless there are too many.
func (q *requirements) logical(rel string, line int, text string, constraint bool) bool {
	switch {
	case len(text) > 4*MaxLine && !(strings.Contains(text, "--hash") && len(text) <= 16*MaxLine): // a release may have hundreds of files
		q.error("line-too-long", rel, line, fmt.Sprintf("%s line %d is very long", printable(rel), line), "write one package on a line")
	case len(q.out.Items) >= MaxPackages:
		q.error("too-many-packages", rel, line, fmt.Sprintf("more than %d packages are asked for", MaxPackages), "leave some out")
		return false
	default:
		q.line(rel, line, text, constraint)
	}
	return true
}

// logicalLines joins continued lines, and drops comments and empty lines, as pip does.
func logicalLines(text string) []instruction {
	var out []instruction
	var cur instruction
	for i, line := range strings.Split(text, "\n") {
		if cur.line == 0 {
			cur.line = i + 1
		}
		if t := strings.TrimSpace(line); strings.HasPrefix(t, "#") {
			line = ""
		} else if at := strings.Index(line, " #"); at >= 0 {
			line = line[:at]
		} else if at := strings.Index(line, "\t#"); at >= 0 {
			line = line[:at]
		}
		if rest, ok := strings.CutSuffix(line, `\`); ok {
			cur.text += rest + " "
			continue
		}
		cur.text = strings.TrimSpace(cur.text + line)
		if cur.text != "" {
			out = append(out, cur)
		}
		cur = instruction{}
	}
	if cur.text = strings.TrimSpace(cur.text); cur.text != "" {
		out = append(out, cur)
	}
	return out
}

func (q *requirements) refuse(code, rel string, line int, text, what, do string) {
	q.error(code, rel, line, fmt.Sprintf("%s line %d: %q %s", printable(rel), line, short(withoutSecret(text)), what), do)
}

// withoutSecret hides what stands before @ in an address.
func withoutSecret(text string) string {
	return reqSecret.ReplaceAllString(text, "://...@")
}

func (q *requirements) line(rel string, line int, text string, constraint bool) {
	switch {
	case strings.Contains(text, "${"):
		q.refuse("requirements-variable", rel, line, text, "takes a value from the machine's environment", "write the value itself")
	case strings.HasPrefix(text, "-"):
		q.option(rel, line, text)
	case isPath(text):
		q.local(rel, line, text)
	default:
		q.requirement(rel, line, text, constraint)
	}
}

// isPath tells whether a line names a file and not a package of an index.
func isPath(text string) bool {
	word, _, _ := strings.Cut(text, " ")
	word, _, _ = strings.Cut(word, ";")
	low := strings.ToLower(word)
	for _, end := range []string{".whl", ".tar.gz", ".zip", ".tgz", ".tar.bz2"} {
		if strings.HasSuffix(low, end) && !reqScheme.MatchString(word) {
			return true
		}
	}
	return strings.HasPrefix(word, ".") || strings.HasPrefix(word, "/") || strings.HasPrefix(word, "~") ||
		strings.Contains(word, "/") && !strings.Contains(word, "@") && !reqScheme.MatchString(word)
}

func (q *requirements) requirement(rel string, line int, text string, constraint bool) {
	spec, hashes, ok := q.cutHashes(rel, line, strings.TrimSpace(strings.ReplaceAll(text, "\t", " ")))
	if !ok {
		return
	}
	if do := requirementMistake(spec); do != "" {
		q.refuse("requirements-line", rel, line, spec, "is no requirement", do)
		return
	}
	m := reqLine.FindStringSubmatch(spec)
	if m == nil {
		q.refuse("requirements-line", rel, line, spec, "is no requirement", "write the package's name, and if you need it a version, such as: numpy==2.3.1")
		return
	}
	version, marker, marked := strings.Cut(m[3], ";")
	version = strings.TrimSpace(version)
	switch {
	case strings.HasPrefix(version, "@"):
		q.refuse("requirements-url", rel, line, spec, "names an address and not a package of the index", "write the package's name, or put its wheel into the folder and write ./NAME.whl")
		return
	case version != "" && !reqVersion.MatchString(version), marked && !reqMarker.MatchString(marker):
		q.refuse("requirements-line", rel, line, spec, "is no requirement", requirementHint(m[1], version))
		return
	}
	if !marked && !constraint && otherSystem(m[1]) {
		q.leftOut(rel, line, m[1])
		return
	}
	item := Requirement{Name: normalName(m[1]), Spec: spec, File: rel, Line: line, Constraint: constraint, Hashes: q.sums(hashes, rel, line)}
	if !constraint && !q.again(item, version, marked) {
		return
	}
	q.out.Items = append(q.out.Items, item)
}

// normalName is a project's name as PEP 503 compares it.
func normalName(s string) string { return strings.ToLower(reqRuns.ReplaceAllString(s, "-")) }

// requirementMistake recognises lines that beginners write.
func requirementMistake(spec string) string {
	switch {
	case strings.HasPrefix(spec, "pip ") || strings.HasPrefix(spec, "pip3 ") || strings.HasPrefix(spec, "!") || strings.HasPrefix(spec, "%"):
		return "write only the package's name, without the command before it"
	case strings.HasPrefix(spec, "import ") || strings.HasPrefix(spec, "from "):
		return "write the name of the package as pip install takes it, not a line of Python"
	case strings.HasPrefix(strings.ToLower(spec), "git+"), reqScheme.MatchString(spec):
		return "write the package's name, or put its wheel into the folder and write ./NAME.whl"
	}
	return ""
}

func requirementHint(name, version string) string {
	if v, ok := strings.CutPrefix(version, "="); ok && !strings.HasPrefix(v, "=") {
		return fmt.Sprintf("write == before a version: %s==%s", name, strings.TrimSpace(short(v)))
	}
	if version != "" && version[0] >= '0' && version[0] <= '9' {
		return fmt.Sprintf("write == before a version: %s==%s", name, short(version))
	}
	return "write one package on a line, and if you need it a version, such as: numpy==2.3.1"
}

// again tells whether item still has to be installed after what came before it.
func (q *requirements) again(item Requirement, version string, marked bool) bool {
	old, ok := q.first[item.Name]
	if !ok || marked {
		if !marked {
			q.first[item.Name] = item
		}
		return true
	}
	oldVersion := ""
	if m := reqLine.FindStringSubmatch(old.Spec); m != nil {
		oldVersion = strings.TrimSpace(m[3])
	}
	where := fmt.Sprintf("%s line %d", printable(old.File), old.Line)
	if reqPin.MatchString(oldVersion) && reqPin.MatchString(version) && strings.TrimLeft(oldVersion, "= ") != strings.TrimLeft(version, "= ") {
		q.error("requirements-contradiction", item.File, item.Line, fmt.Sprintf("%s line %d asks for %s, and %s for %s", printable(item.File), item.Line, short(item.Spec), where, short(old.Spec)),
			"keep one of the two lines")
		return false
	}
	more := oldVersion != version || len(item.Hashes) > 0 && !slices.Equal(item.Hashes, old.Hashes)
	if q.quiet {
		return more
	}
	q.warn("requirements-duplicate", item.File, item.Line, fmt.Sprintf("%s line %d names %s again, after %s", printable(item.File), item.Line, item.Name, where),
		"it is installed once, in a version that suits both lines", "remove one of the two lines")
	return more
}

// option handles the lines that begin with "-". Only what changes nothing outside
// the class's own packages is accepted.
func (q *requirements) option(rel string, line int, text string) {
	name, value := splitOption(text)
	switch name {
	case "-r", "--requirement", "-c", "--constraint":
		q.include(rel, line, text, value, name == "-c" || name == "--constraint")
	case "--prefer-binary", "--only-binary": // as it is done anyway
	case "--require-hashes":
		q.out.Strict = true
	case "--pre":
		q.out.Pre = true
		q.info("requirements-pre", rel, line, fmt.Sprintf("%s line %d asks for unfinished versions, too (--pre)", printable(rel), line),
			"every package of pip's in this environment may come in one, as pip has it", "to get one of a single package, take the line out and name it, such as: numpy==2.4.0rc1")
	case "--no-binary":
		q.warn("requirements-option", rel, line, fmt.Sprintf("%s line %d: the option %s is not followed", printable(rel), line, name),
			"packages are installed as ready wheels where there are any, because to build one runs its code", "remove the line")
	case "-i", "--index-url", "--extra-index-url":
		q.index(rel, line, text, value)
	case "-e", "--editable":
		q.refuse("requirements-editable", rel, line, text, "asks for a package that is still being written", "put a wheel of it into the folder and write ./NAME.whl")
	case "-f", "--find-links":
		q.refuse("requirements-find-links", rel, line, text, "asks for a collection of packages outside the index", "name each wheel in the folder with a line ./NAME.whl")
	case "--trusted-host":
		q.refuse("requirements-option", rel, line, text, "turns off the check of who sends the packages", "remove the line")
	default:
		q.refuse("requirements-option", rel, line, text, "is an option that has no place here", "remove the line")
	}
}

func splitOption(text string) (name, value string) {
	if strings.HasPrefix(text, "--") {
		at := strings.IndexAny(text, "= \t")
		if at < 0 {
			return text, ""
		}
		return text[:at], strings.TrimSpace(text[at+1:])
	}
	return text[:min(2, len(text))], strings.TrimPrefix(strings.TrimSpace(text[min(2, len(text)):]), "=")
}
