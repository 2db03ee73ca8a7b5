package environments

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// hotPth is the start-up file of a generation that puts its hot directory on the search
// path, behind everything else.
const hotPth = "conjured_hot.pth"

// maxHeated is how many generations back running kernels get what is new.
const maxHeated = 8

// Heated says which running kernels can import what now.
type Heated struct {
	Generations []int    // older ones, the newest first
	Packages    []string // distributions
}

// Heat gives the running kernels of older generations what a generation adds to them,
// when it is they and something beside them: the files are linked into the directories
// that these kernels have at the end of their search path. Whatever replaces, removes or
// plugs in gets no further than the next kernel, and Heated is empty.
//
// Call it when current has come to point at the generation.
func (s *Store) Heat(to Generation) (Heated, error) {
	var out Heated
	var added []string
	for g := to; g.Alone && g.Parent > 0 && g.Parent < g.Number && len(out.Generations) < maxHeated; {
		p, err := s.Generation(to.Env, g.Parent)
		if errors.Is(err, ErrNoGeneration) || p.Image != to.Image || p.Manifest.Python != to.Manifest.Python {
			break
		}
		if err != nil {
			return out, err
		}
		added = append(added, g.New...)
		ok, err := s.heat(p, to, added)
		if err != nil {
			return out, fmt.Errorf("cannot add packages for running kernels of %s %d: %w", p.Env, p.Number, err)
		}
		if !ok {
			break
		}
		out.Generations = append(out.Generations, p.Number)
		g = p
	}
	if len(out.Generations) > 0 {
		out.Packages = slices.Clone(to.New)
	}
	return out, nil
}

// heat links distributions of to for the kernels of an older generation. False, and
// nothing done, when one of them is more than files beside the others.
func (s *Store) heat(old, to Generation, dists []string) (bool, error) {
	hot := filepath.Join(s.root, hotPath(old.Env, old.Number))
	site := filepath.Join(s.root, old.Path(), packagesOf(old))
	if fi, err := os.Lstat(hot); err != nil || !fi.IsDir() || !exists(filepath.Join(site, hotPth)) {
		return false, nil // it was made before there were hot directories
	}
	from := filepath.Join(s.root, to.Path(), packagesOf(to))
	files, ok, err := distFiles(from, hot, to.Manifest, dists)
	if err != nil || !ok {
		return false, err
	}
	tops, ok := additions(files, hot, site)
	if !ok {
		return false, nil
	}
	stage := filepath.Join(filepath.Dir(hot), ".stage")
	if err := os.RemoveAll(stage); err != nil {
		return false, err
	}
	defer os.RemoveAll(stage)
	for _, f := range files {
		if err := mkdir(filepath.Dir(filepath.Join(stage, f)), 0o755); err != nil {
			return false, err
		}
		if err := os.Link(filepath.Join(from, f), filepath.Join(stage, f)); err != nil {
			return false, err
		}
	}
	for _, t := range tops {
		if err := os.Rename(filepath.Join(stage, t), filepath.Join(hot, t)); err != nil {
			return false, err
		}
	}
	return true, touch(hot, len(tops) > 0)
}

// distFiles lists the files of distributions, relative to the directory of packages,
// with their bytecode, but for those that were added before. False when one is no plain
// addition: conda's packages, start-up files, plug-ins, and files elsewhere. Programs are
// left out: nobody imports them.
func distFiles(site, hot string, m Manifest, dists []string) ([]string, bool, error) {
	root, err := os.OpenRoot(site)
	if err != nil {
		return nil, false, err
	}
	defer root.Close()
	infos, err := fs.Glob(root.FS(), "*.dist-info")
	if err != nil {
		return nil, false, err
	}
	tag := ".cpython-" + strings.ReplaceAll(m.Python, ".", "") + ".pyc"
	byName := map[string]string{}
	for _, i := range infos {
		name, _, _ := strings.Cut(strings.TrimSuffix(i, ".dist-info"), "-")
		byName[normalise(name)] = i
	}
	var files []string
	for _, d := range slices.Compact(slices.Sorted(slices.Values(dists))) {
		info, known := byName[d]
		pip := slices.ContainsFunc(m.Packages, func(p Package) bool { return p.Name == d && p.Kind == Pip })
		if !known || !pip || plugsIn(readBeneath(root, info+"/entry_points.txt")) {
			return nil, false, nil
		}
		if exists(filepath.Join(hot, info)) {
			continue
		}
		listed, ok := recorded(root, info, tag)
		if !ok {
			return nil, false, nil
		}
		files = append(files, listed...)
	}
	slices.Sort(files)
	return slices.Compact(files), true, nil
}

// recorded reads a distribution's RECORD and adds the bytecode that lies beside it, see
// https://packaging.python.org/en/latest/specifications/recording-installed-packages/.
// A module of its own goes without: its bytecode shares a directory with that of others.
func recorded(root *os.Root, info, tag string) ([]string, bool) {
	fi, err := root.Stat(info + "/RECORD")
	if err != nil || !fi.Mode().IsRegular() || fi.Size() > maxManifest {
		return nil, false
	}
	data, err := root.ReadFile(info + "/RECORD")
	if err != nil {
		return nil, false
	}
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, false
	}
	var out []string
	for _, row := range rows {
		f := path.Clean(row[0])
		switch {
		case strings.HasPrefix(f, "../../../bin/"), top(f) == "__pycache__":
			continue
		case !filepath.IsLocal(f), strings.HasSuffix(f, ".pth"):
			return nil, false
		}
		fi, err := root.Lstat(f)
		if err != nil || !fi.Mode().IsRegular() {
			return nil, false
		}
		out = append(out, f)
		if dir, name := path.Split(f); dir != "" && strings.HasSuffix(name, ".py") {
			cached := path.Join(dir, "__pycache__", strings.TrimSuffix(name, ".py")+tag)
			if fi, err := root.Lstat(cached); err == nil && fi.Mode().IsRegular() {
				out = append(out, cached)
			}
		}
	}
	return out, true
}

// plugsIn tells whether entry points are more than programs.
func plugsIn(entryPoints []byte) bool {
	for line := range strings.Lines(string(entryPoints)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") && line != "[console_scripts]" && line != "[gui_scripts]" {
			return true
		}
	}
	return false
}

// additions gives the first parts of files, the distributions' own directories last: who
// finds one of those finds the rest. False when something of such a name is there
// already, in the hot directory or among the old packages.
func additions(files []string, hot, site string) ([]string, bool) {
	taken := map[string]bool{} // names that can be imported, or distributions
	for _, dir := range []string{hot, site} {
		es, err := os.ReadDir(dir)
		if err != nil {
			return nil, false
		}
		for _, e := range es {
			taken[stem(e.Name())] = true
		}
	}
	var code, info []string
	for _, f := range files {
		t := top(f)
		switch {
		case taken[stem(t)]:
			return nil, false
		case strings.HasSuffix(t, ".dist-info"):
			info = append(info, t)
		default:
			code = append(code, t)
		}
	}
	return append(slices.Compact(slices.Sorted(slices.Values(code))), slices.Compact(slices.Sorted(slices.Values(info)))...), true
}

// top is the first part of a path.
func top(f string) string {
	first, _, _ := strings.Cut(f, "/")
	return first
}

// stem is what is imported by a name in the directory of packages; a distribution's own
// directory, with its version, stands for itself.
func stem(name string) string {
	if strings.HasSuffix(name, ".dist-info") {
		return name
	}
	s, _, _ := strings.Cut(name, ".")
	return s
}

// cool empties the hot directory of a generation that becomes current again: its new
// kernels have what its manifest says, and nothing that was added since.
func (s *Store) cool(env Name, number int) error {
	hot := filepath.Join(s.root, hotPath(env, number))
	es, err := os.ReadDir(hot)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range es {
		err = errors.Join(err, os.RemoveAll(filepath.Join(hot, e.Name())))
	}
	return errors.Join(err, touch(hot, len(es) > 0))
}

// touch has running kernels read the directory again: they do when its time is another
// one, and two changes within a tick of the clock would have the same.
func touch(dir string, changed bool) error {
	if !changed {
		return nil
	}
	now := time.Now()
	return os.Chtimes(dir, now, now)
}

// packagesOf is a generation's directory of packages.
func packagesOf(g Generation) string {
	v := strings.SplitN(g.Manifest.Python, ".", 3)
	return filepath.Join("lib", "python"+strings.Join(v[:min(2, len(v))], "."), "site-packages")
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
