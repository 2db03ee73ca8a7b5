package environments

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
)

// LaunchPath is the launcher in the class image.
const LaunchPath = "/opt/conjured/bin/launch"

// Kernel is an entry in Jupyter's list of kernels. Dir names its directory below
// kernels/; "python3" is the one that Jupyter starts when nothing else is asked for.
type Kernel struct {
	Dir     string
	Display string
	Env     Name
	Label   Label
}

// PythonKernel is the kernel of the base environment, with the name that notebooks
// everywhere have.
func PythonKernel() Kernel {
	return Kernel{Dir: "python3", Display: "Python 3 (ipykernel)", Env: Base, Label: Current}
}

var kernelForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// spec is kernel.json, see https://jupyter-client.readthedocs.io/en/stable/kernels.html.
func (k Kernel) spec() ([]byte, error) {
	if !kernelForm.MatchString(k.Dir) {
		return nil, fmt.Errorf("%q is not a name of a kernel", k.Dir)
	}
	if err := errors.Join(k.Env.Check(), k.Label.Check()); err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(map[string]any{
		"argv":         []string{LaunchPath, string(k.Env) + "@" + string(k.Label), "python", "-m", "ipykernel_launcher", "-f", "{connection_file}"},
		"display_name": k.Display,
		"language":     "python",
		"metadata":     map[string]any{"debugger": true},
	}, "", " ")
	return append(b, '\n'), err
}

// Kernels writes a kernel.json for each kernel; one that is right is not touched.
func (s *Store) Kernels(ks ...Kernel) error {
	for _, k := range ks {
		b, err := k.spec()
		if err != nil {
			return fmt.Errorf("cannot write kernel: %w", err)
		}
		dir := filepath.Join(s.root, "kernels", k.Dir)
		path := filepath.Join(dir, "kernel.json")
		if old, err := readSmall(path); err == nil && bytes.Equal(old, b) {
			continue
		}
		if err := mkdir(dir, 0o755); err != nil {
			return fmt.Errorf("cannot write kernel %s: %w", k.Dir, err)
		}
		if err := s.write(path, b, 0o444); err != nil {
			return fmt.Errorf("cannot write kernel %s: %w", k.Dir, err)
		}
	}
	return nil
}
