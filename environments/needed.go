package environments

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// needed is what the caches have to keep.
type needed struct {
	conda  map[string]bool // name-version-build: how the store names an unpacked package
	hashes map[string]bool // of archives and wheels, hex; store/wheel names directories so
}

// add notes what m is made of. A package of conda without a hash, of the old tool's
// lists, counts by its name alone.
func (n *needed) add(mount string, m Manifest) {
	for _, p := range m.Packages {
		for _, h := range p.Hashes {
			_, hex, _ := strings.Cut(h, ":")
			n.hashes[hex] = true
		}
		if p.Kind == Conda {
			n.conda[p.stem()] = true
		}
		if rest, ok := strings.CutPrefix(p.URL, "file://"+mount+"/store/wheel/"); ok {
			dir, _, _ := strings.Cut(rest, "/")
			n.hashes[dir] = true
		}
	}
}

// hexForm is the part of a note of uv's cache that may be a hash.
var hexForm = regexp.MustCompile(`[0-9a-f]{64,}`)

// named tells whether a note of uv's cache has the hash of something that is needed. ok
// is false when it has no hash at all, as another uv may write it: nobody can tell then.
func (n needed) named(note []byte) (is, ok bool) {
	for _, run := range hexForm.FindAllString(string(note), -1) {
		for _, size := range []int{64, 96, 128} { // sha256, sha384, sha512
			for i := 0; i+size <= len(run); i++ {
				if n.hashes[run[i:i+size]] {
					return true, true
				}
			}
		}
		ok = true
	}
	return false, ok
}

// stem is what the store calls an unpacked package of conda.
func (p Package) stem() string { return p.Name + "-" + p.Version + "-" + p.Build }

// needs reads every manifest that stays. Without ok nobody can tell: the roots are not
// all known, or a generation is damaged or away, and what it was made of is needed to
// make it again, maybe without network.
func (w *sweep) needs() (n needed, ok bool, err error) {
	n = needed{map[string]bool{}, map[string]bool{}}
	if !w.roots.Known {
		return n, false, nil
	}
	for _, m := range w.roots.Manifests {
		n.add(w.s.mount, m)
	}
	names, err := w.s.names()
	if err != nil {
		return n, false, err
	}
	for _, env := range names {
		gs, whole, err := w.s.whole(env)
		if err != nil || !whole {
			return n, false, err
		}
		for _, g := range gs {
			if !w.going[filepath.Join(w.s.root, g.Path())] {
				n.add(w.s.mount, g.Manifest)
			}
		}
	}
	resolved, err := filepath.Glob(filepath.Join(w.s.root, "store/resolved/*.json"))
	for _, path := range resolved {
		var r resolution
		if text, err := readSmall(path); err != nil || json.Unmarshal(text, &r) != nil || w.going[path] {
			continue // nothing can be made of it either
		}
		if m, err := ParseManifest([]byte(r.Text)); err == nil {
			n.add(w.s.mount, m)
		}
	}
	return n, err == nil, err
}

// whole gives the generations of env, and whether all that there should be are complete.
func (s *Store) whole(env Name) ([]Generation, bool, error) {
	gs, err := s.Generations(env)
	if err != nil {
		return nil, false, err
	}
	numbers, err := s.numbers(env)
	if err != nil {
		return nil, false, err
	}
	labels, err := s.Labels(env)
	if err != nil {
		return nil, false, err
	}
	for _, n := range labels {
		if !slices.Contains(numbers, n) {
			return nil, false, nil
		}
	}
	return gs, len(gs) == len(numbers), nil
}
