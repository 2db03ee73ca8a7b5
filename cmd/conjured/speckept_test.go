package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/conjuring/conjured/custom"
	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
)

// What package custom keeps for the history, and calls an environment, package history
// and package environments take.
func TestSpecsFitTheirHistory(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "geo-101"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"environment.yml": "channels: [conda-forge]\n", "environment-a.b.yml": "name: 7b\n", "environment-é.yml": "name: c\n", "requirements.txt": "-r requirements (1).txt\n-c constraints.txt\n-r more.txt\n",
		"requirements (1).txt": "", "constraints.txt": "", "more.txt": "", "users.csv": "n,p,a\n", "uv.lock": "", "conda-lock.yml": "package: []\n", "postBuild": "", "start": "", "install.R": "", "Project.toml": "",
		"DESCRIPTION": "", "Pipfile": "", "setup.py": "", "pyproject.toml": "", "runtime.txt": "", "Manifest.toml": "",
		"geo-101/grove-requirements.txt": "", "geo-101/apt.txt": "", "geo-101/Dockerfile": "", "geo-101/pylock.toml": "", "geo-101/environment.yaml": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, _ := custom.Read(t.Context(), dir, custom.Options{})
	kept := 0
	for _, s := range f.Environments() {
		if err := environments.Name(s.Name).Check(); err != nil {
			t.Error(err)
		}
		for _, file := range s.Files {
			kept++
			if !history.Allowed(file.Name) {
				t.Errorf("the history refuses %s of %s", file.Path, s.Display)
			}
		}
	}
	if kept != 19 {
		t.Errorf("%d files are kept", kept)
	}
}
