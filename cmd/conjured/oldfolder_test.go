package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/conjuring/conjured/internal/needs"
)

// oldFolder is a folder as the Conjuring project's README has teachers write it, with
// its ragged rows and a base that no registry here has. The packages of its base are pip's,
// because the class would wait for a channel of conda's; those of geo are conda's, and
// the class does not.
func oldFolder(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	for name, text := range map[string]string{
		"docker-compose.override.yml": "version: '3.7'\nservices:\n  conjuring:\n    environment:\n      LESSON: birds\n    shm_size: 256mb\n",
		"custom/users.csv":            "name,password,admin (first row is header)\r\nmaria,aBirdInTheHand\r\nleon,4Wrens,true\r\n",
		"custom/base.Dockerfile":      "FROM ubuntu:18.04 as base\n",
		"custom/environment.yml":      "name: base  # more kernels: environment-<name>.yml\nchannels:\n- conda-forge\ndependencies:\n- pip:\n  - tqdm\nvariables:\n  SEASON: it's $PRING\n",
		"custom/environment-geo.yml":  "channels:\n- conda-forge\ndependencies:\n- geopandas\n",
		"custom/apt.txt":              "", "custom/requirements.txt": "",
		"custom/srv/jupyterhub_config.py": "# c.JupyterHub.ssl_key = ''\n",
		"custom/home_default/.bashrc":     "alias ll='ls -l'\n",
		"custom/shared/hello.sh":          "echo hello\n",
		"custom/home/.gitignore":          "/*/\n",
	} {
		path := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(top, "custom")
}

// TestA1_oldFolder: the folder of the Conjuring project comes up unchanged, and check
// says where a file means something else now.
func TestA1_oldFolder(t *testing.T) {
	needs.All(t, needs.Docker(), needs.Root(), needs.Debootstrap())
	c := newClass(t, oldFolder(t))
	out, errs, code := c.cli("check", c.dir)
	if code != 0 {
		t.Errorf("check: exit %d", code)
	}
	for _, want := range []string{"(U5)", "kernel base from environment.yml", "kernel geo from environment-geo.yml", "2 accounts (1 teacher)"} {
		if !strings.Contains(out+errs, want) {
			t.Errorf("check does not say %q:\n%s%s", want, out, errs)
		}
	}
	c.start()
	c.waitOpen(10 * time.Minute)
	maria := newStudent(c.url, "maria", "aBirdInTheHand")
	if err := maria.login(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := maria.spawn(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := maria.run(t.Context(), "import tqdm, os; print(os.environ['LESSON'], os.environ['SEASON'], os.getuid(), os.path.exists('.bashrc'), open('shared/hello.sh').read())")
	if err != nil || !strings.HasPrefix(got, "birds it's $PRING 2000 True echo hello") {
		t.Errorf("in maria's kernel: %q %v", got, err)
	}
	c.eventually(2*time.Minute, "the class is told that another base serves, and what became of the kernel geo", func() bool {
		out, errs, _ := c.cli("status")
		out += errs + c.out.String() // the channel may be there or not
		return strings.Contains(out, "base.Dockerfile:1") && strings.Contains(out, "ubuntu:18.04") &&
			(strings.Contains(out, "the channel conda-forge cannot be reached") || strings.Contains(out, "done   kernels"))
	})
}
