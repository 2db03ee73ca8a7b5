package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// mutant is a mistake somebody could make. Each edit's old text stands exactly once in
// its file: after a refactoring the table has to be mended, or it would prove nothing.
type mutant struct {
	name  string
	edits []edit
}

type edit struct{ file, old, new string }

func mutants() []mutant {
	one := func(name, file, old, new string) mutant { return mutant{name, []edit{{file, old, new}}} }
	return []mutant{
		one("drop the image's built-check", "next.go", "case !v.met(Image, s):", "case false:"),
		one("drop the environment's built-check", "next.go", "case !v.met(Environment, s):", "case false:"),
		one("deploy before the roster", "next.go", "case v.met(Roster, s):", "default:"),
		one("build before the last good setup serves", "next.go", "if good, ok := v.restorable(); ok {", "if good, ok := v.restorable(); ok && d.Setup.ID == \"\" {"),
		one("two actions of a kind", "next.go", "if _, busy := running[k]; !busy && v.ready(k, s) {", "if v.ready(k, s) {"),
		one("seal beside other work", "next.go", "if len(wanted)+len(running) > 0 || ", "if "),
		one("kernels before the class", "next.go", "\tcase v.met(Deploy, s) && (", "\tcase v.met(Image, s) && !v.met(Kernels, s):\n\t\tstart(Kernels, s)\n\tcase v.met(Deploy, s) && ("),
		one("an image that was lost stays lost", "next.go", "case v.met(Deploy, s) && (v.met(Image, s) || v.hopeless(Image, s)):", "case v.met(Deploy, s):"),
		one("the class waits for kernels", "next.go", "|| !v.met(Deploy, s)\n", "\n"),
		one("cancel a needed build", "next.go", "stop = step(k, x.Setup) != step(k, s)\n\t\tcase Kernels", "stop = x.Setup.ID != s.ID\n\t\tcase Kernels"),
		one("never cancel", "next.go", "\t\tif stop {", "\t\tif stop && k == Collect {"),
		one("believe what was saved", "next.go", "if !a.Observed {", "if false {"),
		one("forget to clear running", "owner.go", "delete(o.flights, r.Kind)\n", "\n"),
		one("no wake after a failure", "owner.go", "wake = min(wake, f.Until.Sub(now))", ""),
		one("give up after one try", "state.go", "maxTries = 3", "maxTries = 1"),
		one("try for ever", "fold.go", "f.Tries++", "f.Tries = 1"),
		one("retry what is permanent", "fold.go", "f.Permanent = IsPermanent(r.err) && r.Kind != Observe", "f.Permanent = false"),
		one("leak actions at the end", "owner.go", "for len(o.flights) > 0 && err == nil {", "for len(o.flights) > 9 && err == nil {"),
		one("skip the save", "owner.go", "err = o.cfg.Store.Save(s)", "err = nil"),
		one("accept a wish before it is saved", "owner.go", "if err = o.save(nil); err != nil {", "if false {"),
		{"save after the act", []edit{
			{"owner.go", "\tswitch err := o.save(plan); {\n", "\tfor _, x := range plan {\n\t\to.start(ctx, x)\n\t}\n\ttime.Sleep(time.Microsecond)\n\tplan = nil\n\tswitch err := o.save(plan); {\n"},
		}},
		one("act without a store", "owner.go", "o.a.ReadOnly = err != nil", "o.a.ReadOnly = false"),
		one("a failure counts as done", "fold.go", "a = doubt(a, r.Action)\n\t\ta = blame", "a = achieve(a, r.Action)\n\t\ta = blame"),
		one("the fallback replaces the wish", "owner.go", "o.a = fold(o.d, o.a, r, now, o.cfg)", "o.a = fold(o.d, o.a, r, now, o.cfg)\n\tif r.Kind == Deploy && r.err == nil {\n\t\to.d.Setup = r.Setup\n\t}"),
		one("collect and not know it", "fold.go", "a = forget(a, x.Keep)\n\t\ta.Garbage = false", "a.Garbage = false"),
		one("believe a torn file", "journal.go", "|| e.SHA256 != hex.EncodeToString(sum[:])", "|| hex.EncodeToString(sum[:]) == \"\""),
	}
}

// Every mutant must die: a mistake that no test sees is a rule that no test holds.
func TestMutants(t *testing.T) {
	if os.Getenv("CONJURED_MUTANT") != "" {
		return // inside a mutant's own run
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	g.SetLimit(2)
	for _, m := range mutants() {
		overlay, err := m.overlay(dir, t.TempDir())
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		g.Go(func() error {
			began := time.Now()
			out, err := runMutant(t.Context(), overlay)
			if err != nil {
				t.Errorf("%s: %v\n%s", m.name, err, out)
			} else {
				t.Logf("%s: dead after %s by %s", m.name, time.Since(began).Round(100*time.Millisecond), killer(out))
			}
			return nil
		})
	}
	_ = g.Wait() // the goroutines report for themselves
}

// overlay writes the mutant's files and the list by which the go command reads them
// in place of ours.
func (m mutant) overlay(dir, tmp string) (string, error) {
	sources := map[string]string{}
	for _, e := range m.edits {
		src, ok := sources[e.file]
		if !ok {
			raw, err := os.ReadFile(filepath.Join(dir, e.file))
			if err != nil {
				return "", err
			}
			src = string(raw)
		}
		if n := strings.Count(src, e.old); n != 1 {
			return "", fmt.Errorf("its text stands %d times in %s, not once: mend the table of mutants", n, e.file)
		}
		sources[e.file] = strings.Replace(src, e.old, e.new, 1)
	}
	replace := map[string]string{}
	for file, src := range sources {
		path := filepath.Join(tmp, file)
		if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(dir, file)] = path
	}
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	list := filepath.Join(tmp, "overlay.json")
	return list, os.WriteFile(list, raw, 0o600)
}

// runMutant is nil when the tests fail with the overlay, as they must.
func runMutant(ctx context.Context, overlay string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-overlay", overlay, "-count=1", "-vet=off", "-ldflags=-s -w", "-failfast",
		"-timeout=15s", "-rapid.checks=20", "-rapid.nofailfile", "-rapid.shrinktime=1ms", ".")
	cmd.Env = append(os.Environ(), "CONJURED_MUTANT=1")
	raw, err := cmd.CombinedOutput()
	out := string(raw)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return out, errors.New("it survives")
	case !errors.As(err, &exit):
		return out, err
	case strings.Contains(out, "[build failed]"):
		return out, errors.New("it does not compile")
	case !strings.Contains(out, "--- FAIL: ") && !strings.Contains(out, "panic: "):
		return out, errors.New("no test ran")
	}
	return out, nil
}

// killer is the first test that failed.
func killer(out string) string {
	for line := range strings.Lines(out) {
		if _, name, ok := strings.Cut(line, "--- FAIL: "); ok {
			return strings.Fields(name)[0]
		}
	}
	return "a panic or the timeout"
}
