package environments

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Damage is one package of a generation whose files are not as they were installed.
type Damage struct {
	Package string   // as the package spells its name
	Missing []string // relative to the generation
	Changed []string // likewise: another content. Every copy that shares the file has it too
}

// maxRecord bounds a list of a package's files, in bytes.
const maxRecord = 64 << 20

// Damage compares every file of a complete generation with the hash that its package
// says it has: RECORD of a distribution (the PyPA's "Recording installed projects"), and
// conda-meta. It executes nothing, takes about a second for a gigabyte that is in
// memory, and gives nothing for a generation that is whole. A list of files that cannot
// be read is a file that changed.
func (s *Store) Damage(ctx context.Context, g Generation) ([]Damage, error) {
	root, err := os.OpenRoot(filepath.Join(s.root, g.Path()))
	if err != nil {
		return nil, fmt.Errorf("cannot look at %s %d: %w", g.Env, g.Number, err)
	}
	defer root.Close()
	var out []Damage
	for _, form := range []struct {
		glob string
		read func(name string, data []byte) (listing, error)
	}{
		{"lib/python*/site-packages/*.dist-info/RECORD", readRecord},
		{"conda-meta/*.json", readCondaMeta},
	} {
		lists, err := fs.Glob(root.FS(), form.glob)
		if err != nil {
			return nil, err
		}
		for _, name := range lists {
			if !g.owns(name) {
				continue
			}
			d, err := inspect(ctx, root, name, form.read)
			if err != nil {
				return nil, err
			}
			if len(d.Missing)+len(d.Changed) > 0 {
				out = append(out, d)
			}
		}
	}
	return append(out, unlisted(g, root)...), nil
}

// listing is what a package says of its files: their hashes, hex or as in RECORD.
type listing struct {
	name  string
	files map[string]string // relative to the generation
}

func inspect(ctx context.Context, root *os.Root, list string, read func(string, []byte) (listing, error)) (Damage, error) {
	named, _, _ := strings.Cut(path.Base(path.Dir(list)), "-")
	data, err := readWhole(root, list, maxRecord)
	var l listing
	if err == nil {
		l, err = read(list, data)
	}
	if err != nil {
		return Damage{Package: named, Changed: []string{list}}, ctx.Err()
	}
	d := Damage{Package: l.name}
	for file, want := range l.files {
		if err := ctx.Err(); err != nil {
			return d, err
		}
		switch got, err := hashOf(root, file); {
		case errors.Is(err, fs.ErrNotExist):
			d.Missing = append(d.Missing, file)
		case err != nil, want != hex.EncodeToString(got) && want != base64.RawURLEncoding.EncodeToString(got):
			d.Changed = append(d.Changed, file)
		}
	}
	slices.Sort(d.Missing)
	slices.Sort(d.Changed)
	return d, nil
}

// owns tells whether a list of files is the one that counts. Packages of conda have a
// RECORD too, which is not kept up to date when they are put into a prefix.
func (g Generation) owns(list string) bool {
	if !strings.HasSuffix(list, "/RECORD") || len(g.Manifest.of(Conda)) == 0 {
		return true
	}
	name, _, _ := strings.Cut(path.Base(path.Dir(list)), "-")
	return slices.ContainsFunc(g.Manifest.of(Pip), func(p Package) bool { return normalise(p.Name) == normalise(name) })
}

func readRecord(name string, data []byte) (listing, error) {
	info := path.Dir(name)
	l := listing{files: map[string]string{}}
	l.name, _, _ = strings.Cut(path.Base(info), "-")
	r := csv.NewReader(strings.NewReader(string(data)))
	r.FieldsPerRecord = 3
	rows, err := r.ReadAll()
	for _, row := range rows {
		if hash, ok := strings.CutPrefix(row[1], "sha256="); ok {
			l.files[path.Join(path.Dir(info), row[0])] = hash
		}
	}
	if err == nil && len(l.files) == 0 {
		err = errors.New("it lists nothing")
	}
	return l, err
}

func readCondaMeta(_ string, data []byte) (listing, error) {
	var meta struct {
		Name  string `json:"name"`
		Paths struct {
			Paths []struct {
				Path     string `json:"_path"`
				Type     string `json:"path_type"`
				SHA256   string `json:"sha256"`
				InPrefix string `json:"sha256_in_prefix"`
			} `json:"paths"`
		} `json:"paths_data"`
	}
	l := listing{files: map[string]string{}}
	if err := json.Unmarshal(data, &meta); err != nil {
		return l, err
	}
	l.name = meta.Name
	for _, p := range meta.Paths.Paths {
		if hash := p.InPrefix; p.Type == "hardlink" {
			if hash == "" {
				hash = p.SHA256
			}
			if hash != "" {
				l.files[path.Clean(p.Path)] = hash
			}
		}
	}
	return l, nil
}

// unlisted gives the packages of the manifest of which nothing is left at all.
func unlisted(g Generation, root *os.Root) []Damage {
	have := map[string]bool{}
	lists, _ := fs.Glob(root.FS(), "lib/python*/site-packages/*.dist-info")
	for _, dir := range lists {
		name, _, _ := strings.Cut(path.Base(dir), "-")
		have[normalise(name)] = true
	}
	var out []Damage
	for _, p := range g.Manifest.of(Pip) {
		if !have[normalise(p.Name)] {
			out = append(out, Damage{Package: p.Name, Missing: []string{p.Name}})
		}
	}
	return out
}

// hashOf reads a regular file to its end; one that is none, or lies outside, is an error.
func hashOf(root *os.Root, name string) ([]byte, error) {
	f, err := openRegular(root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}

func readWhole(root *os.Root, name string, limit int64) ([]byte, error) {
	f, err := openRegular(root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return data, err
}

// openRegular opens what is a file, and waits for nothing that is something else.
func openRegular(root *os.Root, name string) (*os.File, error) {
	fi, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", name)
	}
	return root.Open(name)
}
