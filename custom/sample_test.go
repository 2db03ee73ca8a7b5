package custom

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/conjuring/conjured/notice"
)

func TestSampleIsAClass(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "class")
	must(t, WriteSample(dir))
	f, l := Read(t.Context(), dir, Options{})
	wantNoErrors(t, l)
	var students, admins int
	for _, row := range f.Roster().Rows {
		if row.Admin {
			admins++
		} else {
			students++
		}
		if row.Password != "" {
			t.Errorf("%s has a password that everybody knows", row.User)
		}
	}
	if students != 30 || admins != 1 {
		t.Errorf("%d students and %d teachers", students, admins)
	}
	if len(f.AptPackages()) == 0 || len(f.Requirements().Items) != 2 || len(f.Shared()) == 0 || len(f.Srv()) != 1 {
		t.Error("the sample should show every kind of file")
	}
	for _, name := range []string{"welcome.ipynb", "first-lesson.ipynb"} {
		notebook(t, filepath.Join(dir, HomeDefaultDir, name))
	}
}

// notebook checks what nbformat 4.5 asks for, and that nobody's results are in it.
func notebook(t *testing.T, name string) {
	t.Helper()
	data, err := os.ReadFile(name)
	must(t, err)
	var nb struct {
		Format int `json:"nbformat"`
		Minor  int `json:"nbformat_minor"`
		Cells  []struct {
			ID      string   `json:"id"`
			Type    string   `json:"cell_type"`
			Source  []string `json:"source"`
			Outputs *[]any   `json:"outputs"`
			Count   *int     `json:"execution_count"`
		} `json:"cells"`
	}
	must(t, json.Unmarshal(data, &nb))
	ids := map[string]bool{}
	for _, c := range nb.Cells {
		if c.ID == "" || ids[c.ID] || len(c.Source) == 0 || c.Count != nil || (c.Type == "code") != (c.Outputs != nil) || c.Outputs != nil && len(*c.Outputs) > 0 {
			t.Errorf("%s: cell %+v", name, c)
		}
		ids[c.ID] = true
	}
	if nb.Format != 4 || nb.Minor != 5 || len(nb.Cells) < 10 {
		t.Errorf("%s: format %d.%d, %d cells", name, nb.Format, nb.Minor, len(nb.Cells))
	}
}

func TestSampleOverwritesNothing(t *testing.T) {
	for _, f := range []files{{"class/mine.txt": "x"}, {"class": "a file"}} {
		dir := filepath.Join(f.write(t, t.TempDir()), "class")
		var n *notice.Error
		if err := WriteSample(dir); !errors.As(err, &n) || n.Code != "folder-not-empty" {
			t.Errorf("WriteSample: %v", err)
		}
		if names, _ := os.ReadDir(dir); len(names) > 1 {
			t.Errorf("something was written: %v", names)
		}
	}
	dir := t.TempDir() // there, and empty
	must(t, WriteSample(dir))
	data, err := os.ReadFile(filepath.Join(dir, "README.md"))
	must(t, err)
	if !strings.Contains(string(data), "users.csv") {
		t.Error("README.md does not say what the files are for")
	}
}
