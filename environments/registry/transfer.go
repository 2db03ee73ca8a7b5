package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/conjuring/conjured/environments"
)

// withImported adds the environments that were imported and that ws does not have.
func (r *Registry) withImported(ctx context.Context, ws []Wanted) ([]Wanted, error) {
	names, err := r.c.Store.Environments()
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(n environments.Name) bool {
		return !r.c.Store.Imported(n) || slices.ContainsFunc(ws, func(w Wanted) bool { return w.Env == n })
	})
	if len(names) == 0 {
		return ws, nil
	}
	done, err := r.changing.take(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	out := slices.Clone(ws)
	for _, n := range names {
		s, err := r.readSpec(ctx, n)
		if err != nil {
			r.c.Log.Warn("cannot read what an imported environment asks for", "env", n, "error", err)
			continue
		}
		files, err := r.history.Spec(ctx, string(n))
		if err == nil {
			out = append(out, Wanted{Spec: s, History: files, imported: true})
		}
	}
	return out, nil
}

// exactly is spec with nothing but the packages of a list of the old tool, one
// "CHANNEL/SUBDIR\tNAME-VERSION-BUILD" a line (conda_gitenv/deploy.py).
func exactly(spec environments.Spec, list []byte) (environments.Spec, error) {
	out := spec
	out.Channels, out.Conda, out.Requirements, out.Wheels = nil, nil, nil, nil
	n := 0
	for line := range strings.Lines(string(list)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		place, pkg, ok := strings.Cut(line, "\t")
		channel, _, ok2 := cutLast(place, "/")
		rest, build, ok3 := cutLast(pkg, "-")
		name, version, ok4 := cutLast(rest, "-")
		if !ok || !ok2 || !ok3 || !ok4 || strings.ContainsAny(pkg, " =[]") {
			return out, fmt.Errorf("cannot read line %d of %s: %.80q is no package", n, envManifest, line)
		}
		if !slices.Contains(out.Channels, channel) {
			out.Channels = append(out.Channels, channel)
		}
		out.Conda = append(out.Conda, environments.CondaRequirement{Spec: name + "=" + version + "=" + build, File: envManifest, Line: n})
	}
	return out, nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 1 || i == len(s)-1 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
