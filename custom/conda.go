package custom

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// The grammar of one line of dependencies, as far as a teacher's file needs conda's
// match specification: [channel[/subdir]::]name, then a version and a build, either
// joined by signs (numpy=2.3, numpy>=2,<3, numpy=2.3=py313_0) or by blanks.
var (
	condaName    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*`)
	condaChannel = regexp.MustCompile(`^(.+?)(/(?:noarch|linux-64|linux-aarch64))?$`)
	condaSign    = regexp.MustCompile(`\s*(==|>=|<=|!=|~=|=|<|>|,|\|)\s*`)
	condaVersion = regexp.MustCompile(`^(?:(?:==|>=|<=|!=|~=|=|<|>)?[0-9A-Za-z*][0-9A-Za-z.*+!_-]*)(?:[,|](?:==|>=|<=|!=|~=|=|<|>)?[0-9A-Za-z*][0-9A-Za-z.*+!_-]*)*$`)
	condaBuilt   = regexp.MustCompile(`^(={1,2}[0-9A-Za-z][0-9A-Za-z.*+!_-]*)=([0-9A-Za-z*][0-9A-Za-z_.*+]*)$`)
	condaBuild   = regexp.MustCompile(`^[0-9A-Za-z*][0-9A-Za-z_.*+]*$`)
	condaPin     = regexp.MustCompile(`^={2}[^*,|=]+$`)
)

// maxCondaLine is the longest line for conda, in bytes; engines take no longer one.
const maxCondaLine = 400

// condaSpec is one line in one spelling: no needless blanks, the name in small letters.
type condaSpec struct {
	channel string // as written before "::", with /subdir when there is one; "" for none
	name    string
	version string // with its sign and build, such as =2.3, ">=2,<3" or " 2.3 py_0"; "" for any
}

func (c condaSpec) String() string {
	if c.channel != "" {
		return c.channel + "::" + c.name + c.version
	}
	return c.name + c.version
}

// parseConda reads a line; when it is none, the second value is what to write instead.
func parseConda(line string) (condaSpec, string) {
	line = strings.TrimSpace(line)
	if do := condaMistake(line); do != "" {
		return condaSpec{}, do
	}
	var c condaSpec
	if channel, rest, ok := strings.Cut(line, "::"); ok {
		c.channel, line = strings.TrimSpace(channel), strings.TrimSpace(rest)
	}
	c.name = strings.ToLower(condaName.FindString(line))
	rest := line[len(c.name):]
	if c.name == "" || rest != "" && !strings.ContainsAny(rest[:1], " \t=<>!~") {
		return condaSpec{}, "write one package on a line, such as: - numpy=2.3"
	}
	rest = condaSign.ReplaceAllString(strings.TrimSpace(rest), "$1")
	var ok bool
	if c.version, ok = condaRest(rest); !ok {
		return condaSpec{}, fmt.Sprintf("write the version with one = behind the name, such as: - %s=2.3", c.name)
	}
	return c, ""
}

// condaRest is the version and build that follow a name.
func condaRest(rest string) (string, bool) {
	version, build, built := strings.Cut(rest, " ")
	build = strings.TrimSpace(build)
	switch {
	case rest == "":
		return "", true
	case condaBuilt.MatchString(rest):
		return rest, true
	case !condaVersion.MatchString(version), built && !condaBuild.MatchString(build):
		return "", false
	case built:
		return " " + version + " " + build, true
	case strings.ContainsAny(version[:1], "=<>!~"):
		return version, true
	}
	return " " + version, true
}

// condaMistake recognises what belongs to another file or program.
func condaMistake(line string) string {
	low := strings.ToLower(line)
	first, _, _ := strings.Cut(low, " ")
	switch {
	case strings.HasPrefix(line, "-"):
		return "options have no place here; a file of pip's goes below pip:, as in: - -r requirements.txt"
	case slices.Contains([]string{"pip", "conda", "mamba", "micromamba"}, first) && strings.Contains(low, " install"):
		return "write only the package's name, without the command before it"
	case strings.HasPrefix(low, "import ") || strings.HasPrefix(low, "from "):
		return "write the name of the package, not a line of Python"
	case strings.Contains(line, ";"):
		return "a condition behind ; is pip's: write the line below pip:"
	case strings.Contains(line, "["):
		return "extras in [ ] are pip's: write the line below pip:, or name each package"
	case strings.Contains(line, "://") && strings.Contains(line, "::"):
		return "write the channel's address below channels:, and only the package here"
	case strings.HasPrefix(low, "git+"), strings.Contains(line, " @ "), reqScheme.MatchString(line) && !strings.Contains(line, "::"):
		return "write the package's name; an address has no place here"
	case strings.ContainsAny(line, "{}$`\\"):
		return "write the name and the version themselves"
	}
	return ""
}

// condaLine takes one line of dependencies.
func (a *asking) condaLine(file string, line int, text string) {
	refuse := func(do string) {
		a.error("environment-dependency", file, line, fmt.Sprintf("%s line %d: %q is no package of conda", printable(file), line, short(withoutSecret(text))), do)
	}
	if len(text) > maxCondaLine {
		refuse("write one package on a line, such as: - numpy=2.3")
		return
	}
	c, do := parseConda(text)
	if do != "" {
		refuse(do)
		return
	}
	if otherSystem(c.name) {
		a.leftOut(file, line, c.name)
		return
	}
	if loose := c.withoutBuild(); a.loose && loose != c {
		c = loose
		if a.loosened == 0 {
			a.loosened = line
		}
	}
	if c.channel != "" {
		m := condaChannel.FindStringSubmatch(c.channel)
		channel, ok := a.channel(file, line, m[1])
		if !ok {
			return
		}
		a.extra = append(a.extra, channel)
		c.channel = channel + m[2]
	}
	if len(a.spec.Conda) >= MaxPackages {
		a.error("too-many-packages", file, line, fmt.Sprintf("more than %d packages are asked for", MaxPackages), "leave some out")
		return
	}
	a.addConda(CondaLine{Spec: c.String(), File: file, Line: line, Hash: a.sum}, c)
}

// addConda keeps what is asked for once: of one file both lines count, and of two files
// that describe one environment the later has the last word (E6).
func (a *asking) addConda(l CondaLine, c condaSpec) {
	i, again := a.conda[c.name]
	if !again {
		if a.conda == nil {
			a.conda = map[string]int{}
		}
		a.conda[c.name] = len(a.spec.Conda)
		a.spec.Conda = append(a.spec.Conda, l)
		return
	}
	old := a.spec.Conda[i]
	o, _ := parseConda(old.Spec)
	where := fmt.Sprintf("%s line %d", printable(old.File), old.Line)
	switch {
	case old.File != l.File:
		if c.version != "" || o.version == "" {
			a.spec.Conda[i] = l
		}
	case o.version != c.version && condaPin.MatchString(o.version) && condaPin.MatchString(c.version):
		a.error("environment-contradiction", l.File, l.Line, fmt.Sprintf("%s line %d asks for %s, and %s for %s", printable(l.File), l.Line, short(l.Spec), where, short(old.Spec)), "keep one of the two lines")
	default:
		a.warn("environment-again", l.File, l.Line, fmt.Sprintf("%s line %d names %s again, after line %d", printable(l.File), l.Line, c.name, old.Line),
			"it is installed once, in a version that suits both lines", "remove one of the two lines")
		if o != c {
			a.spec.Conda = append(a.spec.Conda, l)
		}
	}
}

// dependencies reads the list of packages of an environment file.
func (a *asking) dependencies(file string, n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		if n.Tag != "!!null" {
			a.error("environment-shape", file, n.Line, fmt.Sprintf("%s line %d: dependencies should be a list", file, n.Line), "write each package on its own line, beginning with a dash")
		}
		return
	}
	for _, d := range n.Content {
		switch {
		case d.Kind == yaml.ScalarNode && d.Value != "" && printable(d.Value) == d.Value:
			a.condaLine(file, d.Line, d.Value)
		case d.Kind == yaml.MappingNode && len(d.Content) == 2 && d.Content[0].Value == "pip" && listOfWords(d.Content[1]):
			for _, p := range d.Content[1].Content {
				a.req.entry(file, p.Line, p.Value)
			}
		default:
			a.error("environment-dependency", file, d.Line, fmt.Sprintf("%s line %d is no package", file, d.Line), "write one package on a line, such as: - numpy=2.3")
		}
	}
}

// listOfWords tells whether n is a list of texts, or an empty value.
func listOfWords(n *yaml.Node) bool {
	if n.Kind == yaml.ScalarNode {
		return n.Tag == "!!null"
	}
	return n.Kind == yaml.SequenceNode && !slices.ContainsFunc(n.Content, func(c *yaml.Node) bool {
		return c.Kind != yaml.ScalarNode || strings.ContainsAny(c.Value, "\n\r\x00")
	})
}
