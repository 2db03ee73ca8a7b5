package environments

import (
	"bytes"
	"context"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Missing gives the packages of m whose archives are not in the store, in the manifest's
// order: what a generation of m would have to download. It starts no container.
func (b *Builder) Missing(ctx context.Context, m Manifest) ([]Package, error) {
	lab, err := parseLock(b.c.LabLock)
	if err != nil {
		return nil, err
	}
	var out []Package
	for _, p := range slices.Concat(m.of(Conda), m.of(Pip)) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		inImage := slices.ContainsFunc(lab, func(q Package) bool { return q.Name == p.Name && q.String() == p.String() })
		have := inImage
		if !have {
			if have, err = b.c.Store.holds(p); err != nil {
				return nil, err
			}
		}
		if !have {
			out = append(out, p)
		}
	}
	return out, nil
}

// holds tells whether the archive of a package is in the store.
func (s *Store) holds(p Package) (bool, error) {
	if rel, ok := strings.CutPrefix(p.URL, "file://"+s.mount+"/"); ok {
		_, err := os.Stat(filepath.Join(s.root, rel))
		return err == nil, ignore(err)
	}
	if p.Kind == Conda {
		return s.holdsConda(p)
	}
	// uv keeps wheels-V/INDEX/NAME/VERSION-TAGS.http, which names the file's hash, and
	// beside it a link of the same name to the unpacked files.
	for _, index := range []string{"pypi", "index/*", "url/*"} {
		notes, err := filepath.Glob(filepath.Join(s.root, "store/uv/wheels-v*", index, p.Name, "*.http"))
		if err != nil {
			return false, err
		}
		for _, note := range notes {
			if s.unpacked(note, p.Hashes) {
				return true, nil
			}
		}
	}
	return false, nil
}

// unpacked tells whether uv has unpacked a file of one of the hashes.
func (s *Store) unpacked(note string, hashes []string) bool {
	if fi, err := os.Stat(strings.TrimSuffix(note, ".http")); err != nil || !fi.IsDir() {
		return false
	}
	text, err := readSmall(note)
	return err == nil && slices.ContainsFunc(hashes, func(h string) bool {
		_, hex, _ := strings.Cut(h, ":")
		return bytes.Contains(text, []byte(hex))
	})
}

// holdsConda tells whether a package of conda is there, from the archive that p names:
// unpacked, which the 32 last bytes of STEM.lock say, or as the archive itself. See
// build/condastore.py.
func (s *Store) holdsConda(p Package) (bool, error) {
	store := filepath.Join(s.root, "store/conda")
	for _, h := range p.Hashes {
		sum := strings.TrimPrefix(h, "sha256:")
		mark, err := readSmall(filepath.Join(store, "pkgs", p.Name+"-"+p.Version+"-"+p.Build+".lock"))
		if ignore(err) != nil {
			return false, err
		}
		if len(mark) == 40 && hex.EncodeToString(mark[8:]) == sum {
			return true, nil
		}
		if kept, err := filepath.Glob(filepath.Join(store, "archives", sum+".*")); len(kept) > 0 || err != nil {
			return err == nil, err
		}
	}
	return false, nil
}
