package wheeltest

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
)

// Wheel is a pure-Python wheel to be made.
type Wheel struct {
	Name, Version  string
	Requires       []string               // lines of Requires-Dist
	RequiresPython string                 // such as ">=3.9"
	Modules        map[string]string      // file name -> source; nil makes NAME.py with __version__
	Modes          map[string]fs.FileMode // of files that are not 0644, such as programs below NAME-VERSION.data/scripts
	EntryPoints    map[string][]string    // group -> lines: "console_scripts": {"say = one:main"}
	Tag            string                 // "" is py3-none-any; cp313-cp313-win_amd64 is for one platform only
	Files          int                    // so many small files more, below NAME_data
	Bulk           int                    // so many bytes more, in one file that cannot be compressed

	BrokenHash   bool // the index announces another hash
	BrokenRecord bool // RECORD announces another hash of every file
	Yanked       bool
}

// Normalised is a name as PEP 503 compares it: My.Pack_age is my-pack-age.
func Normalised(name string) string {
	return strings.ToLower(regexp.MustCompile(`[-_.]+`).ReplaceAllString(name, "-"))
}

// module is the name as file names of wheels and modules have it.
func module(name string) string { return strings.ReplaceAll(Normalised(name), "-", "_") }

// Project is the normalised name.
func (w Wheel) Project() string { return Normalised(w.Name) }

func (w Wheel) tag() string {
	if w.Tag == "" {
		return "py3-none-any"
	}
	return w.Tag
}

// File is the wheel's file name.
func (w Wheel) File() string { return fmt.Sprintf("%s-%s-%s.whl", module(w.Name), w.Version, w.tag()) }

func metadata(name, version, python string, requires []string) string {
	meta := fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", name, version)
	if python != "" {
		meta += "Requires-Python: " + python + "\n"
	}
	for _, r := range requires {
		meta += "Requires-Dist: " + r + "\n"
	}
	return meta
}

// content is every file but RECORD.
func (w Wheel) content(info string) map[string]string {
	name := module(w.Name)
	all := map[string]string{name + ".py": fmt.Sprintf("__version__ = %q\n", w.Version)}
	if w.Modules != nil {
		all = maps.Clone(w.Modules)
	}
	for i := range w.Files {
		all[fmt.Sprintf("%s_data/part_%02d/f%05d.txt", name, i/100, i)] = fmt.Sprintf("%s %d\n", name, i)
	}
	if w.Bulk > 0 {
		noise := make([]byte, w.Bulk)
		_, _ = rand.NewChaCha8([32]byte{}).Read(noise) // the same noise every time
		all[name+"_data/bulk.bin"] = string(noise)
	}
	if len(w.EntryPoints) > 0 {
		text := ""
		for _, group := range slices.Sorted(maps.Keys(w.EntryPoints)) {
			text += "[" + group + "]\n" + strings.Join(w.EntryPoints[group], "\n") + "\n"
		}
		all[info+"entry_points.txt"] = text
	}
	all[info+"METADATA"] = metadata(w.Name, w.Version, w.RequiresPython, w.Requires)
	all[info+"WHEEL"] = fmt.Sprintf("Wheel-Version: 1.0\nGenerator: wheeltest\nRoot-Is-Purelib: true\nTag: %s\n", w.tag())
	return all
}

// Bytes is the wheel, the same every time. The format is that of the binary
// distribution specification at packaging.python.org.
func (w Wheel) Bytes() []byte {
	info := fmt.Sprintf("%s-%s.dist-info/", module(w.Name), w.Version)
	all := w.content(info)
	names := slices.Sorted(maps.Keys(all))
	record := ""
	for _, n := range names {
		h := sha256.Sum256([]byte(all[n]))
		if w.BrokenRecord {
			h = [32]byte{}
		}
		record += fmt.Sprintf("%s,sha256=%s,%d\n", n, base64.RawURLEncoding.EncodeToString(h[:]), len(all[n]))
	}
	all[info+"RECORD"] = record + info + "RECORD,,\n"
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, n := range append(names, info+"RECORD") {
		h := &zip.FileHeader{Name: n, Method: zip.Deflate}
		if strings.HasSuffix(n, "/bulk.bin") {
			h.Method = zip.Store
		}
		mode := w.Modes[n]
		if mode == 0 {
			mode = 0o644
		}
		h.SetMode(mode)
		f, err := z.CreateHeader(h)
		if err == nil {
			_, err = f.Write([]byte(all[n]))
		}
		if err != nil {
			panic(err) // a bytes.Buffer does not fail
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// SHA256 is the hash of Bytes, hex.
func (w Wheel) SHA256() string { return sum(w.Bytes()) }

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// listed is how the index announces the wheel.
func (w Wheel) listed() map[string]any {
	hash := w.SHA256()
	if w.BrokenHash {
		hash = strings.Repeat("0", 64)
	}
	return map[string]any{
		"filename": w.File(), "url": "/files/" + w.File(), "hashes": map[string]string{"sha256": hash},
		"requires-python": w.RequiresPython, "yanked": w.Yanked,
	}
}
