package enginetest

import (
	_ "embed"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/conjuring/conjured/internal/condatest"
	"github.com/conjuring/conjured/internal/needs"
)

// classImage is the image that the tests of whole classes leave.
const classImage = "conjured-test/class:latest"

func hasImage(name string) needs.Part {
	return needs.Part{Name: "class-image", Check: func() error { return exec.Command("docker", "image", "inspect", name).Run() }}
}

// asCondas fails where the interpreter is not as conda's python is.
const asCondas = `
import os, ssl, sqlite3, ctypes, bz2, lzma, readline, uuid, hashlib, site, sys, sysconfig
prefix, own = sys.argv[1], "lib/python%d.%d/site-packages" % sys.version_info[:2]
want = os.path.join(prefix, own)
assert sys.prefix == sys.base_prefix == prefix, sys.prefix
assert sysconfig.get_default_scheme() == "posix_prefix", sysconfig.get_default_scheme()
assert sysconfig.get_path("purelib") == sysconfig.get_path("platlib") == want, sysconfig.get_paths()
assert sysconfig.get_path("scripts") == os.path.join(prefix, "bin"), sysconfig.get_paths()
assert [p for p in sys.path if "packages" in p] == [want], sys.path
assert all(p.startswith(prefix) for p in sys.path), sys.path
assert os.path.normpath(site.getsitepackages()[0]) == want, site.getsitepackages()
assert not os.path.exists(os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED"))
`

// onePlusOne starts a kernel of the interpreter that runs it, and lets it add.
const onePlusOne = `
import sys
from jupyter_client import KernelManager
km = KernelManager()
km.kernel_spec.argv[0] = sys.executable
km.start_kernel()
kc = km.client()
kc.start_channels()
kc.wait_for_ready(timeout=60)
seen = []
kc.execute_interactive("1+1", timeout=60, output_hook=lambda m: seen.append(m["content"].get("data", {}).get("text/plain")))
km.shutdown_kernel(now=True)
assert "2" in seen, seen
print("two")
`

// unpacked is a prefix with the real Python of an image, or of this machine.
func unpacked(t *testing.T, image string) (prefix string) {
	t.Helper()
	p, err := condatest.Python{Image: image}.Package()
	if err != nil {
		t.Fatal(err)
	}
	prefix = filepath.Join(t.TempDir(), "prefix")
	if err := p.Unpack(prefix, p.Version[:strings.LastIndexByte(p.Version, '.')]); err != nil {
		t.Fatal(err)
	}
	return prefix
}

func kernelRuns(t *testing.T, uv, prefix string, run func(args ...string) *exec.Cmd) {
	t.Helper()
	python := filepath.Join(prefix, "bin", "python")
	for _, args := range [][]string{
		{python, "-I", "-c", asCondas, prefix},
		{uv, "pip", "install", "--quiet", "--no-config", "--python", python, "ipykernel"},
		{python, "-I", "-c", onePlusOne},
	} {
		out, err := run(args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%.200q: %v\n%s", args, err, out)
		}
		if args[len(args)-1] == onePlusOne && !strings.Contains(string(out), "two") {
			t.Errorf("1+1 gave %s", out)
		}
	}
}

func TestPythonOfThisMachine(t *testing.T) {
	prefix := unpacked(t, "")
	kernelRuns(t, RealTools(t).UV, prefix, func(args ...string) *exec.Cmd { return exec.Command(args[0], args[1:]...) })
}

// The image's own Python, and this machine's beside it: two versions in one class.
func TestPythonOfTheClassImage(t *testing.T) {
	needs.All(t, needs.Docker(), hasImage(classImage))
	const bundle = "/etc/ssl/certs/ca-certificates.crt" // a school may read along
	for name, prefix := range map[string]string{"image": unpacked(t, classImage), "machine": unpacked(t, "")} {
		t.Run(name, func(t *testing.T) {
			kernelRuns(t, "/opt/conjured/bin/uv", prefix, func(args ...string) *exec.Cmd {
				docker := []string{
					"run", "--rm", "--label", "conjured-test=enginetest", "--user", "0:0", "--entrypoint", args[0], "-e", "SSL_CERT_FILE=" + bundle, "-e", "JUPYTER_PATH=",
					"-v", bundle + ":" + bundle + ":ro", "-v", prefix + ":" + prefix, classImage,
				}
				return exec.Command("docker", append(docker, args[1:]...)...)
			})
		})
	}
}
