package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/registry"
	"github.com/conjuring/conjured/notice"
)

// List gives the images as generations.
func (s *systems) List(context.Context) ([]environments.Listed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.read()
	if err != nil || len(st.Images) == 0 {
		return nil, err
	}
	l := environments.Listed{Env: environments.System, Held: st.Held}
	for _, x := range st.Images {
		g := environments.ListedGeneration{
			Number: x.Number, State: environments.Ready, ID: strings.TrimPrefix(x.Image, "sha256:"),
			Python: x.Python, Packages: x.Packages, Built: x.Built,
		}
		for _, label := range slices.Sorted(maps.Keys(st.Labels)) {
			if st.Labels[label] == x.Number {
				g.Labels = append(g.Labels, environments.Label(label))
			}
		}
		l.Generations = append(l.Generations, g)
	}
	return []environments.Listed{l}, nil
}

// refer finds what a label, a number or the beginning of an image's id means.
func (st systemState) refer(ref string) (systemImage, error) {
	if n, ok := st.Labels[ref]; ok {
		if x, ok := st.numbered(n); ok {
			return x, nil
		}
	}
	if n, err := strconv.Atoi(ref); err == nil {
		if x, ok := st.numbered(n); ok {
			return x, nil
		}
	}
	if id := strings.TrimPrefix(ref, "sha256:"); len(id) >= 12 {
		if x, ok := st.find(func(x systemImage) bool { return strings.HasPrefix(strings.TrimPrefix(x.Image, "sha256:"), id) }); ok {
			return x, nil
		}
	}
	return systemImage{}, &notice.Error{Notice: notice.Notice{
		Code: "system-unknown", Severity: notice.SeverityError, What: fmt.Sprintf("there is no system called %.60q", ref),
		Means: "nothing was changed", Do: "look at its labels and numbers with: conjured env show system",
	}}
}

// Label points a label of the teacher's at an image; "" for ref takes it away.
func (s *systems) Label(_ context.Context, label, ref string) (registry.Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := registry.Outcome{Env: string(environments.System), Did: registry.Labelled}
	st, err := s.read()
	if err != nil {
		return o, err
	}
	before := st.Labels[label]
	if ref == "" {
		delete(st.Labels, label)
	} else {
		x, err := st.refer(ref)
		if err != nil {
			return o, err
		}
		st.Labels[label], o.Generation = x.Number, x.Number
	}
	o.Labels = maps.Clone(st.Labels)
	if st.Labels[label] == before {
		o.Did = registry.Unchanged
		return o, nil
	}
	return o, writeJSON(s.file(), st)
}

// Rollback has servers that start from now on use the previous image, or what ref names.
func (s *systems) Rollback(ctx context.Context, ref string) (registry.Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := registry.Outcome{Env: string(environments.System), Did: registry.RolledBack}
	st, err := s.read()
	if err != nil {
		return o, err
	}
	if ref == "" {
		ref = string(environments.Previous)
	}
	x, err := st.refer(ref)
	if err != nil && ref == string(environments.Previous) {
		return o, noOlderSystem()
	}
	if err != nil {
		return o, err
	}
	now, _ := st.labelled(environments.Current)
	o.Generation = x.Number
	if now.Number == x.Number {
		o.Did, o.Labels = registry.Unchanged, maps.Clone(st.Labels)
		return o, nil
	}
	if err := s.fits(x); err != nil {
		return o, err
	}
	o.Sentence = s.sentence(now, x)
	st.use(x)
	st.Held = now.Image
	o.Labels = maps.Clone(st.Labels)
	if err := writeJSON(s.file(), st); err != nil {
		return o, err
	}
	return o, s.b.setClass(ctx, x.Image)
}

// noOlderSystem says that there is only one state to be in.
func noOlderSystem() error {
	return &notice.Error{Notice: notice.Notice{
		Code: "system-no-previous", Severity: notice.SeverityError, What: "the class has had one system only: there is none before it",
		Means: "nothing was changed", Do: "nothing; there is one before it once apt.txt or base.Dockerfile has changed",
	}}
}

// fits refuses an image whose Python is not the one that the class's packages are for.
func (s *systems) fits(x systemImage) error {
	g, err := s.b.store.Current(environments.Base)
	if err != nil || x.Python == "" || hasKind(g.Manifest, environments.Conda) || g.Manifest.Python == x.Python {
		return nil
	}
	return &notice.Error{Notice: notice.Notice{
		Code: "system-python", Severity: notice.SeverityError,
		What:  fmt.Sprintf("that system has Python %s, and the class's packages are for Python %s", x.Python, g.Manifest.Python),
		Means: "the class keeps the system it has",
		Do:    "apply the folder of that time again: system and packages then come together",
	}}
}

// sentence says what changes between two images, for a teacher.
func (s *systems) sentence(from, to systemImage) string {
	var of [2]environments.Manifest
	for i, x := range []systemImage{from, to} {
		text, err := os.ReadFile(filepath.Clean(s.manifest(x.Number)))
		if err != nil {
			return ""
		}
		if of[i], err = environments.ParseAptManifest(text); err != nil {
			return ""
		}
	}
	return environments.Diff(of[0], of[1]).Sentence("the system")
}
