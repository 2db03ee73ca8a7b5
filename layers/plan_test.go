package layers

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"
)

// recipe stands for the files of the class image, so that golden keys do not move
// with every edit of the Dockerfile.
func recipe() fstest.MapFS {
	return fstest.MapFS{
		"Dockerfile":             {Data: []byte("FROM base AS core\n")},
		"layers/image/apt.sh":    {Data: []byte("apt\n")},
		"layers/image/x.py":      {Data: []byte("x\n")},
		"environments/launch.sh": {Data: []byte("not part of the recipe\n")},
		"layers/lock/hub.in":     {Data: []byte("jupyterhub\n")},
		"layers/lock/hub.txt":    {Data: []byte("jupyterhub==1\n")},
		"layers/lock/renew.sh":   {Data: []byte("renew\n")},
		"custom/users.csv":       {Data: []byte("secret\n")},
		"layers/builder.go":      {Data: []byte("package layers\n")},
		"environments/doc.go":    {Data: []byte("package environments\n")},
		"layers/plan_test.go":    {Data: []byte("package layers\n")},
		"home_default/hello.py":  {Data: []byte("print()\n")},
	}
}

// planFor plans in as if each FROM were at hand with an id made from its name.
func planFor(t testing.TB, in Inputs, files fs.FS) Plan {
	t.Helper()
	p := planned{repository: "repo/class", files: files, launcher: []byte("launch\n")}
	froms := []From{{Image: builtinImage}}
	if len(in.BaseDockerfile) > 0 {
		var err error
		if p.base, err = parseBase(in.BaseDockerfile); err != nil {
			t.Fatal(err)
		}
		froms = p.base.froms
	}
	for _, f := range froms {
		p.found = append(p.found, Resolved{From: f, Ref: "local/" + f.Image, ID: "sha256:" + sumOf(f.Image)})
	}
	plan, err := newPlan(in, p)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// Each file in testdata/plan holds a folder's inputs and the plan they give. Run with
// UPDATE=1 to write them anew, and read the difference.
func TestPlanGolden(t *testing.T) {
	paths, err := filepath.Glob("testdata/plan/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var in Inputs
			var want []byte
			for _, f := range a.Files {
				switch f.Name {
				case "base.Dockerfile":
					in.BaseDockerfile = f.Data
				case "apt.txt":
					for i, l := range strings.Split(strings.TrimSpace(string(f.Data)), "\n") {
						name, version, _ := strings.Cut(l, "=")
						in.AptPackages = append(in.AptPackages, Package{Name: name, Version: version, File: "apt.txt", Line: i + 1})
					}
				case "group":
					fmt.Sscan(string(f.Data), &in.GroupID)
				case "plan":
					want = f.Data
				}
			}
			got := planFor(t, in, recipe()).String()
			if os.Getenv("UPDATE") != "" {
				for i := range a.Files {
					if a.Files[i].Name == "plan" {
						a.Files[i].Data = []byte(got)
					}
				}
				if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Error(d)
			}
		})
	}
}

// A9: what a roster or srv edit touches is not among the inputs of any key, and an
// apt package changes the last image alone.
func TestA9_keys(t *testing.T) {
	one := planFor(t, Inputs{}, recipe())
	files := recipe()
	for _, name := range []string{"custom/users.csv", "layers/builder.go", "home_default/hello.py", "layers/lock/hub.in", "layers/lock/renew.sh", "environments/launch.sh"} {
		files[name] = &fstest.MapFile{Data: []byte("changed\n")}
	}
	if d := cmp.Diff(one.String(), planFor(t, Inputs{}, files).String()); d != "" {
		t.Errorf("files outside the recipe changed the plan: %s", d)
	}
	apt := planFor(t, Inputs{AptPackages: []Package{{Name: "jq", File: "apt.txt", Line: 1}}}, recipe())
	if one.Steps[0].Key != apt.Steps[0].Key || one.Steps[1].Key != apt.Steps[1].Key || one.Steps[2].Key == apt.Steps[2].Key {
		t.Errorf("an apt package changed more or less than system:\n%s%s", one, apt)
	}
	moved := planFor(t, Inputs{AptPackages: []Package{{Name: "jq", File: "other.txt", Line: 9}}}, recipe())
	if apt.Key() != moved.Key() {
		t.Error("where a package stands changed the image")
	}
	for _, name := range []string{"Dockerfile", "layers/image/apt.sh", "layers/lock/hub.txt"} {
		files := recipe()
		files[name] = &fstest.MapFile{Data: []byte("changed\n")}
		p := planFor(t, Inputs{}, files)
		if p.Steps[0].Key != one.Steps[0].Key || p.Steps[1].Key == one.Steps[1].Key {
			t.Errorf("%s: core has to change, and base must not", name)
		}
	}
}

// Different inputs never share a key, whatever strings a teacher writes.
func TestKeysDiffer(t *testing.T) {
	word := rapid.StringMatching(`[a-z0-9:= \n]{0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.SliceOfN(word, 0, 4).Draw(t, "a"), rapid.SliceOfN(word, 0, 4).Draw(t, "b")
		if same := cmp.Equal(a, b); same != (sumOf(a...) == sumOf(b...)) {
			t.Fatalf("%q and %q: equal %v", a, b, same)
		}
	})
}

// The built-in recipe is complete: every file that the Dockerfile copies is in it.
func TestRecipeHasWhatItCopies(t *testing.T) {
	root := os.DirFS("..")
	text, err := fs.ReadFile(root, "Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "# syntax=") {
		t.Error("a syntax line has the front end pulled from a registry")
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] != "COPY" || strings.Contains(line, "--from=") {
			continue
		}
		for _, pattern := range f[1 : len(f)-1] {
			if strings.HasPrefix(pattern, "--") {
				continue
			}
			found, err := fs.Glob(root, pattern)
			if err != nil || len(found) == 0 {
				t.Errorf("%s: nothing there, %v", pattern, err)
			}
			for _, name := range found {
				if !isRecipe(name) {
					t.Errorf("%s is copied, but not part of the recipe", name)
				}
			}
		}
	}
}
