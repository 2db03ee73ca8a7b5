package environments

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

//go:embed verify.py
var verifyScript string

// tried is one line of verify.py. Packages under test may have written it themselves:
// whoever lies here only gets a class that does not work.
type tried struct {
	Check  string `json:"check"` // import, kernel, server, singleuser, consistent, done
	OK     bool   `json:"ok"`
	Name   string `json:"name"`   // distribution, for import
	Kind   string `json:"kind"`   // ImportError, crash, timeout, or the exception's name
	Detail string `json:"detail"` // end of the output
}

// trial is how much of a generation is tried.
type trial struct {
	lab    bool     // whether Lab is started
	files  bool     // whether every file is compared with its hash
	names  []string // distributions to import
	server int      // the generation in which Lab was started with these very files

	rest rest // what is left to look at meanwhile; nil: nothing
}

// rest is what is left to look at while a generation is tried. Its notices are warnings; with
// errUnlike the generation is not what it should be, and has to be made the plain way.
type rest func() (notice.List, error)

// trial says what must be tried of g, built beside prev.
//
// Mostly everything. When g is prev and new distributions beside it, Lab and its server
// are not started again, and what was imported before is not imported again: each of
// their files is the one that was tried, in the same image, and finish.py has looked
// that none of the new distributions is a plug-in or a start-up file, has files where
// Jupyter looks for some, adds to a package of others, or has the name of a module that
// others import. The new ones are imported, a kernel computes 1+1, and uv checks that
// all requirements are met. It is what stands between a new line and a new kernel.
func (s Spec) trial(g, prev Generation, x built) trial {
	if !x.Alone || prev.Tried == 0 || prev.Image != s.Image {
		return trial{lab: !s.kernelOnly(), names: s.asked(), server: g.Number}
	}
	t := trial{server: prev.Tried}
	for _, n := range s.asked() {
		if slices.Contains(x.New, n) || !slices.Contains(prev.Asked, n) {
			t.names = append(t.names, n)
		}
	}
	return t
}

// verify tries g as a class would. It gives warnings, or an error with all problems.
func (b *Builder) verify(ctx context.Context, s Spec, g Generation, t trial, sink progress.Sink) (notice.List, error) {
	sink.Progress(progress.Event{Job: "environment", Step: "trying the packages"})
	gen := filepath.Join(b.c.Store.mount, g.Path())
	text, err := json.Marshal(b.verifyJob(g, t))
	if err != nil {
		return nil, err
	}
	python := filepath.Join(gen, "bin/python")
	if g.Manifest.Python == "" {
		python = filepath.Join(b.c.Lab, "bin/python")
	}
	set, err := b.c.Store.Variables(g)
	if err != nil {
		return nil, notice.List{s.judge(tried{Check: "files", Detail: variablesFile})}
	}
	if b.rehearsed(ctx, g, t) {
		return nil, nil
	}
	var out tail
	c := b.verifyCommand(s, python, string(text), set, g)
	c.Output = &out
	exit, err := b.c.Runner.Run(ctx, c)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("cannot try the packages: %w", err)
	}
	var warnings, problems notice.List
	done := false
	for _, t := range out.lines() {
		done = done || t.Check == "done"
		if t.OK {
			continue
		}
		if n := s.judge(t); n.Severity == notice.SeverityError {
			problems = append(problems, n)
		} else {
			warnings = append(warnings, n)
		}
	}
	if !done {
		return nil, fmt.Errorf("cannot try the packages: the test ended with %d: %s", exit, lastError(out.String(), exit))
	}
	if problems != nil {
		b.c.Log.Info("a generation failed its test", "env", g.Env, "number", g.Number, "problems", len(problems))
		return nil, append(problems, warnings...)
	}
	return warnings, nil
}

// verifyCommand runs verify.py for g: it sees the store, can change nothing, and reaches
// nobody.
func (b *Builder) verifyCommand(s Spec, python, job string, set VariableSet, g Generation) Command {
	return Command{
		Image:  s.Image,
		Args:   []string{python, "-I", "-c", verifyScript, job},
		Env:    set.Environ(filepath.Join(b.c.Store.mount, g.Path(), "bin"), "HOME=/tmp", "LC_ALL=C.UTF-8", "NO_COLOR=1"),
		Mounts: []Mount{{Host: b.c.Store.root, Container: b.c.Store.mount, ReadOnly: true}},
		User:   b.c.Verifier,
	}
}

// verifyJob is what verify.py reads.
type verifyJob struct {
	Prefix string   `json:"prefix"`
	UV     string   `json:"uv"`
	Outer  string   `json:"outer"` // an interpreter that speaks to kernels
	Names  []string `json:"names"`
	Conda  []string `json:"conda"`
	Pip    []string `json:"pip"` // null without conda
	Kernel []string `json:"kernel"`
	Lab    bool     `json:"lab"`
	Files  bool     `json:"files"`
	Wait   bool     `json:"wait"` // for another job, on standard input
}

func (b *Builder) verifyJob(g Generation, t trial) verifyJob {
	j := verifyJob{
		Prefix: filepath.Join(b.c.Store.mount, g.Path()), UV: b.c.UV, Outer: filepath.Join(b.c.Lab, "bin/python"), Names: []string{}, Conda: []string{},
		Kernel: append([]string{}, g.Kernel...), Lab: t.lab, Files: t.files,
	}
	for _, n := range t.names {
		if p, ok := g.Manifest.Find(n); ok && p.Kind == Conda {
			j.Conda = append(j.Conda, n)
		} else {
			j.Names = append(j.Names, n)
		}
	}
	if len(g.Manifest.of(Conda)) > 0 {
		j.Pip = []string{}
		for _, p := range g.Manifest.of(Pip) {
			j.Pip = append(j.Pip, p.Name)
		}
	}
	return j
}

// Verify tries g again, as it was tried before it was complete, and compares every file
// with the hash it was installed with. It gives warnings, or an error with all problems.
func (b *Builder) Verify(ctx context.Context, g Generation, sink progress.Sink) (notice.List, error) {
	done, err := b.begun(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	s := Spec{Env: g.Env, Display: g.Display, Image: g.Image}
	return b.verify(ctx, s, g, trial{lab: g.Env == Base, files: true, names: g.Asked}, sink)
}

var libraryForm = regexp.MustCompile(`(lib[A-Za-z0-9_+-]+\.so[.0-9]*): cannot open shared object file`)

// debian names the package of the libraries that wheels most often expect of a system,
// or "".
func debian(library string) string {
	switch library {
	case "libGL.so.1":
		return "libgl1"
	case "libEGL.so.1":
		return "libegl1"
	case "libgthread-2.0.so.0", "libglib-2.0.so.0":
		return "libglib2.0-0t64"
	case "libgomp.so.1":
		return "libgomp1"
	case "libX11.so.6":
		return "libx11-6"
	case "libXrender.so.1":
		return "libxrender1"
	case "libSM.so.6":
		return "libsm6"
	case "libsndfile.so.1":
		return "libsndfile1"
	case "libtk8.6.so":
		return "python3-tk"
	}
	return ""
}

// judge puts a failed check into words.
func (s Spec) judge(t tried) notice.Notice {
	detail := short(strings.Join(strings.Fields(t.Detail), " "))
	n := notice.Notice{Severity: notice.SeverityError, Means: unchanged}
	switch t.Check {
	case "import":
		n.Code = "environment-import"
		n.What = fmt.Sprintf("%s can be installed but not used: %s", t.Name, detail)
		n.Do = "name another version of it on that line, or take the line out"
		if m := libraryForm.FindStringSubmatch(t.Detail); m != nil {
			n.Code = "environment-library"
			n.What = fmt.Sprintf("%s needs the library %s, which the class image does not have", t.Name, m[1])
			n.Do = "add the Debian package that holds this library to apt.txt, then apply the folder again"
			if p := debian(m[1]); p != "" {
				n.Do = fmt.Sprintf("add a line %s to apt.txt, then apply the folder again", p)
			}
		} else if t.Kind != "ImportError" && t.Kind != "crash" {
			// Such as a package that looks for a screen: it may work in a lesson.
			n.Severity, n.Means = notice.SeverityWarning, "the package is there; it may not work in a notebook"
			n.Do = "try it in a notebook before the lesson"
		}
		return s.at(t.Name, n)
	case "files":
		n.Code = "environment-damaged"
		n.What = fmt.Sprintf("files of %s are not as they were installed: %s", cmp.Or(t.Name, string(s.Env)), detail)
		n.Do = "make it anew from what is stored: conjured env reset " + string(s.Env)
		return n
	case "consistent":
		n.Code, n.What = "environment-inconsistent", "the packages do not fit together: "+detail
	case "kernel":
		n.Code, n.What = "environment-kernel", "a notebook cannot compute 1+1 with these packages: "+cause(t.Detail)
	case "server", "singleuser":
		n.Code, n.What = "environment-server", "JupyterLab does not start with these packages: "+cause(t.Detail)
	default:
		n.Code, n.What = "environment-failed", "the packages failed a test: "+detail
	}
	n.File = s.lastFile()
	n.Do = "take out the line of " + cmp.Or(n.File, "requirements.txt") + " that was added last, then apply the folder again"
	return n
}

var pythonError = regexp.MustCompile(`(?m)^[A-Za-z_][A-Za-z0-9_.]*(Error|Exception): .+$`)

// cause finds in what a program printed why it failed: the first exception of Python's,
// since the later ones follow from it, else the end.
func cause(output string) string {
	if line := pythonError.FindString(output); line != "" {
		return short(line)
	}
	words := []rune(strings.Join(strings.Fields(output), " "))
	return string(words[max(len(words)-300, 0):])
}

// lastFile is the file whose lines come last, "" when there are none.
func (s Spec) lastFile() string {
	if n := len(s.Requirements); n > 0 {
		return s.Requirements[n-1].File
	}
	if n := len(s.Conda); n > 0 {
		return s.Conda[n-1].File
	}
	return ""
}

// tail keeps what a command wrote, up to a limit.
type tail struct{ b []byte }

const maxTail = 1 << 20

// Write keeps p. It never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p[:min(len(p), max(maxTail-len(t.b), 0))]...)
	return len(p), nil
}

func (t *tail) String() string { return string(t.b) }

func (t *tail) lines() []tried {
	var out []tried
	for line := range strings.Lines(t.String()) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "conjured: ")
		var one tried
		if ok && json.Unmarshal([]byte(rest), &one) == nil {
			out = append(out, one)
		}
	}
	return out
}
