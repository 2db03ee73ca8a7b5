package condatest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Unpack installs an honest package into a prefix as conda's installers do: the prefix in
// place of the placeholder, noarch python's modules where the Python ("3.13") of the
// prefix looks, and its entry points as programs. It writes no record of that.
func (p Package) Unpack(prefix, python string) error {
	for _, f := range p.files() {
		path := f.Path
		if p.Noarch == "python" {
			path = strings.Replace(path, "site-packages/", "lib/python"+python+"/site-packages/", 1)
			path = strings.Replace(path, "python-scripts/", "bin/", 1)
		}
		if !filepath.IsLocal(path) {
			return fmt.Errorf("cannot unpack %s: it would write to %q", p.Name, f.Path)
		}
		if err := f.write(filepath.Join(prefix, path), prefix); err != nil {
			return fmt.Errorf("cannot unpack %s: %w", p.Name, err)
		}
	}
	for _, line := range p.EntryPoints {
		if err := entryPoint(line, prefix, python).write(filepath.Join(prefix, "bin", strings.TrimSpace(line[:strings.Index(line, "=")])), prefix); err != nil {
			return fmt.Errorf("cannot unpack %s: %w", p.Name, err)
		}
	}
	return nil
}

// entryPoint is the program of a line such as "app = app.cli:main".
func entryPoint(line, prefix, python string) File {
	_, target, _ := strings.Cut(line, "=")
	module, function, _ := strings.Cut(strings.TrimSpace(target), ":")
	return File{Mode: 0o755, Data: fmt.Appendf(nil, "#!%s/bin/python%s\nimport sys\n\nfrom %s import %s\n\nsys.exit(%s())\n", prefix, python, module, function, function)}
}

func (f File) write(path, prefix string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if f.Link != "" {
		return os.Symlink(f.Link, path)
	}
	mode := f.Mode.Perm()
	if mode == 0 {
		mode = 0o644
	}
	data := f.Data
	switch f.mode() {
	case "text":
		data = bytes.ReplaceAll(data, []byte(Placeholder), []byte(prefix))
	case "binary":
		data = inBinary(data, prefix)
	}
	return os.WriteFile(path, data, mode)
}

// inBinary writes the prefix into strings that end in NUL, and pads them behind.
func inBinary(data []byte, prefix string) []byte {
	var out []byte
	for {
		at := bytes.Index(data, []byte(Placeholder))
		if at < 0 {
			return append(out, data...)
		}
		out = append(append(out, data[:at]...), prefix...)
		data = data[at+len(Placeholder):]
		end := bytes.IndexByte(data, 0)
		if end < 0 {
			end = len(data)
		}
		out = append(append(out, data[:end]...), make([]byte, len(Placeholder)-len(prefix))...)
		data = data[end:]
	}
}
