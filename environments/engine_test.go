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

	"github.com/conjuring/conjured/environments/enginetest"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// engine is a Builder as the conformance tests see it: everything real but the
// container. Each plan is of an environment that has no memory of another.
type engine struct {
	w     *enginetest.World
	s     *Store
	b     *Builder
	specs map[string]Spec // by ID of the manifest
}

func newEngine(t *testing.T, w *enginetest.World) enginetest.Engine {
	tools := enginetest.RealTools(t)
	s, err := Open(w.Root, w.Root)
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Config{
		Store: s, Runner: &hostRunner{}, UV: tools.UV, Python: tools.Python, Rattler: tools.Python,
		Index: w.Simple, CondaMirror: w.Mirror, Log: slog.New(slog.DiscardHandler),
		Env: []string{"UV_HTTP_RETRIES=1"}, // what a test takes away does not come back
	})
	if err != nil {
		t.Fatal(err)
	}
	return &engine{w: w, s: s, b: b, specs: map[string]Spec{}}
}

func (e *engine) spec(ask enginetest.Ask) Spec {
	s := Spec{Env: Base, Image: "host", Channels: ask.Channels, Requirements: asks(ask.Pip...)}
	for i, r := range s.Requirements {
		s.Requirements[i].Name = normalise(pinName(r.Spec))
	}
	if s.Channels == nil && ask.Conda != nil {
		s.Channels = []string{"conda-forge"}
	}
	for i, c := range ask.Conda {
		s.Conda = append(s.Conda, CondaRequirement{Spec: c, File: "environment.yml", Line: i + 1})
	}
	return s
}

func (e *engine) Resolve(ctx context.Context, ask enginetest.Ask) (enginetest.Plan, error) {
	// What was chosen for the same lines before is not asked for: that is GC's doing.
	old, err := filepath.Glob(filepath.Join(e.s.root, "store/resolved/*"))
	for _, f := range old {
		err = errors.Join(err, os.Remove(f))
	}
	if m, ok := ask.Locked.Private.(Manifest); ok {
		made, mErr := e.b.Build(ctx, e.specs[m.ID()], m, progress.Discard)
		err = errors.Join(err, mErr, e.s.Flip(Current, made.Generation))
	} else {
		err = errors.Join(err, os.RemoveAll(filepath.Join(e.s.root, "label")))
	}
	if err != nil {
		return enginetest.Plan{}, err
	}
	s := e.spec(ask)
	m, _, err := e.b.Resolve(ctx, s, ResolveOptions{Offline: ask.Offline}, progress.Discard)
	if err != nil {
		return enginetest.Plan{}, e.failure(err, ask)
	}
	e.specs[m.ID()] = s
	p := enginetest.Plan{Bytes: m.Canonical(), Private: m}
	for _, x := range m.Packages {
		p.Packages = append(p.Packages, enginetest.Package{Conda: x.Kind == Conda, Name: x.Name, Version: x.Version})
	}
	return p, nil
}

func (e *engine) Install(ctx context.Context, p enginetest.Plan) (string, error) {
	m := p.Private.(Manifest)
	s := e.specs[m.ID()]
	made, err := e.b.Build(ctx, s, m, progress.Discard)
	if err == nil && !made.New {
		made, err = e.b.Rebuild(ctx, s, m, progress.Discard)
	}
	if err != nil {
		return "", e.failure(err, enginetest.Ask{})
	}
	return filepath.Join(e.w.Root, made.Generation.Path()), nil
}

// kinds says of what kind a notice of the package is.
var kinds = map[string]enginetest.Kind{
	"environment-no-such-package": enginetest.Missing, "environment-no-such-version": enginetest.Missing, "environment-no-such-python": enginetest.Missing,
	"environment-no-such-channel": enginetest.Missing, "environment-withdrawn": enginetest.Missing, "environment-certificate": enginetest.Network,
	"environment-pip-over-conda": enginetest.Conflict, "environment-unfit": enginetest.Other,
	"environment-conflict": enginetest.Conflict, "environment-python-version": enginetest.Conflict, "environment-no-wheel": enginetest.NoWheel,
	"environment-network": enginetest.Network, "environment-index": enginetest.Network, "environment-not-stored": enginetest.Network,
	"environment-hash": enginetest.Hash, "environment-disk-full": enginetest.Disk, "disk-low": enginetest.Disk,
}

func (e *engine) failure(err error, ask enginetest.Ask) error {
	l := notice.For(err)
	if len(l) == 0 {
		return err
	}
	f := &enginetest.Failure{Kind: kinds[l[0].Code], Err: fmt.Errorf("%w (%s)", err, l[0].Code)}
	for _, n := range l {
		for i, line := range ask.Pip {
			if n.File == "requirements.txt" && n.Line == i+1 || strings.Contains(n.What, normalise(pinName(line))) {
				f.Names = append(f.Names, line)
			}
		}
		for i, line := range ask.Conda {
			if n.File == "environment.yml" && n.Line == i+1 || strings.Contains(n.What, strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune("=<> ", r) })[0]) {
				f.Names = append(f.Names, line)
			}
		}
		f.Names = append(f.Names, strings.Fields(n.What)...)
	}
	return f
}

func TestEnginePip(t *testing.T) { enginetest.Pip(t, newEngine) }

// The room is measured before, so the disk only fills where somebody else fills it.
func TestEngineFullDisk(t *testing.T) {
	full := func(t *testing.T, w *enginetest.World) enginetest.Engine {
		e := newEngine(t, w).(*engine)
		e.s.free = func() (uint64, error) { return 1 << 40, nil }
		return e
	}
	t.Run("pip", func(t *testing.T) { enginetest.FullDisk(t, full, enginetest.Ask{Pip: []string{"large"}}, 6<<20) })
	t.Run("conda", func(t *testing.T) { enginetest.FullDisk(t, full, enginetest.Ask{Conda: []string{"data"}}, 40<<20) })
}

func TestEngineConda(t *testing.T) { enginetest.Conda(t, newEngine) }

func TestEngineMixed(t *testing.T) { enginetest.Mixed(t, newEngine) }
