package enginetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/conjuring/conjured/internal/condatest"
)

// likeInside runs statements with conda.py's modules, as root without any right, which is
// what they are in a building container.
func likeInside(t *testing.T, statements string, args ...string) {
	t.Helper()
	code := `
import ctypes, sys
header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
assert ctypes.CDLL(None).capset(header, none) == 0
sys.path.insert(0, sys.argv[1])
` + statements
	cmd := exec.Command(RealTools(t).Python, append([]string{"-I", "-B", "-c", code, scripts}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
}

// A directory that nobody may look into, from an archive that says so, is not in the way
// of every package that comes after.
func TestRattlerTidiesWhatNobodyMayRead(t *testing.T) {
	cache := t.TempDir()
	left := filepath.Join(cache, "pkgs", ".new-evil-1-0")
	if err := os.MkdirAll(filepath.Join(left, "d", "e"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Join(left, "d", "e"), filepath.Join(left, "d"), left} {
		if err := os.Chmod(dir, 0); err != nil {
			t.Fatal(err)
		}
	}
	likeInside(t, "import condastore\ncondastore.Store(sys.argv[2], '', True).fill([], False)\n", cache)
	if _, err := os.Lstat(left); err == nil {
		t.Error("it is still there")
	}
}

// A list that never ends is given up before it has the disk, and leaves nothing.
func TestRattlerEndlessList(t *testing.T) {
	cache := t.TempDir()
	likeInside(t, `
import asyncio, condalists, os
condalists.LARGEST, condalists.LOOK = 1000, 0.01
lists = condalists.Lists(sys.argv[2])
async def endless():
    with open(os.path.join(lists.folder, "part"), "wb", buffering=0) as f:
        while True:
            f.write(b"x" * 100)
            await asyncio.sleep(0.001)
try:
    asyncio.run(lists.limit(endless()))
except condalists.Failure as e:
    assert e.fields["kind"] == "other" and not os.listdir(lists.folder), (e, os.listdir(lists.folder))
else:
    sys.exit("it has an end")
async def short():
    return "fine"
assert asyncio.run(lists.limit(short())) == "fine"
`, cache)
}

// A channel may say that its packages are elsewhere, but not that they are files of the box.
func TestRattlerNoFilesOfTheBox(t *testing.T) {
	w, r := newChannel(t, condatest.Package{Name: "data", Version: "1", Noarch: "generic"})
	forge := w.Channels.Channel("conda-forge")
	forge.Base = "file:///opt/conjured/env/store/"
	w.Channels.Set(forge)
	_, err := r.Resolve(t.Context(), Ask{Conda: []string{"data"}})
	fails(t, err, Other, "data")
}
