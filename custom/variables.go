package custom

import (
	"cmp"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/conjuring/conjured/environments/variables"
)

// variables takes in what the key variables of an environment file sets. See
// https://docs.conda.io/projects/conda/en/stable/user-guide/tasks/manage-environments.html
// (Setting environment variables): values are taken as they are written, and nothing in
// them is replaced.
func (a *asking) variables(file string, k, v *yaml.Node) {
	if v.Kind != yaml.MappingNode {
		if v.Tag != "!!null" {
			a.warn("environment-variables", file, k.Line, fmt.Sprintf("%s line %d: variables is no list of names and values", printable(file), k.Line), "none of them is set; the packages are there", "write each one below it, as NAME: value")
		}
		return
	}
	for n, x := range pairs(v) {
		value, why := variableText(x)
		if why == "" {
			why = variables.Refused(n.Value, value)
		}
		what := variables.Secret(n.Value, value)
		switch {
		case why != "":
			a.warn("environment-variable-refused", file, n.Line, fmt.Sprintf("%s line %d: the variable %s %s", printable(file), n.Line, short(n.Value), why),
				"it is not set; the others and the packages are there", "remove the line, or set it in the notebook (os.environ)")
		case what != "":
			a.warn("environment-variable-secret", file, n.Line, fmt.Sprintf("%s line %d: the variable %s holds what looks like %s", printable(file), n.Line, short(n.Value), what),
				"it is not set, and does not go into the history of environments, where it would stay for good; every student could read it, too",
				"take it out of this file; what the whole class may know can stand in "+OverrideYML+", which no history keeps")
		case len(a.spec.Variables) >= variables.MaxCount || total(a.spec.Variables)+len(n.Value)+len(value)+2 > variables.MaxTotal:
			a.warn("environment-variables", file, n.Line, fmt.Sprintf("%s line %d: %s is one variable more than there can be", printable(file), n.Line, short(n.Value)), "it is not set; those before it are", "leave some out")
		default:
			a.setVariable(Variable{Name: n.Value, Value: value, File: file, Line: n.Line})
		}
	}
}

func total(vs []Variable) int {
	sum := 0
	for _, v := range vs {
		sum += len(v.Assignment()) + 1
	}
	return sum
}

// setVariable has the later of two lines count.
func (a *asking) setVariable(v Variable) {
	a.spec.Variables = slices.DeleteFunc(a.spec.Variables, func(o Variable) bool { return o.Name == v.Name })
	a.spec.Variables = append(a.spec.Variables, v)
	slices.SortFunc(a.spec.Variables, func(x, y Variable) int { return cmp.Compare(x.Name, y.Name) })
}

// variableText is a value as conda gives it to a program: yes and no become words of
// Python's, as there.
func variableText(n *yaml.Node) (value, why string) {
	switch {
	case n.Kind != yaml.ScalarNode:
		return "", "has a list or a block for a value"
	case n.Tag == "!!null":
		return "", `has no value (write "" for an empty one)`
	case n.Tag == "!!bool":
		if yes := n.Value[0]; yes == 't' || yes == 'T' || yes == 'y' || yes == 'Y' || n.Value == "on" || n.Value == "On" || n.Value == "ON" {
			return "True", ""
		}
		return "False", ""
	}
	return n.Value, ""
}
