package condatest

import (
	"archive/tar"
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"strconv"
	"strings"
	"sync"
)

//go:embed pack.py
var packPython string

// Python gives the python package of a channel: a real interpreter with its standard
// library, packed once in a process.
type Python struct {
	// Image is the Docker image whose /usr/bin/python3 is taken; "" is this machine's
	// python3. The package runs where the same shared libraries are: in that image, on
	// this machine; one of Debian 12 also in Debian 13.
	Image string
	// Depends is what the package asks for; nil is nothing.
	Depends []string
}

// packs is what was packed already in this process: a pure function, remembered.
var packs sync.Map // image -> func() (Package, error)

// Package is the package: python, X.Y.Z, build 0_real. Its archive is made only once; bytecode in it
// is as the interpreter makes it, so its bytes may differ between processes.
func (p Python) Package() (Package, error) {
	once, _ := packs.LoadOrStore(p.Image+"\x00"+strings.Join(p.Depends, "\x00"), sync.OnceValues(p.make))
	return once.(func() (Package, error))()
}

func (p Python) make() (Package, error) {
	date := strconv.FormatInt(packedAt().Unix(), 10)
	cmd := exec.Command("python3", "-I", "-", date)
	if p.Image != "" {
		cmd = exec.Command("docker", "run", "--rm", "--interactive", "--network", "none", "--entrypoint", "/usr/bin/python3", p.Image, "-I", "-", date)
	}
	var complaint strings.Builder
	cmd.Stdin, cmd.Stderr = strings.NewReader(packPython), &complaint
	b, err := cmd.Output()
	if err != nil {
		return Package{}, fmt.Errorf("cannot pack the Python of %q: %w %.500s", p.Image, err, complaint.String())
	}
	out := Package{Name: "python", Build: "0_real", Depends: p.Depends, License: "Python-2.0"}
	if out.Files, err = untar(b); err != nil {
		return Package{}, fmt.Errorf("cannot pack the Python of %q: %w", p.Image, err)
	}
	for i, f := range out.Files {
		if f.Path == "version" {
			out.Version = string(f.Data)
			out.Files = append(out.Files[:i], out.Files[i+1:]...)
			break
		}
	}
	if out.Version == "" {
		return Package{}, errors.New("cannot pack the Python: it did not say its version")
	}
	out.packed = out.pack()
	return out, nil
}

// untar reads files and symbolic links.
func untar(b []byte) ([]File, error) {
	var out []File
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		out = append(out, File{Path: h.Name, Data: data, Mode: fs.FileMode(h.Mode) & fs.ModePerm, Link: h.Linkname})
	}
}
