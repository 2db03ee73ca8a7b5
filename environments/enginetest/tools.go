package enginetest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/conjuring/conjured/internal/needs"
)

// The versions that the class image has too.
const (
	UVVersion      = "0.13.8"
	RattlerVersion = "0.28.0"
)

// Tools are the real engines on this machine.
type Tools struct {
	UV     string
	Python string // has py-rattler; nothing else is installed in it
}

// RealTools installs the pinned engines from the package index, once for all tests of a
// process. They stay in the machine's cache of test tools.
func RealTools(t testing.TB) Tools {
	t.Helper()
	needs.All(t, needs.Python())
	dir, err := installTools()
	if err != nil {
		t.Fatal(err)
	}
	return Tools{UV: filepath.Join(dir, "bin", "uv"), Python: filepath.Join(dir, "bin", "python3")}
}

var installTools = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("cannot tell where test tools are kept: %w", err)
	}
	dir := filepath.Join(cache, "conjured-test", "engines-"+UVVersion+"-"+RattlerVersion)
	if _, err := os.Stat(filepath.Join(dir, "complete")); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("cannot make the place of test tools: %w", err)
	}
	// A venv names its own path: it is made where it stays, and counts when it is complete.
	python := "python3"
	for _, args := range [][]string{{"-m", "venv", "--clear", dir}, {"-m", "pip", "install", "-q", "--only-binary", ":all:", "uv==" + UVVersion, "py-rattler==" + RattlerVersion}} {
		if out, err := exec.Command(python, args...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("cannot install test tools: %v: %w %s", args, err, out)
		}
		python = filepath.Join(dir, "bin", "python3")
	}
	return dir, os.WriteFile(filepath.Join(dir, "complete"), nil, 0o644)
})
