// Package enginetest says what an engine that chooses and installs packages has to do,
// as tests that run over any of them: [Conda], [Pip] and [Mixed] take what makes an
// engine for a [World], which is a channel and an index with fixtures on a network that
// can be made bad, and a directory.
//
// It knows nothing of how an engine is made, so that the tests of any package can use it.
package enginetest

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Kind is why an engine could not do what it was asked for.
type Kind string

// The kinds.
const (
	Network  Kind = "network"  // nobody answers, or no longer
	Conflict Kind = "conflict" // each exists, and they cannot be had together
	Missing  Kind = "missing"  // no such package, version or channel
	Hash     Kind = "hash"     // a file is not the one that was announced
	NoWheel  Kind = "no-wheel" // there are files of it, and none that may be installed here
	Disk     Kind = "disk"     // no room
	Other    Kind = "other"
)

// Failure is an error of a kind.
type Failure struct {
	Kind  Kind
	Names []string // the lines or packages at fault, as far as known
	Err   error
}

// Error implements error.
func (f *Failure) Error() string { return fmt.Sprintf("%s %v: %v", f.Kind, f.Names, f.Err) }

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Ask is what is wanted of an environment.
type Ask struct {
	Channels []string // "conda-forge" when empty
	Conda    []string // match specs
	Pip      []string // requirements
	Locked   Plan     // what is in use, to change as little as possible; may be zero
	Offline  bool
}

// Package is one of a plan.
type Package struct {
	Conda         bool
	Name, Version string
}

// Plan is exactly what one gets.
type Plan struct {
	Packages []Package
	Bytes    []byte // the whole plan, canonical: equal plans are equal bytes
	Private  any    // what the engine needs to install it
}

// Version is the version of a package; "" when it is not in the plan.
func (p Plan) Version(name string) string {
	i := slices.IndexFunc(p.Packages, func(x Package) bool { return x.Name == name })
	if i < 0 {
		return ""
	}
	return p.Packages[i].Version
}

// Engine chooses and installs.
type Engine interface {
	// Resolve makes a plan. What cannot be had is a *Failure.
	Resolve(context.Context, Ask) (Plan, error)
	// Install makes a new prefix of the plan, which is complete or not there.
	Install(context.Context, Plan) (prefix string, err error)
}

// fails checks that err is a failure of the kind that names all of these.
func fails(t *testing.T, err error, kind Kind, names ...string) {
	t.Helper()
	var f *Failure
	if !errors.As(err, &f) {
		t.Errorf("want a failure of kind %s, got %v", kind, err)
		return
	}
	if f.Kind != kind {
		t.Errorf("want kind %s, got %v", kind, f)
	}
	for _, n := range names {
		if !slices.ContainsFunc(f.Names, func(have string) bool { return strings.HasPrefix(have, n) }) {
			t.Errorf("the failure does not name %s: %v", n, f)
		}
	}
}

// plan resolves what has to work.
func plan(t *testing.T, e Engine, ask Ask) Plan {
	t.Helper()
	p, err := e.Resolve(t.Context(), ask)
	if err != nil {
		t.Fatalf("%+v: %v", ask, err)
	}
	return p
}

// attempt resolves and installs. An engine may find out about a file while it resolves or
// while it installs.
func attempt(ctx context.Context, e Engine, ask Ask) (string, error) {
	p, err := e.Resolve(ctx, ask)
	if err != nil {
		return "", err
	}
	return e.Install(ctx, p)
}

// install installs what has to work.
func install(t *testing.T, e Engine, p Plan) string {
	t.Helper()
	prefix, err := e.Install(t.Context(), p)
	if err != nil {
		t.Fatalf("install: %v", err)
	}
	return prefix
}

// run runs a program of a prefix, which leaves no bytecode there.
func run(prefix, program string, args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(prefix, program), args...)
	cmd.Env = []string{"PATH=" + filepath.Join(prefix, "bin") + ":/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1", "HOME=/nonexistent"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}
