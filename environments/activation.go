package environments

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/conjuring/conjured/environments/variables"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// Where packages of conda say what is set when their environment is used, see
// https://docs.conda.io/projects/conda-build/en/stable/resources/activate-scripts.html.
// The key env_vars of conda-meta/state is what `conda env config vars set` writes.
const (
	scriptsDir    = "etc/conda/activate.d"
	packageVars   = "etc/conda/env_vars.d"
	stateFile     = "conda-meta/state"
	unsetVariable = "***unset***"
)

const maxActivation = 100 // scripts, and files of variables

// activation is what is known of a generation's variables.
type activation struct {
	env     Name
	root    *os.Root          // the generation
	set     map[string]string // what its kernels have beside their own
	asked   map[string]bool   // of these, what the teacher's files set
	unset   []string
	path    []string // directories of the generation that go into PATH
	scripts []string // relative to the generation, in order
	told    notice.List
}

// activate finds out which variables the kernels of g have, and keeps them with g. It
// has to come before g is tried, and reads a directory when there are none. What
// packages do wrong costs a notice, and no generation. When they are not those of the
// generation before, t becomes a whole trial: nothing was tried with them.
func (b *Builder) activate(ctx context.Context, s Spec, g *Generation, t *trial, sink progress.Sink) (notice.List, error) {
	dir := filepath.Join(b.c.Store.root, g.Path())
	if err := os.RemoveAll(filepath.Join(dir, variablesFile)); err != nil { // a wheel's
		return nil, fmt.Errorf("cannot keep variables: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot look for variables: %w", err)
	}
	defer root.Close()
	a := &activation{env: g.Env, root: root, set: map[string]string{}, asked: map[string]bool{}}
	a.read(g.Manifest)
	if len(a.scripts) > 0 {
		sink.Progress(progress.Event{Job: "environment", Step: "looking which variables the packages set"})
		if err := b.runScripts(ctx, s, *g, a); err != nil {
			return nil, err
		}
	}
	text := a.text()
	if t.server != g.Number && !b.c.Store.sameVariables(text, *g) {
		whole := s.trial(*g, Generation{}, built{})
		whole.files = t.files
		*t = whole
	}
	if len(text) == 0 {
		return a.told, nil
	}
	g.Set = digest(text)
	return a.told, b.c.Store.write(filepath.Join(dir, variablesFile), text, 0o444)
}

// read takes in what is said as data: by packages, and over it by the teacher's files.
func (a *activation) read(m Manifest) {
	if fi, err := a.root.Stat("conda-meta"); err == nil && fi.IsDir() {
		for _, f := range a.list(packageVars, ".json") {
			var set map[string]any
			if decode(readBeneath(a.root, f), &set) {
				a.take(f, set)
			}
		}
		var state struct {
			Set map[string]any `json:"env_vars"`
		}
		if decode(readBeneath(a.root, stateFile), &state) {
			a.take(stateFile, state.Set)
		}
		a.scripts = a.list(scriptsDir, ".sh")
	}
	for _, v := range m.Variables {
		name, value, _ := strings.Cut(v, "=")
		a.set[name], a.asked[name] = value, true
	}
}

// list gives the files in a directory of the generation, in the order of their names.
func (a *activation) list(dir, end string) []string {
	d, err := a.root.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	es, _ := d.ReadDir(10 * maxActivation) // what cannot be read sets nothing
	var out []string
	for _, e := range es {
		if strings.HasSuffix(e.Name(), end) && e.Type()&^fs.ModeSymlink == 0 {
			out = append(out, dir+"/"+e.Name())
		}
	}
	slices.Sort(out)
	if len(out) > maxActivation {
		a.tell("environment-variables-many", fmt.Sprintf("packages of %s have more than %d files in %s", a.env, maxActivation, dir), "only the first of them are followed")
		out = out[:maxActivation]
	}
	return out
}

// take adds variables of a package's file.
func (a *activation) take(file string, set map[string]any) {
	for _, name := range sortedKeys(set) {
		value, ok := plainValue(set[name])
		switch why := variables.Refused(name, value); {
		case !ok:
			a.refuse(name, file, "has a value that is not one line of text")
		case value == unsetVariable:
			delete(a.set, name)
		case why != "":
			a.refuse(name, file, why)
		default:
			a.set[name] = value
		}
	}
}

// plainValue is a value of JSON as Python prints it into a variable.
func plainValue(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		if v {
			return "True", true
		}
		return "False", true
	}
	return "", false
}

func decode(data []byte, into any) bool {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return len(data) > 0 && d.Decode(into) == nil
}

// refuse tells that a variable of a package's file is not set.
func (a *activation) refuse(name, file, why string) {
	where := file
	if line := lineOf(readBeneath(a.root, file), name); line > 0 {
		where += fmt.Sprintf(":%d", line)
	}
	a.tell("environment-variable-refused", fmt.Sprintf("a package of %s sets the variable %s (%s), which %s", a.env, shownName(name), where, why), "notebooks do not have this variable; the package is there")
}

const maxTold = 12 // notices about the variables of one generation

func (a *activation) tell(code, what, means string) {
	n := notice.Notice{
		Code: code, Severity: notice.SeverityWarning, What: what, Means: means,
		Do: "try the package in a notebook before the lesson; if it misses something, set it there (os.environ)",
	}
	if len(a.told) < maxTold && !slices.Contains(a.told, n) {
		a.told = append(a.told, n)
	}
}

// lineOf is the first line of a text that names a variable as a word; 0: none.
func lineOf(text []byte, name string) int {
	for i, line := range bytes.Split(text, []byte("\n")) {
		words := bytes.FieldsFunc(line, func(r rune) bool {
			return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
		})
		if slices.ContainsFunc(words, func(w []byte) bool { return string(w) == name }) {
			return i + 1
		}
	}
	return 0
}

// shownName is a stranger's name for people.
func shownName(name string) string { return strings.Trim(fmt.Sprintf("%.60q", name), `"`) }
