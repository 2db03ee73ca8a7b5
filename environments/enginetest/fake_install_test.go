package enginetest

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/conjuring/conjured/internal/condatest"
	"github.com/klauspost/compress/zstd"
)

// requires reads a wheel's dependencies. The wheel itself is not kept.
func (f *fake) requires(ctx context.Context, c candidate, offline bool) ([]need, error) {
	b, err := f.get(ctx, c.URL, offline, false)
	if err != nil {
		return nil, err
	}
	files, err := unzip(b)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, x := range files {
		if strings.HasSuffix(x.Path, ".dist-info/METADATA") {
			for l := range strings.Lines(string(x.Data)) {
				if rest, ok := strings.CutPrefix(l, "Requires-Dist: "); ok {
					lines = append(lines, strings.TrimSpace(rest))
				}
			}
		}
	}
	return normal(lines), nil
}

func unzip(b []byte) ([]condatest.File, error) {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	var out []condatest.File
	for _, m := range z.File {
		r, err := m.Open()
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		out = append(out, condatest.File{Path: m.Name, Data: data, Mode: m.Mode()})
	}
	return out, nil
}

func untar(r io.Reader) ([]condatest.File, error) {
	var out []condatest.File
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(t)
		if err != nil {
			return nil, err
		}
		out = append(out, condatest.File{Path: h.Name, Data: data, Mode: fs.FileMode(h.Mode) & fs.ModePerm, Link: h.Linkname})
	}
}

// unpack gives a package as condatest would have been told to make it.
func (c candidate) unpack(b []byte) (condatest.Package, error) {
	p := condatest.Package{Name: c.Name, Version: c.Version}
	if !c.Conda {
		files, err := unzip(b)
		for _, x := range files {
			if strings.HasSuffix(x.Path, "/entry_points.txt") {
				p.EntryPoints = strings.Split(strings.TrimSpace(strings.TrimPrefix(string(x.Data), "[console_scripts]\n")), "\n")
			}
			x.Path = "site-packages/" + x.Path
			p.Files = append(p.Files, x)
			if strings.HasSuffix(x.Path, ".py") { // no compiler here: a stand-in
				name := strings.TrimSuffix(filepath.Base(x.Path), ".py")
				p.Files = append(p.Files, condatest.File{Path: filepath.Join(filepath.Dir(x.Path), "__pycache__", name+".fake.pyc"), Data: []byte("no bytecode")})
			}
		}
		p.Noarch = "python"
		return p, err
	}
	all, err := condaFiles(b)
	if err != nil {
		return p, err
	}
	for _, x := range all {
		if x.Path == "info/link.json" {
			var link struct {
				Noarch struct {
					EntryPoints []string `json:"entry_points"`
				}
			}
			if err := json.Unmarshal(x.Data, &link); err != nil {
				return p, err
			}
			p.EntryPoints, p.Noarch = link.Noarch.EntryPoints, "python"
		}
		if !strings.HasPrefix(x.Path, "info/") {
			p.Files = append(p.Files, x)
		}
	}
	return p, nil
}

func condaFiles(b []byte) ([]condatest.File, error) {
	if bytes.HasPrefix(b, []byte("BZh")) {
		return untar(bzip2.NewReader(bytes.NewReader(b)))
	}
	parts, err := unzip(b)
	var out []condatest.File
	for _, part := range parts {
		if !strings.HasSuffix(part.Path, ".tar.zst") {
			continue
		}
		z, err := zstd.NewReader(bytes.NewReader(part.Data))
		if err != nil {
			return nil, err
		}
		files, err := untar(z)
		z.Close()
		if err != nil {
			return nil, err
		}
		out = append(out, files...)
	}
	return out, err
}

// archive gives a file of a plan, from what is kept or from the network.
func (f *fake) archive(ctx context.Context, c candidate) ([]byte, error) {
	good := func(b []byte) bool {
		h := sha256.Sum256(b)
		return hex.EncodeToString(h[:]) == c.SHA256
	}
	if b, err := f.get(ctx, c.URL, true, false); err == nil && good(b) {
		return b, nil
	}
	b, err := f.get(ctx, c.URL, false, false)
	if err != nil {
		return nil, err
	}
	if !good(b) {
		return nil, fail(Hash, errors.New("not the file that was announced"), c.Name)
	}
	return f.get(ctx, c.URL, false, true)
}

func (f *fake) Install(ctx context.Context, p Plan) (prefix string, err error) {
	f.n++
	prefix = filepath.Join(f.w.Root, "gen", fmt.Sprint(f.n))
	defer func() {
		if err != nil {
			os.RemoveAll(prefix)
			prefix, err = "", disk(err)
		}
	}()
	if err := f.interpreter(prefix, p); err != nil {
		return prefix, err
	}
	version := p.Version("python")
	if version == "" {
		version = f.version
	}
	short := version[:strings.LastIndexByte(version, '.')]
	for _, c := range p.Private.([]candidate) {
		b, err := f.archive(ctx, c)
		if err != nil {
			return prefix, err
		}
		made, err := c.unpack(b)
		if err != nil {
			return prefix, err
		}
		for _, x := range made.Files {
			if filepath.IsAbs(x.Link) || x.Link != "" && !filepath.IsLocal(filepath.Join(filepath.Dir(x.Path), x.Link)) {
				return prefix, fmt.Errorf("%s: a link out of the prefix", c.Name)
			}
		}
		if err := made.Unpack(prefix, short); err != nil {
			return prefix, err
		}
	}
	return prefix, nil
}

// interpreter makes the prefix of a plan without a Python a virtual environment.
func (f *fake) interpreter(prefix string, p Plan) error {
	if p.Version("python") != "" {
		return os.MkdirAll(prefix, 0o755)
	}
	bin := filepath.Join(prefix, "bin")
	config := "home = " + filepath.Dir(f.python) + "\n"
	return errors.Join(os.MkdirAll(bin, 0o755), os.Symlink(f.python, filepath.Join(bin, "python3")), os.Symlink("python3", filepath.Join(bin, "python"+f.version[:strings.LastIndexByte(f.version, '.')])),
		os.WriteFile(filepath.Join(prefix, "pyvenv.cfg"), []byte(config), 0o644))
}
