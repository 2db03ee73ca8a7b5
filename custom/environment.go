package custom

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// BaseEnvironment is the name of the class's own environment (E4).
const BaseEnvironment = "base"

var (
	envFile    = regexp.MustCompile(`^environment.*\.ya?ml$`)
	envName    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$`)
	envPlain   = regexp.MustCompile(`^name:\s+(\S+)`)
	envBadSpec = regexp.MustCompile("[\x00-\x1f\x7f`$;&\\\\]")
)

// readEnvironments reads environment*.yml in the order of their bytes, which is
// the order of the old project (E6): environment-*, environment.yml, environment_*.
func (r *reader) readEnvironments() {
	first := map[string]Environment{}
	count := 0
	for _, file := range r.top {
		if !envFile.MatchString(file) {
			continue
		}
		if !r.goodName(file, file) {
			continue
		}
		if count++; count > MaxEnvironment {
			r.error("environment-too-many", file, 0, fmt.Sprintf("there are more than %d environment files", MaxEnvironment), "leave some out")
			return
		}
		e, ok := r.environment(file)
		if !ok {
			continue
		}
		if other, again := first[e.Name]; again {
			r.warn("environment-duplicate", file, e.Line, fmt.Sprintf("%s and %s are both called %s", other.File, file, e.Name),
				"both describe one environment, the later file on top of the earlier one, as in the old project (E6)", "merge them into one file, or give one another name")
		} else {
			first[e.Name] = e
		}
		r.f.environments = append(r.f.environments, e)
		r.notBuilt(e)
	}
}

func (r *reader) environment(file string) (Environment, bool) {
	data, ok := r.text(file, MaxYAML)
	if data == nil || !ok {
		return Environment{}, false
	}
	root := r.yaml(file, data, MaxYAMLNodes)
	if root == nil {
		return Environment{}, false
	}
	e := Environment{File: file, Text: data}
	good := r.environmentName(&e, root)
	r.environmentKeys(file, root)
	if strings.HasSuffix(file, ".yaml") {
		r.legacy("E1", file, 0, file+" ends in .yaml; the old project never read such files", "it is read like a .yml file")
	}
	return e, good
}

// environmentName applies E2 (the key name), else E3 (the file's name), else E4 (base).
func (r *reader) environmentName(e *Environment, root *yaml.Node) bool {
	n := value(root, "name")
	switch {
	case n == nil || n.Kind == yaml.ScalarNode && (n.Tag == "!!null" || n.Value == ""):
		e.Name = nameFromFile(e.File)
		if n != nil {
			r.legacy("E2", e.File, n.Line, fmt.Sprintf("%s line %d has an empty name", e.File, n.Line), "the file's name counts: "+short(e.Name))
		}
	case n.Kind != yaml.ScalarNode:
		r.error("environment-name", e.File, n.Line, fmt.Sprintf("%s line %d: the name is not a word", e.File, n.Line), "write it as: name: geo")
		return false
	default:
		e.Name, e.Line = n.Value, n.Line
		r.oldName(e, root)
	}
	if !envName.MatchString(e.Name) {
		where := e.File
		if e.Line > 0 {
			where = fmt.Sprintf("%s line %d", e.File, e.Line)
		}
		r.error("environment-name", e.File, e.Line, fmt.Sprintf("%s: %q cannot be the name of an environment", where, short(e.Name)),
			"use up to 64 letters, numbers, dots, dashes and underscores, and begin with a letter or a number")
		return false
	}
	return true
}

// oldName tells where the old project, which searched for a line that begins with
// "name: ", came to another name.
func (r *reader) oldName(e *Environment, root *yaml.Node) {
	old := nameFromFile(e.File)
	for line := range strings.SplitSeq(string(e.Text), "\n") {
		if m := envPlain.FindStringSubmatch(line); m != nil {
			old = m[1]
			break
		}
	}
	if old != e.Name && envName.MatchString(e.Name) {
		r.legacy("E2", e.File, e.Line, fmt.Sprintf("%s line %d: the old project called this environment %s", e.File, e.Line, short(old)), "it is called "+e.Name)
	}
}

// nameFromFile is E3 and E4: the name without everything up to the last
// "environment" and one dash or underscore, and without the first .yml or .yaml.
func nameFromFile(file string) string {
	name := file
	if i := strings.LastIndex(name, "environment"); i >= 0 {
		name = name[i+len("environment"):]
		if name != "" && (name[0] == '-' || name[0] == '_') {
			name = name[1:]
		}
	}
	if strings.Contains(name, ".yml") {
		name = strings.Replace(name, ".yml", "", 1)
	} else {
		name = strings.Replace(name, ".yaml", "", 1)
	}
	if name == "" {
		return BaseEnvironment
	}
	return name
}

func (r *reader) environmentKeys(file string, root *yaml.Node) {
	for k, v := range pairs(root) {
		switch k.Value {
		case "name", "variables", "platforms":
		case "channels":
			r.channels(file, v)
		case "dependencies":
			r.dependencies(file, v)
		case "prefix":
			r.info("environment-prefix", file, k.Line, fmt.Sprintf("%s line %d says where the environment lay on another machine", file, k.Line), "the line is not followed", "remove the line")
		default:
			r.warn("environment-key", file, k.Line, fmt.Sprintf("%s line %d: %q is no part of an environment file", file, k.Line, short(k.Value)), "it is not followed", "check the spelling: name, channels or dependencies")
		}
	}
}

func (r *reader) channels(file string, n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		if n.Tag != "!!null" {
			r.error("environment-shape", file, n.Line, fmt.Sprintf("%s line %d: channels should be a list", file, n.Line), "write each channel on its own line, beginning with a dash")
		}
		return
	}
	for _, c := range n.Content {
		switch {
		case c.Kind != yaml.ScalarNode:
			r.error("environment-shape", file, c.Line, fmt.Sprintf("%s line %d: a channel should be one word", file, c.Line), "write it as: - conda-forge")
		case slices.Contains([]string{"defaults", "main", "anaconda", "r"}, c.Value):
			r.warn("environment-defaults", file, c.Line, fmt.Sprintf("%s line %d asks for the channel %s, whose licence costs money for many schools", file, c.Line, c.Value),
				"conda-forge, which is free for everybody, takes its place", "write conda-forge instead")
		case strings.Contains(c.Value, "@"):
			r.error("environment-credentials", file, c.Line, fmt.Sprintf("%s line %d: the channel's address holds a user name or a password", file, c.Line), "remove them; a stick is no place for a password")
		}
	}
}

func (r *reader) dependencies(file string, n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		if n.Tag != "!!null" {
			r.error("environment-shape", file, n.Line, fmt.Sprintf("%s line %d: dependencies should be a list", file, n.Line), "write each package on its own line, beginning with a dash")
		}
		return
	}
	for _, d := range n.Content {
		switch {
		case d.Kind == yaml.ScalarNode && d.Value != "" && !envBadSpec.MatchString(d.Value):
		case d.Kind == yaml.MappingNode && len(d.Content) == 2 && d.Content[0].Value == "pip" && listOfWords(d.Content[1]):
		default:
			r.error("environment-dependency", file, d.Line, fmt.Sprintf("%s line %d is no package", file, d.Line), "write one package on a line, such as: - numpy=2.3")
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

// notBuilt says what does not work yet, as long as that is so.
func (r *reader) notBuilt(e Environment) {
	if e.Name == BaseEnvironment {
		r.warn("environment-not-built", e.File, e.Line, "the packages of "+e.File+" are not installed: conda environments are not built yet",
			"everything else works; the Python 3 kernel has the packages of requirements.txt", "write the packages that the lesson needs into requirements.txt")
		return
	}
	r.warn("environment-not-built", e.File, e.Line, fmt.Sprintf("the kernel %s of %s is not there: conda environments are not built yet", e.Name, e.File),
		"everything else works; notebooks that ask for this kernel can use the Python 3 kernel", "write the packages that the lesson needs into requirements.txt")
}
