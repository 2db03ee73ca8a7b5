package environments

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/conjuring/conjured/environments/variables"
)

//go:embed activate.py
var activateScript string

const (
	// scriptTime is how long a script may take, and runTime more than activate.py takes
	// when it stops some: most need a hundredth of a second.
	scriptTime = 15 * time.Second
	runTime    = 2 * time.Minute

	// nobodysHome is the home of whoever runs the scripts. A value that names it would
	// be another one for each student.
	nobodysHome = "/tmp/home-of-nobody"

	plainPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// activated is one line of activate.py. Scripts may have written it themselves: nothing
// of it is believed that they could not have set.
type activated struct {
	Script string            `json:"script"`
	Why    string            `json:"why"` // "" it worked, "time" it was stopped, else how its shell ended
	Env    map[string]string `json:"env"` // in the last line only
}

// runScripts runs the scripts as `conda activate` would, in a container that can do
// nothing else, and takes what they set. An error is no fault of theirs.
func (b *Builder) runScripts(ctx context.Context, s Spec, g Generation, a *activation) error {
	gen := filepath.Join(b.c.Store.mount, g.Path())
	before := map[string]string{
		"PATH": gen + "/bin:" + plainPath, "HOME": nobodysHome, "SHELL": "/bin/bash", "LANG": "C.UTF-8",
		"CONDA_PREFIX": gen, "CONDA_DEFAULT_ENV": string(g.Env), "CONDA_SHLVL": "1",
	}
	maps.Copy(before, a.set)
	job := struct {
		Scripts []string          `json:"scripts"`
		Env     map[string]string `json:"env"`
		Seconds float64           `json:"seconds"`
	}{Env: before, Seconds: b.patience.Seconds()}
	for _, f := range a.scripts {
		job.Scripts = append(job.Scripts, filepath.Join(gen, f))
	}
	text, err := json.Marshal(job)
	if err != nil {
		return err
	}
	timed, cancel := context.WithTimeout(ctx, runTime)
	defer cancel()
	var out tail
	_, err = b.c.Runner.Run(timed, Command{
		Image: s.Image, Args: []string{b.c.Python, "-I", "-S", "-c", activateScript, string(text)},
		Env:    []string{"HOME=/tmp", "LC_ALL=C.UTF-8"},
		Mounts: []Mount{{Host: b.c.Store.root, Container: b.c.Store.mount, ReadOnly: true}},
		User:   b.c.Verifier, Output: &out,
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && timed.Err() == nil:
		return fmt.Errorf("cannot run the scripts of packages: %w", err)
	}
	a.learn(before, out.String(), gen)
	return nil
}

// learn takes what activate.py printed.
func (a *activation) learn(before map[string]string, output, gen string) {
	var after map[string]string
	for line := range strings.Lines(output) {
		var l activated
		rest, ok := strings.CutPrefix(line, "conjured: ")
		if !ok || json.Unmarshal([]byte(rest), &l) != nil {
			continue
		}
		file, _ := strings.CutPrefix(l.Script, gen+"/")
		if l.Env != nil {
			after = l.Env
		} else if l.Why != "" && slices.Contains(a.scripts, file) {
			how := "ended the shell that ran it"
			if l.Why == "time" {
				how = "did not end"
			}
			a.tell("environment-script-failed", fmt.Sprintf("a package of %s has a script for its variables (%s), which %s", a.env, file, how), "notebooks do not have the variables that it sets; the package is there")
		}
	}
	if after == nil {
		a.tell("environment-script-failed", fmt.Sprintf("the scripts for variables that packages of %s have (%s and others) could not be run to their end", a.env, a.scripts[0]), "notebooks do not have the variables that they set; the packages are there")
		return
	}
	a.compare(before, after, gen)
}

// compare takes the difference that the scripts made.
func (a *activation) compare(before, after map[string]string, gen string) {
	for _, name := range sortedKeys(after) {
		value := after[name]
		if old, had := before[name]; variables.Ours(name) || had && old == value {
			continue
		}
		why := variables.Refused(name, value)
		switch {
		case name == "PATH":
			if !a.widen(before[name], value, gen) {
				a.refuse(name, a.culprit(name), "is changed in another way than by adding directories of the package")
			}
		case strings.Contains(value, nobodysHome):
			a.refuse(name, a.culprit(name), "would be another one for each student")
		case why != "":
			a.refuse(name, a.culprit(name), why)
		default:
			a.set[name] = value
		}
	}
	for _, name := range sortedKeys(before) {
		_, still := after[name]
		_, ours := a.set[name]
		switch {
		case still || variables.Ours(name):
		case ours:
			delete(a.set, name)
		case variables.Refused(name, "") != "":
			a.refuse(name, a.culprit(name), "is set by the class itself")
		default:
			a.unset = append(a.unset, name)
		}
	}
}

// widen takes the directories that PATH gained: those of the generation, with all that
// was there before in its old order. False when something else was done to it.
func (a *activation) widen(before, after, gen string) bool {
	old := strings.Split(before, ":")
	for d := range strings.SplitSeq(after, ":") {
		switch {
		case len(old) > 0 && d == old[0]:
			old = old[1:]
		case !strings.HasPrefix(d, gen+"/") || filepath.Clean(d) != d || variables.Refused("DIR", d) != "":
			return false
		case !slices.Contains(a.path, d):
			a.path = append(a.path, d)
		}
	}
	return len(old) == 0
}

// culprit is the first script that names a variable, or the first of all.
func (a *activation) culprit(name string) string {
	for _, f := range a.scripts {
		if lineOf(readBeneath(a.root, f), name) > 0 {
			return f
		}
	}
	return a.scripts[0]
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
