package environments

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/conjuring/conjured/internal/wheeltest"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// A line more costs two containers: one that makes the generation, and one that has waited
// for it and tries it. A third would be the usual trial, which waits for nothing.
func TestTrialWaitsForItsPackages(t *testing.T) {
	image := classImage(t)
	x, run := classBoxOf(t)
	lock, err := os.ReadFile("../layers/lock/lab.txt")
	if err != nil {
		t.Fatal(err)
	}
	x.b.c.LabLock = lock
	spec := Spec{Env: "geo101", Image: image, Files: fstest.MapFS{}}
	add := func(w wheeltest.Wheel) Generation {
		t.Helper()
		spec.Requirements = append(spec.Requirements, Requirement{Name: w.Name, Spec: "./" + w.File(), File: "geo101/requirements.txt", Line: len(spec.Requirements) + 1})
		spec.Wheels = append(spec.Wheels, Wheel{Path: "geo101/" + w.File(), SHA256: w.SHA256()})
		spec.Files.(fstest.MapFS)["geo101/"+w.File()] = &fstest.MapFile{Data: w.Bytes()}
		run.seen = nil
		return x.use(t, spec)
	}
	add(wheeltest.Wheel{Name: "own", Version: "1"})
	if len(run.seen) != 2 || waits(run.seen[1]) {
		t.Errorf("the first time: %d containers", len(run.seen))
	}
	g := add(wheeltest.Wheel{Name: "besideown", Version: "1"})
	if !g.Alone || g.Parent != 1 || len(run.seen) != 2 || !waits(run.seen[0]) && !waits(run.seen[1]) {
		t.Errorf("a line more: %+v, %d containers", g, len(run.seen))
	}

	// What it finds is explained by the usual trial.
	spec.Requirements = append(spec.Requirements, Requirement{Name: "bad", Spec: "./bad-1-py3-none-any.whl", File: "geo101/requirements.txt", Line: 3})
	bad := wheeltest.Wheel{Name: "bad", Version: "1", Modules: map[string]string{"bad.py": "import nothing_of_this_name\n"}}
	spec.Wheels = append(spec.Wheels, Wheel{Path: filepath.Join("geo101", bad.File()), SHA256: bad.SHA256()})
	spec.Files.(fstest.MapFS)["geo101/"+bad.File()] = &fstest.MapFile{Data: bad.Bytes()}
	run.seen = nil
	if _, err := x.b.Make(t.Context(), spec, progress.Discard); err == nil || notice.For(err)[0].Code != "environment-import" || notice.For(err)[0].Line != 3 {
		t.Errorf("%v", err)
	}
	if len(run.seen) != 3 {
		t.Errorf("%d containers", len(run.seen))
	}
}

// waits tells whether a container is a trial that begins before its packages are there.
func waits(c Command) bool {
	return c.Input != nil && strings.Contains(c.Args[len(c.Args)-1], `"wait":true`)
}
