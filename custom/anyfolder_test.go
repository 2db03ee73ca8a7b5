package custom

import (
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// anyFolder is some files that ask for packages, in places with good and bad names.
func anyFolder(rt *rapid.T) files {
	places := []string{"", "geo-101/", "geo_101/", "Geo/", "a b/", ".x/", "home/", "-x/", "é/", "7b/", "base/", "binder/", ".binder/", "system/", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/"}
	texts := map[string][]string{
		"environment.yml":   {"", "name: geo\nchannels: [defaults]\ndependencies: [a=1, b::c, pip: [-r requirements.txt, x]]\n", "dependencies: [a>1, 'a <2', ';']\n"},
		"environment-a.yml": {"", "name: geo-101\nchannels: [x, y]\ndependencies: [a=1=2]\nprefix: /Users/x\n", "name: base\n"},
		"requirements.txt":  {"", "x>1\ny ; python_version > '3'\n-c c.txt\n", "-r ../requirements.txt\n", "x==1\nx==2\n"},
		GroveTXT:            {"tutor\n"},
		RuntimeTXT:          {"python-3.12\n", "r-4.4-2025-01-01\n", "x\n"},
		AptTXT:              {"tree\n", "vim=1\n", "vim=2\n"},
		pyprojectTOML:       {"[project]\nrequires-python = '<3.13'\ndependencies = ['z']\n"},
		uvLock:              {"[[package]]\nname = \"x\"\nversion = \"1\"\nsource = { registry = \"r\" }\n"},
		"c.txt":             {"y<3\n"},
		"postBuild":         {"true\n"},
	}
	out := files{"users.csv": class}
	for range rapid.IntRange(0, 12).Draw(rt, "files") {
		name := rapid.SampledFrom([]string{"environment.yml", "environment-a.yml", "requirements.txt", GroveTXT, RuntimeTXT, AptTXT, pyprojectTOML, uvLock, "c.txt", "postBuild"}).Draw(rt, "name")
		out[rapid.SampledFrom(places).Draw(rt, "place")+name] = rapid.SampledFrom(texts[name]).Draw(rt, "text")
	}
	if rapid.Bool().Draw(rt, "members") {
		out[CoursesCSV] = "course,student\n" + rapid.SampledFrom([]string{"geo-101", "Geo", "7b", "base", "x"}).Draw(rt, "course") + ",bo\n"
	}
	return out
}

// Whatever asks for packages, names are told apart, base is there, every line says where
// it stands, and a saved copy asks for the same.
func TestAnyFolder(t *testing.T) {
	top := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		dir := anyFolder(rt).write(t, filepath.Join(top, "c"))
		defer os.RemoveAll(dir)
		f, l := Read(t.Context(), dir, Options{})
		seen := map[string]bool{}
		for i, s := range f.Environments() {
			if seen[s.Name] || (s.Name == BaseEnvironment) != (i == 0) {
				rt.Errorf("environment %d is %s", i, s.Name)
			}
			seen[s.Name] = true
			for _, p := range s.Pip {
				if p.File == "" || p.Line < 1 {
					rt.Errorf("no place: %+v", p)
				}
			}
		}
		checkSpecs(t, f)
		if l.HasErrors() || n%8 != 0 { // saving waits for the disk
			return
		}
		saved := filepath.Join(top, "saved")
		defer os.RemoveAll(saved)
		must(t, f.Save(t.Context(), saved))
		g, err := Load(t.Context(), saved, Policy{})
		must(t, err)
		want(t, "a saved copy", g.Environments(), f.Environments())
		again, _ := Read(t.Context(), dir, Options{})
		want(t, "read again", again.Fingerprints(), f.Fingerprints())
	})
}
