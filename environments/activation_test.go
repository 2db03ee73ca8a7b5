package environments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/conjuring/conjured/progress"
)

// puppet is a Runner whose programs print what a test wants.
type puppet struct {
	says func(c Command) (string, error)
	runs int
}

func (p *puppet) Run(_ context.Context, c Command) (int, error) {
	p.runs++
	text, err := p.says(c)
	fmt.Fprint(c.Output, text)
	return 0, err
}

// prefixes is a store with a generation of these files, that is not complete yet.
func prefixes(t *testing.T, says func(c Command) (string, error), text map[string]string) (*Builder, *puppet, Generation) {
	t.Helper()
	s := open(t)
	run := &puppet{says: says}
	b, err := New(Config{Store: s, Runner: run, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.begin("geo")
	if err != nil {
		t.Fatal(err)
	}
	g := Generation{Env: "geo", Number: n}
	for f, x := range text {
		put(t, s, g.Path()+"/"+f, x)
	}
	return b, run, g
}

// activatedFile runs activate, and gives the file and what was told.
func activatedFile(t *testing.T, b *Builder, g *Generation) (text, told string) {
	t.Helper()
	tr := trial{server: g.Number}
	l, err := b.activate(t.Context(), Spec{Env: g.Env}, g, &tr, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range l {
		told += n.What + "\n"
	}
	data, err := os.ReadFile(filepath.Join(b.c.Store.Root(), g.Path(), variablesFile))
	if err == nil && digest(data) != g.Set || err != nil && g.Set != "" {
		t.Errorf("%v, %q", err, g.Set)
	}
	return string(data), told
}

// Without anything to set nothing is run and nothing is written, and what a wheel put
// where the launcher looks is gone.
func TestActivate_nothing(t *testing.T) {
	b, run, g := prefixes(t, nil, map[string]string{variablesFile: "LD_PRELOAD=/evil\n", scriptsDir + "/x.sh": "export A=1\n"}) // no prefix of conda
	if text, told := activatedFile(t, b, &g); text != "" || told != "" || run.runs != 0 || g.Set != "" {
		t.Errorf("%q %s %d", text, told, run.runs)
	}
}

// Files of variables are read as conda reads them: packages', the state's, the teacher's.
func TestActivate_files(t *testing.T) {
	b, run, g := prefixes(t, nil, map[string]string{
		packageVars + "/a.json":    `{"A": "a", "B": "a", "C": "a", "N": 1.50, "T": true, "L": [1], "PATH": "/x"}`,
		packageVars + "/b.json":    `{"B": "b", "A": "***unset***"}`,
		packageVars + "/c.json":    `{"broken`,
		packageVars + "/d.txt":     `{"D": "d"}`,
		"conda-meta/state":         `{"version": 1, "env_vars": {"C": "state", "E": "state"}}`,
		"conda-meta/history":       "",
		packageVars + "/huge.json": strings.Repeat(" ", maxKernelFile) + `{"HUGE": "x"}`,
	})
	if err := os.Symlink("/etc/passwd", filepath.Join(b.c.Store.Root(), g.Path(), packageVars, "e.json")); err != nil {
		t.Fatal(err)
	}
	g.Manifest.Variables = []string{"E=teacher", "Z="}
	text, told := activatedFile(t, b, &g)
	if d := cmp.Diff("B=b\nC=state\nE=teacher\nN=1.50\nT=True\nZ=\n", text); d != "" || run.runs != 0 {
		t.Error(d, run.runs)
	}
	if !strings.Contains(told, "the variable L (etc/conda/env_vars.d/a.json:1)") || !strings.Contains(told, "the variable PATH (") || strings.Count(told, "\n") != 2 {
		t.Error(told)
	}
	fi, err := os.Stat(filepath.Join(b.c.Store.Root(), g.Path(), variablesFile))
	if err != nil || fi.Mode().Perm() != 0o444 {
		t.Errorf("%v %v", fi, err)
	}
}

// Of what scripts print only the end counts, and whatever they are up to, the generation
// is there.
func TestActivate_scripts(t *testing.T) {
	text := map[string]string{"conda-meta/history": "", scriptsDir + "/1.sh": "export X=1\n", scriptsDir + "/2.sh": "", scriptsDir + "/3.fish": "", packageVars + "/a.json": `{"J": "1"}`}
	gen := "GEN"
	before := `"PATH": "GEN/bin:` + plainPath + `", "HOME": "` + nobodysHome + `", "SHELL": "/bin/bash", "LANG": "C.UTF-8", "CONDA_PREFIX": "GEN", "CONDA_DEFAULT_ENV": "geo"`
	line := func(s string) string { return "noise\nconjured: " + s + "\n" }
	many := before
	for i := range 400 {
		many += fmt.Sprintf(`, "MANY_%03d": "%d"`, i, i)
	}
	for name, x := range map[string]struct {
		says string
		err  error
		want string // the file
		told string
	}{
		"set":      {line(`{"env": {` + before + `, "J": "1", "X": "1", "Y": "GEN/y", "_": "x", "SHLVL": "2", "_CONDA_SET_X": "1"}}`), nil, "J=1\nX=1\nY=GEN/y\n", ""},
		"unset":    {line(`{"env": {` + strings.Replace(before, `"LANG": "C.UTF-8", `, "", 1) + `}}`), nil, "-LANG\n", ""},
		"killed":   {line(`{"script": "GEN/` + scriptsDir + `/1.sh", "why": ""}`), nil, "J=1\n", "could not be run to their end"},
		"too much": {strings.Repeat("x", 2*maxTail) + line(`{"env": {"X": "1"}}`), nil, "J=1\n", "could not be run to their end"},
		"forged":   {line(`{"script": "GEN/../../etc/passwd", "why": "time"}`) + line(`{"env": {`+before+`, "A B": "1", "N": "a\nb", "J": "1"}}`), nil, "J=1\n", "the variable A B ("},
		"path":     {line(`{"env": {` + strings.Replace(before, "GEN/bin:", "GEN/a:GEN/bin:GEN/b:", 1) + `, "J": "1"}}`), nil, "PATH=GEN/a:GEN/b\nJ=1\n", ""},
		"no path":  {line(`{"env": {` + strings.Replace(before, "GEN/bin:", "GEN/../x:GEN/bin:", 1) + `, "J": "1"}}`), nil, "J=1\n", "the variable PATH ("},
		"lost":     {line(`{"env": {` + strings.Replace(before, "GEN/bin:", "", 1) + `, "J": "1"}}`), nil, "J=1\n", "another way than by adding"},
		"home":     {line(`{"env": {` + before + `, "R_LIBS": "` + nobodysHome + `/R", "J": "2"}}`), nil, "J=2\n", "another one for each student"},
		"many":     {line(`{"env": {` + many + `, "J": "1"}}`), nil, "", "more variables than there can be"},
	} {
		b, run, g := prefixes(t, nil, text)
		place := filepath.Join(b.c.Store.Mount(), g.Path())
		run.says = func(c Command) (string, error) {
			if c.Network || c.User != "65534:65534" || len(c.Mounts) != 1 || !c.Mounts[0].ReadOnly || !strings.Contains(c.Args[5], scriptsDir+"/2.sh") || strings.Contains(c.Args[5], "fish") {
				t.Errorf("%+v", c)
			}
			return strings.ReplaceAll(x.says, gen, place), x.err
		}
		text, told := activatedFile(t, b, &g)
		text = strings.ReplaceAll(text, place, gen)
		if name == "many" && strings.Count(text, "\n") == 256 {
			text = ""
		}
		if d := cmp.Diff(x.want, text); d != "" || !strings.Contains(told, x.told) || x.told == "" && told != "" || strings.Contains(told, "passwd") {
			t.Errorf("%s: %s%s", name, d, told)
		}
	}
}

// Where no container can be had nothing is known, and no generation is made without.
func TestActivate_noContainer(t *testing.T) {
	b, _, g := prefixes(t, func(Command) (string, error) { return "", errors.New("no engine") }, map[string]string{"conda-meta/history": "", scriptsDir + "/1.sh": ""})
	var tr trial
	if _, err := b.activate(t.Context(), Spec{}, &g, &tr, progress.Discard); err == nil {
		t.Error("a generation without its variables")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.activate(ctx, Spec{}, &g, &tr, progress.Discard); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A generation that is another one and something beside it is tried as a whole when its
// variables are others; the same ones in another place are the same.
func TestActivate_trial(t *testing.T) {
	b, _, parent := prefixes(t, nil, map[string]string{})
	s := b.c.Store
	put(t, s, parent.Path()+"/"+variablesFile, "A="+filepath.Join(s.Mount(), parent.Path())+"/x\n")
	for value, whole := range map[string]bool{"%/x": false, "%/y": true, "": true} {
		n, err := s.begin("geo")
		if err != nil {
			t.Fatal(err)
		}
		g := Generation{Env: "geo", Number: n, Parent: parent.Number}
		if value != "" {
			g.Manifest.Variables = []string{"A=" + strings.Replace(value, "%", filepath.Join(s.Mount(), g.Path()), 1)}
		}
		tr := trial{server: parent.Number, files: true}
		if _, err := b.activate(t.Context(), Spec{Env: "geo", Requirements: asks("one")}, &g, &tr, progress.Discard); err != nil {
			t.Fatal(err)
		}
		if (tr.server == g.Number && len(tr.names) == 1) != whole || !tr.files {
			t.Errorf("%q: %+v", value, tr)
		}
	}
}
