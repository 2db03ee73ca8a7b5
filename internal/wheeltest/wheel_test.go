package wheeltest_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/conjuring/conjured/environments/enginetest"
	"github.com/conjuring/conjured/internal/wheeltest"
)

// What is made here is taken by the real uv, without any network: a source package whose
// build backend lies inside it, and a wheel with a program.
func TestTakenByUV(t *testing.T) {
	uv := enginetest.RealTools(t).UV
	dir := t.TempDir()
	script := "said-1.data/scripts/say-it"
	said := wheeltest.Wheel{
		Name: "said", Version: "1", Modes: map[string]fs.FileMode{script: 0o755},
		Modules: map[string]string{"said.py": "x = 1\n", script: "#!/bin/sh\necho said\n"},
	}
	source := wheeltest.Sdist{Name: "source-only", Version: "1", Requires: []string{"said", "said>=1"}}
	broken := wheeltest.Sdist{Name: "cannot-build", Version: "1", Fails: true}
	for _, d := range []wheeltest.Dist{said, source, broken} {
		if !bytes.Equal(d.Bytes(), d.Bytes()) {
			t.Errorf("%s made twice is not the same bytes", d.File())
		}
		if err := os.WriteFile(filepath.Join(dir, d.File()), d.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (string, error) {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "UV_CACHE_DIR=" + filepath.Join(dir, "cache")}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	install := []string{uv, "pip", "install", "--quiet", "--no-config", "--offline", "--find-links", dir, "--python", filepath.Join(dir, "venv")}
	for _, args := range [][]string{
		{uv, "venv", "--quiet", "--no-config", "venv"}, append(install, "source-only"), {"venv/bin/python", "-I", "-c", "import said, source_only"},
	} {
		if out, err := run(args...); err != nil {
			t.Fatalf("%q: %v %s", args, err, out)
		}
	}
	if out, err := run(filepath.Join(dir, "venv/bin/say-it")); err != nil || out != "said\n" {
		t.Errorf("the program of a wheel: %q, %v", out, err)
	}
	if out, err := run(append(install, "cannot-build")...); err == nil {
		t.Errorf("a source package that cannot be built was installed: %s", out)
	}
}
