package environments

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// caches removes the packages that no manifest needs.
func (w *sweep) caches(ctx context.Context) error {
	n, ok, err := w.needs()
	if err != nil || !ok {
		return err
	}
	return errors.Join(w.conda(ctx, n), w.archives(ctx, n), w.unpackedWheels(ctx, n))
}

// entries lists a directory of the store; one that is not there is empty.
func (w *sweep) entries(dir string) ([]os.DirEntry, error) {
	es, err := os.ReadDir(filepath.Join(w.s.root, dir))
	return es, ignore(err)
}

// conda removes unpacked packages: the mark STEM.lock before STEM, because a package
// without one is none.
func (w *sweep) conda(ctx context.Context, n needed) error {
	const dir = "store/conda/pkgs"
	es, err := w.entries(dir)
	if err != nil {
		return err
	}
	for _, e := range es {
		stem := strings.TrimSuffix(e.Name(), ".lock")
		path := filepath.Join(w.s.root, dir, stem)
		if stem == ".cache" || n.conda[stem] || w.going[path] { // .cache.lock is rattler's own
			continue
		}
		if err := w.drop(ctx, OldConda, path+".lock", path); err != nil {
			return err
		}
	}
	return nil
}

// young is how long an archive that nothing names yet may lie there: somebody brought it
// for what is to be built, or its fetching is about to be continued.
const young = 30 * 24 * time.Hour

// archives removes those of conda, whole or in part, and wheels of teachers, or made from
// source. Their names begin with their hash. A clock that was wrong keeps them longer.
func (w *sweep) archives(ctx context.Context, n needed) error {
	for _, of := range []struct {
		dir  string
		kind Leftover
	}{{"store/conda/archives", OldConda}, {"store/conda/part", OldConda}, {"store/wheel", OldWheels}} {
		es, err := w.entries(of.dir)
		if err != nil {
			return err
		}
		for _, e := range es {
			hex, _, _ := strings.Cut(e.Name(), ".")
			path := filepath.Join(w.s.root, of.dir, e.Name())
			if n.hashes[hex] || !older(path, young) {
				continue
			}
			if err := w.drop(ctx, of.kind, path); err != nil {
				return err
			}
		}
	}
	return nil
}

// older tells whether nobody has changed path for so long.
func older(path string, than time.Duration) bool {
	fi, err := os.Lstat(path)
	return err == nil && time.Since(fi.ModTime()) > than
}

// rests is where crashes, power cuts and failed removals leave something.
var rests = [...]string{
	"gen/*/.gone-*", "store/uv/.tmp*", "store/uv/*/.tmp*", "store/.exported?*",
	"gen/*/..last*", "store/spec/*/.*", "store/tag/*/.*", "store/pin/*/.*", "store/size/*/.*", "store/inventory/*/.*",
}

// stale is how old scratch of a build is when it is taken for left over. Repair, which
// runs before there is any build, does not wait.
const stale = 24 * time.Hour

// scratch removes what builds, removals and writes left that did not come to their end.
func (w *sweep) scratch(ctx context.Context) error {
	work, err := filepath.Glob(filepath.Join(w.s.root, "store/work/*"))
	if err != nil {
		return err
	}
	var left []string
	for _, path := range work {
		if older(path, stale) {
			left = append(left, path)
		}
	}
	for _, pattern := range rests {
		paths, err := filepath.Glob(filepath.Join(w.s.root, pattern))
		if err != nil {
			return err
		}
		left = append(left, paths...)
	}
	for _, path := range left {
		if err := w.drop(ctx, OldScratch, path); err != nil {
			return err
		}
	}
	return nil
}

// uvFiles are the unpacked files of a wheel in uv's cache, and what names them. uv keeps
// wheels-V/{pypi,index/I,url/U}/NAME/STEM.http (or .rev, of a file of ours), a note with
// the hash of the wheel, and beside it a link STEM to archive-vN/ID. STEM.msgpack, what
// the index says of a wheel, is small and needed to choose versions without network: it
// stays.
type uvFiles struct {
	names []string // notes and links
	links int
	notes int
	kept  bool // a note says so, or cannot be understood
}

// unpackedWheels removes what uv has unpacked of wheels that nothing needs, and files
// that nothing in the cache names any more.
func (w *sweep) unpackedWheels(ctx context.Context, n needed) error {
	all, err := w.uvCache(n)
	if err != nil {
		return err
	}
	for path, f := range all {
		if f.kept || f.links != f.notes { // a link without a note is something else
			continue
		}
		if err := w.drop(ctx, OldIndex, append(f.names, path)...); err != nil {
			return err
		}
	}
	return nil
}

// uvCache reads uv's cache: its unpacked files, by their path.
func (w *sweep) uvCache(n needed) (map[string]*uvFiles, error) {
	root := filepath.Join(w.s.root, "store/uv")
	out := map[string]*uvFiles{}
	archives, err := filepath.Glob(filepath.Join(root, "archive-v*/*"))
	for _, path := range archives {
		out[path] = &uvFiles{}
	}
	if err != nil {
		return nil, err
	}
	return out, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return ignore(err)
		case d.IsDir() && strings.HasPrefix(d.Name(), "archive-v"):
			return filepath.SkipDir
		case d.Type() != fs.ModeSymlink:
			return nil
		}
		to, err := os.Readlink(path)
		if err != nil {
			return ignore(err)
		}
		f := out[filepath.Join(filepath.Dir(path), to)]
		if f == nil {
			return nil // it leads nowhere that we know
		}
		f.links++
		f.names = append(f.names, path)
		for _, end := range []string{".http", ".rev"} {
			text, err := readSmall(path + end)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			needs, known := n.named(text)
			f.kept = f.kept || needs || !known || err != nil
			f.notes++
			f.names = append([]string{path + end}, f.names...) // a note without its files is fetched again
		}
		return nil
	})
}
