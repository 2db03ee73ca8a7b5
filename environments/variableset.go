package environments

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/conjuring/conjured/environments/variables"
	"github.com/conjuring/conjured/notice"
)

// variablesFile lies in a generation whose kernels have variables of their own, and is
// what launch.sh reads: lines NAME=value, or -NAME for one that is taken away. PATH=value
// is put behind the generation's own programs.
const variablesFile = "variables.txt"

// variableMark begins the lines of variables in a manifest. To whoever reads it as a
// requirements file it is a comment.
const variableMark = "# variable "

// Variable is one line of the teacher's files that sets a variable.
type Variable = variables.Variable

// VariableSet is what the kernels of a generation have in their environment beside what
// every kernel has.
type VariableSet struct {
	Set   []string // NAME=value, sorted
	Unset []string // names, sorted
	Path  []string // absolute directories as containers see them, behind the generation's bin in PATH
}

// errVariables says that the variables of a generation are not those it was made with.
var errVariables = errors.New("the variables are not as they were made")

// Variables gives what the kernels of g have. The zero VariableSet for most.
func (s *Store) Variables(g Generation) (VariableSet, error) {
	var out VariableSet
	text := s.kept(g)
	if digest(text) != g.Set && g.Set != "" {
		return out, fmt.Errorf("cannot read %s of %s %d: %w", variablesFile, g.Env, g.Number, errVariables)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "-"); ok {
			out.Unset = append(out.Unset, name)
		} else if path, ok := strings.CutPrefix(line, "PATH="); ok {
			out.Path = strings.Split(path, ":")
		} else {
			out.Set = append(out.Set, line)
		}
	}
	return out, nil
}

// Environ adds the variables to those that a program gets, which have no PATH.
func (v VariableSet) Environ(bin string, env ...string) []string {
	dirs := append(append([]string{bin}, v.Path...), plainPath)
	out := []string{"PATH=" + strings.Join(dirs, ":")}
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		same := func(a string) bool { return strings.HasPrefix(a, name+"=") }
		if !slices.Contains(v.Unset, name) && !slices.ContainsFunc(v.Set, same) {
			out = append(out, e)
		}
	}
	return append(out, v.Set...)
}

// kept is the file of a generation that has one; else nil.
func (s *Store) kept(g Generation) []byte {
	if g.Set == "" {
		return nil
	}
	text, err := readSmall(filepath.Join(s.root, g.Path(), variablesFile))
	if err != nil {
		return nil
	}
	return text
}

// sameVariables tells whether g has those of the generation beside which it was built,
// in its own place.
func (s *Store) sameVariables(text []byte, g Generation) bool {
	before, err := readSmall(filepath.Join(s.root, genPath(g.Env, g.Parent), variablesFile))
	if err != nil {
		return len(text) == 0
	}
	there, here := "/"+genPath(g.Env, g.Parent), "/"+g.Path()
	return strings.ReplaceAll(string(before), there, here) == string(text)
}

// text is the file: empty when there is nothing to say. What was asked for comes first
// when there is more than may be.
func (a *activation) text() []byte {
	var lines []string
	if len(a.path) > 0 {
		lines = append(lines, "PATH="+strings.Join(a.path, ":"))
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(a.unset))) {
		lines = append(lines, "-"+name)
	}
	total := 0
	names := sortedKeys(a.set)
	slices.SortStableFunc(names, func(x, y string) int {
		if a.asked[x] == a.asked[y] {
			return 0
		} else if a.asked[x] {
			return -1
		}
		return 1
	})
	var set []string
	for _, name := range names {
		line := name + "=" + a.set[name]
		if total += len(line) + 1; total > variables.MaxTotal || len(set) == variables.MaxCount {
			a.tell("environment-variables-many", fmt.Sprintf("the packages of %s set more variables than there can be", a.env), "notebooks have only some of them; the packages are there")
			break
		}
		set = append(set, line)
	}
	slices.Sort(set)
	if lines = append(lines, set...); len(lines) == 0 {
		return nil
	}
	return []byte(strings.Join(lines, "\n") + "\n")
}

// with is m with the variables that s asks for, which choose no package.
func (s Spec) with(m Manifest) Manifest {
	m.Variables = nil
	for _, v := range s.Variables {
		m.Variables = append(m.Variables, v.Assignment())
	}
	slices.Sort(m.Variables)
	return m
}

// checkVariables refuses what no reader of a teacher's folder should let through.
func (s Spec) checkVariables() notice.List {
	var l notice.List
	seen := map[string]bool{}
	for _, v := range s.Variables {
		why := variables.Refused(v.Name, v.Value)
		if what := variables.Secret(v.Name, v.Value); why == "" && what != "" {
			why = "holds what looks like " + what
		}
		if seen[v.Name] {
			why = "is set twice"
		}
		seen[v.Name] = true
		if why != "" || len(seen) > variables.MaxCount {
			l = append(l, notice.Notice{
				Code: "environment-variable-refused", Severity: notice.SeverityError, File: v.File, Line: v.Line,
				What: fmt.Sprintf("the variable %s %s", shownName(v.Name), why), Means: unchanged, Do: "take the line out",
			})
		}
	}
	return l
}

// cutVariables takes the lines of variables off the end of a manifest's body.
func cutVariables(text string) (out []string, rest string, err error) {
	at := 0
	if !strings.HasPrefix(text, variableMark) {
		if at = strings.Index(text, "\n"+variableMark) + 1; at == 0 {
			return nil, text, nil
		}
	}
	for line := range strings.Lines(text[at:]) {
		v, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), variableMark)
		name, value, cut := strings.Cut(v, "=")
		again := len(out) > 0 && (out[len(out)-1] >= v || strings.HasPrefix(out[len(out)-1], name+"="))
		if !ok || !cut || again || variables.Refused(name, value) != "" || len(out) >= variables.MaxCount {
			return nil, "", fmt.Errorf("cannot read manifest: %.120q is no variable", line)
		}
		out = append(out, v)
	}
	return out, text[:at], nil
}

// differing gives the variables that two manifests do not have alike.
func differing(from, to []string) []Change {
	old, arriving := map[string]string{}, map[string]string{}
	for _, v := range from {
		name, value, _ := strings.Cut(v, "=")
		old[name] = value
	}
	for _, v := range to {
		name, value, _ := strings.Cut(v, "=")
		arriving[name] = value
	}
	var out []Change
	names := append(sortedKeys(old), sortedKeys(arriving)...)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		was, had := old[name]
		is, has := arriving[name]
		if was != is || had != has {
			out = append(out, Change{Name: name, From: was, To: is})
		}
	}
	return out
}
