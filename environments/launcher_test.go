package environments

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A program is told of the generation it runs in, and of no other one.
func TestLauncher_conda(t *testing.T) {
	s := open(t)
	g := generation(t, s)
	if err := s.Flip(Current, g); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(s.Root(), g.Path())
	put(t, s, g.Path()+"/bin/show", "#!/bin/sh\necho \"${VIRTUAL_ENV-none} ${CONDA_PREFIX-none} ${CONDA_DEFAULT_ENV-none} ${PYTHONHOME-none} $PATH\"\n")
	if err := os.Chmod(filepath.Join(dir, "bin/show"), 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, s, "launch", string(Launcher))
	for _, x := range []struct{ conda, want string }{
		{"", dir + " none none none " + dir + "/bin:/usr/bin:/bin\n"},
		{"/conda-meta/history", "none " + dir + " base none " + dir + "/bin:/usr/bin:/bin\n"},
	} {
		if x.conda != "" {
			put(t, s, g.Path()+x.conda, "")
		}
		cmd := exec.Command("sh", filepath.Join(s.Root(), "launch"), "base@current", "show")
		cmd.Env = []string{
			"CONJURED_ENV=" + s.Root(), "PATH=" + s.Root() + "/gen/other/1/bin:/usr/bin:/bin",
			"VIRTUAL_ENV=/old", "CONDA_PREFIX=/old", "CONDA_DEFAULT_ENV=old", "PYTHONHOME=/old",
		}
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != x.want {
			t.Errorf("%q, %v; want %q", out, err, x.want)
		}
	}
}
