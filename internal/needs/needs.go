// Package needs lets a test state which real parts it uses. A missing part skips
// the test on a laptop and fails it where that part was promised.
package needs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Part is something real that a test depends on.
type Part struct {
	Name  string
	Check func() error // nil when the part is there
}

// Docker is a working local Docker Engine.
func Docker() Part {
	return Part{"docker", func() error { return exec.Command("docker", "version").Run() }}
}

// Root is the right to change owners, mount, and make namespaces.
func Root() Part {
	return Part{"root", func() error {
		if os.Geteuid() != 0 {
			return errors.New("not root")
		}
		return nil
	}}
}

// Chromium is a browser for headless tests.
func Chromium() Part { return binary("chromium") }

// Debootstrap makes a Debian tree from an apt mirror.
func Debootstrap() Part { return binary("debootstrap") }

// Python is an interpreter with the pinned checkers for our Python files.
func Python() Part { return binary("python3") }

// Tools are the pinned Python tools (uv) that "make tools" puts below root, the source's
// first folder. They are promised with the interpreter.
func Tools(root string) Part {
	return Part{"python3", func() error {
		_, err := os.Stat(filepath.Join(root, ".cache/py/bin/uv"))
		return err
	}}
}

func binary(name string) Part {
	return Part{name, func() error { _, err := exec.LookPath(name); return err }}
}

// All skips t, saying why, unless every part is there. A part listed in
// CONJURED_TEST_NEEDS (comma separated) is promised: its absence is a failure.
func All(t testing.TB, parts ...Part) {
	t.Helper()
	promised := strings.Split(os.Getenv("CONJURED_TEST_NEEDS"), ",")
	for _, p := range parts {
		err := p.Check()
		switch {
		case err == nil:
		case slices.Contains(promised, p.Name):
			t.Fatalf("needs %s, which this run promised: %v", p.Name, err)
		default:
			t.Skipf("NEEDS %s: %v", p.Name, err)
		}
	}
}
