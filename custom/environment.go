package custom

import (
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"
)

// BaseEnvironment is the name of the class's own environment (E4).
const BaseEnvironment = "base"

var (
	envFile  = regexp.MustCompile(`^environment.*\.ya?ml$`)
	envName  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$`)
	envPlain = regexp.MustCompile(`^name:\s+(\S+)`)
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
		e, root, ok := r.environment(file)
		if !ok {
			continue
		}
		if other, again := first[e.Name]; again {
			r.warn("environment-duplicate", file, e.Line, fmt.Sprintf("%s and %s are both called %s", other.File, file, e.Name),
				"both describe one environment, the later file on top of the earlier one, as in the old project", "merge them into one file, or give one another name")
		} else {
			first[e.Name] = e
		}
		r.f.environments = append(r.f.environments, e)
		if a := r.ask(e.Name, "", e.File, e.Line); a != nil {
			a.environmentFile(file, root)
		}
	}
}

func (r *reader) environment(file string) (Environment, *yaml.Node, bool) {
	data, ok := r.text(file, MaxYAML)
	if data == nil || !ok {
		return Environment{}, nil, false
	}
	root := r.yaml(file, data, MaxYAMLNodes)
	if root == nil {
		return Environment{}, nil, false
	}
	e := Environment{File: file, Text: data}
	good := r.environmentName(&e, root)
	if strings.HasSuffix(file, ".yaml") {
		r.legacy("E1", file, 0, file+" ends in .yaml; the old project never read such files", "it is read like a .yml file")
	}
	return e, root, good
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
			"give it another one: "+nameWords())
		return false
	}
	return true
}

// nameWords says what a name may be made of.
func nameWords() string {
	return fmt.Sprintf("letters from a to z, numbers, dashes and underscores, a letter or a number first, no blanks, %d characters at most", MaxEnvName)
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

// environmentFile reads what an environment file asks for.
func (a *asking) environmentFile(file string, root *yaml.Node) {
	a.files = append(a.files, file)
	a.keep(file)
	why := looseBuilds(root)
	a.loose = why != ""
	defer func() {
		a.saysLoose(file, why)
		a.loose = false
	}()
	for k, v := range pairs(root) {
		if a.lock != "" && (k.Value == "channels" || k.Value == "dependencies") {
			a.info("lock-instead", file, k.Line, fmt.Sprintf("%s line %d and %s both say which packages there are", printable(file), k.Line, printable(a.lock)),
				printable(a.lock)+" counts: its exact versions are installed", "to follow "+printable(file)+" again, remove "+printable(a.lock))
			continue
		}
		switch k.Value {
		case "name", "platforms":
		case "channels":
			a.channels(file, v)
		case "dependencies":
			a.dependencies(file, v)
		case "variables":
			a.variables(file, k, v)
		case "prefix":
			a.info("environment-prefix", file, k.Line, fmt.Sprintf("%s line %d says where the environment lay on another machine", file, k.Line), "the line is not followed", "remove the line")
		default:
			a.warn("environment-key", file, k.Line, fmt.Sprintf("%s line %d: %q is no part of an environment file", file, k.Line, short(k.Value)), "it is not followed", "check the spelling: name, channels or dependencies")
		}
	}
}
