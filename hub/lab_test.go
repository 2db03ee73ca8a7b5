package hub

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Jupyter finds the extension by its package.json, and the script it names is there,
// under a name that browsers may keep.
func TestLabDir(t *testing.T) {
	h := &Hub{paths: newPaths(Config{Run: t.TempDir(), State: t.TempDir()})}
	if err := os.MkdirAll(h.paths.lab, 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := h.LabDir()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := h.LabDir(); err != nil || again != dir {
		t.Errorf("a second time: %s %v", again, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		Name       string
		Jupyterlab struct {
			Build struct{ Load, Extension string } `json:"_build"`
		}
	}
	if err := json.Unmarshal(text, &p); err != nil || p.Name != LabExtension || p.Jupyterlab.Build.Extension != "./extension" {
		t.Errorf("%s %v", text, err)
	}
	script, err := os.ReadFile(filepath.Join(dir, p.Jupyterlab.Build.Load))
	if err != nil || string(script) != string(labScript) {
		t.Errorf("%s: %v", p.Jupyterlab.Build.Load, err)
	}
	for _, name := range []string{"package.json", p.Jupyterlab.Build.Load, "."} {
		fi, err := os.Stat(filepath.Join(dir, name))
		if err != nil || fi.Mode().Perm()&0o004 == 0 {
			t.Errorf("students cannot read %s: %v", name, err)
		}
	}
	if es, _ := os.ReadDir(h.paths.lab); len(es) != 1 {
		t.Errorf("something is left beside it: %v", es)
	}
}
