package environments

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// LaunchPath is the launcher in the class image.
const LaunchPath = "/opt/conjured/bin/launch"

// DefaultKernel is the directory of the kernel that Jupyter starts when nothing else is
// asked for: the name that notebooks everywhere have.
const DefaultKernel = "python3"

// Kernel is an entry in Jupyter's list of kernels. Dir names its directory below
// kernels/, and with it the kernel in notebooks: it has to stay the same.
type Kernel struct {
	Dir     string   // lower-case letters, digits, ".", "-", "_"; python3 or as the teacher wrote the name, such as geo-101
	Display string   // what the launcher shows
	Env     Name     // whose packages it runs with
	Label   Label    // mostly Current
	Argv    []string // program and arguments of a kernel that is not Python's; nil for ipykernel
}

// PythonKernel is the kernel of the base environment.
func PythonKernel() Kernel {
	return Kernel{Dir: DefaultKernel, Display: "Python 3 (ipykernel)", Env: Base, Label: Current}
}

// KernelOf is the kernel of an environment as it is shown to people: for base Python's
// own, for any other one under the name that the teacher wrote. Argv is as in [Kernel].
func KernelOf(env Name, display string, argv []string) Kernel {
	if env == Base {
		k := PythonKernel()
		k.Argv = argv
		return k
	}
	if display == "" {
		display = string(env)
	}
	dir := strings.ToLower(display) // as Jupyter compares it
	if !kernelForm.MatchString(dir) || dir == DefaultKernel {
		dir = "env-" + string(env)
	}
	return Kernel{Dir: dir, Display: display, Env: env, Label: Current, Argv: argv}
}

var kernelForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// kernelSpec is kernel.json, see https://jupyter-client.readthedocs.io/en/stable/kernels.html.
type kernelSpec struct {
	Argv      []string          `json:"argv"`
	Display   string            `json:"display_name"`
	Env       map[string]string `json:"env,omitempty"`
	Interrupt string            `json:"interrupt_mode,omitempty"`
	Language  string            `json:"language"`
	Metadata  map[string]any    `json:"metadata"`
}

// kernelFiles are what lies in a kernel's directory. The language and the pictures are
// those of the generation that the label points at now; without one they are missing.
func (s *Store) kernelFiles(k Kernel) (map[string][]byte, error) {
	if !kernelForm.MatchString(k.Dir) {
		return nil, fmt.Errorf("%q is not a name of a kernel", k.Dir)
	}
	if err := errors.Join(k.Env.Check(), k.Label.Check()); err != nil {
		return nil, err
	}
	argv, language := k.Argv, ""
	if argv == nil {
		argv, language = []string{"python", "-m", "ipykernel_launcher", "-f", "{connection_file}"}, "python"
	}
	own, files := s.ownSpec(k.Env, k.Label, argv)
	spec := kernelSpec{
		Argv:    append([]string{LaunchPath, string(k.Env) + "@" + string(k.Label)}, argv...),
		Display: k.Display, Language: language, Metadata: map[string]any{"debugger": true},
	}
	if language == "" {
		spec.Env, spec.Interrupt, spec.Metadata = own.Env, own.Interrupt, own.Metadata
		spec.Language = own.Language
		if spec.Metadata == nil { // as the kernel of R: Jupyter does not take null for none
			spec.Metadata = map[string]any{}
		}
	}
	if spec.Language == "" {
		spec.Language = argv[0]
	}
	b, err := json.MarshalIndent(spec, "", " ")
	files["kernel.json"] = append(b, '\n')
	return files, err
}

// Kernels writes these kernels and leaves others as they are.
func (s *Store) Kernels(ks ...Kernel) error {
	var errs []error
	seen := map[string]bool{}
	for _, k := range ks {
		files, err := s.kernelFiles(k)
		if err == nil && seen[k.Dir] {
			err = fmt.Errorf("another one is called %s too", k.Dir)
		}
		if err == nil {
			err = s.setKernel(filepath.Join(s.root, "kernels", k.Dir), files)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot write kernel %s: %w", k.Display, err))
		}
		seen[k.Dir] = true
	}
	return errors.Join(errs...)
}

// SetKernels makes kernels/ hold exactly these. Whatever is right already is not
// touched, so that calling it again costs a look. One that cannot be written stands
// in the way of no other.
func (s *Store) SetKernels(ks []Kernel) error {
	errs := []error{s.Kernels(ks...)}
	es, err := os.ReadDir(filepath.Join(s.root, "kernels"))
	if err != nil {
		errs = append(errs, fmt.Errorf("cannot list kernels: %w", err))
	}
	for _, e := range es {
		if slices.ContainsFunc(ks, func(k Kernel) bool { return k.Dir == e.Name() }) {
			continue
		}
		if err := s.remove(filepath.Join(s.root, "kernels", e.Name())); err != nil {
			errs = append(errs, fmt.Errorf("cannot remove kernel %s: %w", e.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// setKernel makes one directory hold exactly these files. Jupyter takes it for a kernel
// when it has a kernel.json, which therefore comes last.
func (s *Store) setKernel(dir string, files map[string][]byte) error {
	if err := mkdir(dir, 0o755); err != nil {
		return err
	}
	es, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range es {
		if files[e.Name()] == nil {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	order := []string{}
	for name := range files {
		order = append(order, name)
	}
	slices.SortFunc(order, func(a, b string) int { return -strings.Compare(a, b) }) // logo-*, then kernel.json
	for _, name := range order {
		path := filepath.Join(dir, name)
		if old, err := readSmall(path); err == nil && bytes.Equal(old, files[name]) {
			continue
		}
		if err := s.write(path, files[name], 0o444); err != nil {
			return err
		}
	}
	return nil
}

const (
	maxKernelFile = 256 << 10 // bytes of a picture or a kernel.json
	maxKernels    = 32        // kernels that one generation may bring

	logoPNG = "logo-64x64.png"
	logoSVG = "logo-svg.svg"
)

// ownSpec finds the kernel of a generation's packages that has this command, and its
// pictures. The zero value when there is none.
func (s *Store) ownSpec(env Name, l Label, argv []string) (kernelSpec, map[string][]byte) {
	files := map[string][]byte{}
	n, err := s.target(env, string(l))
	if err != nil {
		return kernelSpec{}, files
	}
	root, err := os.OpenRoot(filepath.Join(s.root, genPath(env, n)))
	if err != nil {
		return kernelSpec{}, files
	}
	defer root.Close()
	dirs, err := fs.Glob(root.FS(), "share/jupyter/kernels/*/kernel.json")
	if err != nil {
		return kernelSpec{}, files
	}
	for _, path := range dirs[:min(len(dirs), maxKernels)] {
		var spec kernelSpec
		if json.Unmarshal(readBeneath(root, path), &spec) != nil || !sameCommand(spec.Argv, argv) {
			continue
		}
		for _, logo := range []string{"logo-32x32.png", logoPNG, logoSVG} {
			if data := readBeneath(root, filepath.Join(filepath.Dir(path), logo)); len(data) > 0 {
				files[logo] = data
			}
		}
		// Lab takes the drawing when there is one, and every page load carries it: that
		// of ipykernel is four times as large as its picture.
		if len(files[logoPNG]) > 0 && len(files[logoPNG]) < len(files[logoSVG]) {
			delete(files, logoSVG)
		}
		return spec, files
	}
	return kernelSpec{}, files
}

// sameCommand compares commands that may name the program with its directory.
func sameCommand(a, b []string) bool {
	return len(a) > 0 && len(a) == len(b) && filepath.Base(a[0]) == filepath.Base(b[0]) && slices.Equal(a[1:], b[1:])
}

// readBeneath reads a small regular file that lies below root; nil when it is not one.
func readBeneath(root *os.Root, path string) []byte {
	fi, err := root.Stat(path)
	if err != nil || !fi.Mode().IsRegular() || fi.Size() > maxKernelFile {
		return nil
	}
	data, err := root.ReadFile(path)
	if err != nil || len(data) > maxKernelFile {
		return nil
	}
	return data
}
