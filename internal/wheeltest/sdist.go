package wheeltest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"time"
)

// Sdist is a package that exists as source only. It builds into a wheel with one module,
// without anything from a network: its build backend lies inside it and needs only the
// standard library (PEP 517 with backend-path).
type Sdist struct {
	Name, Version string
	Requires      []string
	Fails         bool     // the build ends with an error
	Tools         []string // what it has to be built with
	Backend       string   // statements at the end of its build backend, the module tiny_backend
}

// Project is the normalised name.
func (s Sdist) Project() string { return Normalised(s.Name) }

// File is the file name.
func (s Sdist) File() string { return fmt.Sprintf("%s-%s.tar.gz", module(s.Name), s.Version) }

// Bytes is the archive, the same every time.
func (s Sdist) Bytes() []byte {
	top := fmt.Sprintf("%s-%s/", module(s.Name), s.Version)
	meta := metadata(s.Name, s.Version, "", s.Requires)
	var tools []string
	for _, t := range s.Tools {
		tools = append(tools, fmt.Sprintf("%q", t))
	}
	project := "[build-system]\nrequires = [" + strings.Join(tools, ", ") + "]\nbuild-backend = \"tiny_backend\"\nbackend-path = [\".\"]\n\n" +
		fmt.Sprintf("[project]\nname = %q\nversion = %q\n", s.Name, s.Version)
	if len(s.Requires) > 0 {
		project += fmt.Sprintf("dependencies = [%q]\n", s.Requires[0])
		for _, r := range s.Requires[1:] {
			project = project[:len(project)-2] + fmt.Sprintf(", %q]\n", r)
		}
	}
	module := module(s.Name)
	backend := fmt.Sprintf(backend, module, s.Version, meta)
	if s.Fails {
		backend += "\ndef build_wheel(*_):\n    raise SystemExit(\"error: cannot find -lnothing\")\n"
	}
	backend += s.Backend
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, f := range [][2]string{{"PKG-INFO", meta}, {module + ".py", fmt.Sprintf("__version__ = %q\n", s.Version)}, {"pyproject.toml", project}, {"tiny_backend.py", backend}} {
		h := &tar.Header{Name: top + f[0], Mode: 0o644, Size: int64(len(f[1])), ModTime: time.Unix(1700000000, 0), Typeflag: tar.TypeReg}
		if err := w.WriteHeader(h); err != nil {
			panic(err) // a bytes.Buffer does not fail
		}
		if _, err := w.Write([]byte(f[1])); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func (s Sdist) listed() map[string]any {
	return map[string]any{"filename": s.File(), "url": "/files/" + s.File(), "hashes": map[string]string{"sha256": sum(s.Bytes())}}
}

// backend is a build backend: module, version and metadata are filled in.
const backend = `import os, zipfile

NAME, VERSION, META = %q, %q, %q


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    info = "%%s-%%s.dist-info/" %% (NAME, VERSION)
    files = {NAME + ".py": open(NAME + ".py").read(), info + "METADATA": META}
    files[info + "WHEEL"] = "Wheel-Version: 1.0\nGenerator: tiny\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[info + "RECORD"] = "".join(n + ",,\n" for n in [*files, info + "RECORD"])
    name = "%%s-%%s-py3-none-any.whl" %% (NAME, VERSION)
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as z:
        for n, text in files.items():
            z.writestr(zipfile.ZipInfo(n, (2023, 11, 14, 0, 0, 0)), text)
    return name
`
