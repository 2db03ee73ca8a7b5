package engine_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/internal/needs"
)

// TestSession: a program reads what it is given, its two outputs stay apart, and a
// change below a scratch layer reaches nobody.
func TestSession(t *testing.T) {
	needs.All(t, needs.Root())
	e := withProbe(t)
	talk := func(s engine.Spec, in string) (out, errs string) {
		t.Helper()
		s.Name = ""
		var o, x bytes.Buffer
		if code, err := e.Session(t.Context(), s, engine.Streams{In: strings.NewReader(in), Out: &o, Err: &x}); err != nil || code != 0 {
			t.Errorf("%q: %d %v", s.Cmd, code, err)
		}
		return o.String(), x.String()
	}
	if out, _ := talk(spec(t, "read", "/dev/stdin"), "what is said"); out != "what is said" {
		t.Errorf("read %q", out)
	}
	if out, errs := talk(spec(t, "say", "one", "two"), ""); out != "one\n" || errs != "two\n" {
		t.Errorf("%q %q", out, errs)
	}
	dir := t.TempDir()
	for _, d := range []string{"lower", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "lower/file"), []byte("as it was"), 0o444); err != nil {
		t.Fatal(err)
	}
	s := spec(t, "write", "/data/file", "changed")
	s.Mounts = []engine.Mount{{Source: filepath.Join(dir, "lower"), Target: "/data", Scratch: &engine.Scratch{Upper: filepath.Join(dir, "upper"), Work: filepath.Join(dir, "work")}}}
	talk(s, "")
	s.Cmd = []string{"read", "/data/file"}
	if out, _ := talk(s, ""); out != "changed" {
		t.Errorf("through the layer: %q", out)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "lower/file")); err != nil || string(b) != "as it was" {
		t.Errorf("below the layer: %q %v", b, err)
	}
}

// Who waits no longer leaves no container behind.
func TestSession_cancelled(t *testing.T) {
	e := withProbe(t)
	ctx, cancel := context.WithCancel(t.Context())
	s := spec(t, "stubborn")
	s.Name = ""
	code, err := e.Session(ctx, s, engine.Streams{Out: told(cancel)})
	if code != -1 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d %v", code, err)
	}
	if left, err := e.List(context.Background(), nil); err != nil || len(left) > 0 {
		t.Errorf("left %v %v", left, err)
	}
}

// told calls itself when something is written.
type told func()

func (f told) Write(b []byte) (int, error) {
	f()
	return len(b), nil
}
