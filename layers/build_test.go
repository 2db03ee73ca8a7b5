package layers_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/internal/needs"
	"github.com/conjuring/conjured/layers"
	"github.com/conjuring/conjured/progress"
)

// testRepository is fixed, so that a second run of these tests finds base and core.
const testRepository = "conjured-test-layers/class"

func newBuilder(t *testing.T) (*layers.Builder, *engine.Engine) {
	t.Helper()
	needs.All(t, needs.Docker(), needs.Root(), needs.Debootstrap())
	e, err := engine.Connect(t.Context(), engine.Config{Instance: "1a7e9500"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	b, err := layers.New(layers.Config{Engine: e, Files: os.DirFS(".."), Repository: testRepository, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return b, e
}

// log shows the steps of a build in the test's own output.
func log(t *testing.T) progress.Sink {
	last, start := "", time.Now()
	return progress.Func(func(e progress.Event) {
		if e.Step != last || os.Getenv("VERBOSE") != "" {
			last = e.Step
			t.Logf("%5.1f %d/%d %s %s", time.Since(start).Seconds(), e.Done, e.Total, e.Step, e.Line)
		}
	})
}

func TestBuild(t *testing.T) {
	b, e := newBuilder(t)
	r, err := b.Build(t.Context(), layers.Inputs{}, log(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"base", "core", "system"} {
		if _, err := e.Image(t.Context(), testRepository+":"+name); err != nil {
			t.Error(err)
		}
	}
	var out strings.Builder
	if _, err := e.Run(context.Background(), engine.Spec{Image: r.Core, Cmd: []string{"jupyter-lab", "--version"}}, &out); err != nil || out.String() != "4.6.6\n" {
		t.Errorf("lab --version = %q, %v", out.String(), err)
	}
}
