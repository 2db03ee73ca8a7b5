package custom

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// parts of a folder: for each fingerprint, the files that move it.
func partFiles() map[string][]string {
	return map[string][]string{
		"roster": {"users.csv"}, "content": {"home_default/a.txt", "shared/b.csv"}, "image": {"base.Dockerfile", "apt.txt"},
		"environment": {"requirements.txt", "more.txt", "environment.yml"}, "kernels": {"environment-geo.yml", "course1/requirements.txt", "course1/environment.yml", "courses.csv"}, "code": {"srv/x.py", OverrideYML, "conjured.yaml"},
	}
}

func byPart(p Fingerprints) map[string]string {
	return map[string]string{"roster": p.Roster, "content": p.Content, "image": p.Image, "environment": p.Environment, "kernels": p.Kernels, "code": p.Code}
}

func textFor(file, word string) string {
	switch file {
	case "users.csv":
		return "name,password,admin\n" + word + ",,\n"
	case "base.Dockerfile":
		return "FROM " + word + " AS base\n"
	case "requirements.txt":
		return word + "\n-r more.txt\n"
	case "environment.yml", "course1/environment.yml":
		return "dependencies: [" + word + "]\n"
	case "courses.csv":
		return "course,student\ncourse1," + word + "\n"
	case "environment-geo.yml":
		return "name: " + word + "\n"
	case OverrideYML:
		return conjuringWith("hostname: " + word)
	case "conjured.yaml":
		return "class: " + word + "\n"
	}
	return word + "\n"
}

// An edit moves the fingerprint of its own part and no other one; the folder's
// place, name and times move none.
func TestFingerprintsMoveAlone(t *testing.T) {
	top := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		word := rapid.StringMatching(`[a-z]{4,10}`)
		all := files{}
		for _, names := range partFiles() {
			for _, name := range names {
				all[name] = textFor(name, word.Draw(rt, name))
			}
		}
		dir := all.write(t, filepath.Join(top, "a", rapid.StringMatching(`[a-z]{3,8}`).Draw(rt, "dir")))
		defer os.RemoveAll(dir)
		before, l := Read(t.Context(), dir, Options{})
		if l.HasErrors() {
			rt.Fatalf("errors:\n%s", dump(l))
		}
		part := rapid.SampledFrom([]string{"roster", "content", "image", "environment", "kernels", "code"}).Draw(rt, "part")
		name := rapid.SampledFrom(partFiles()[part]).Draw(rt, "file")
		edited := all.with(files{name: textFor(name, word.Draw(rt, "new"))})
		other := edited.write(t, filepath.Join(top, "b"))
		defer os.RemoveAll(other)
		old := time.Now().Add(-time.Duration(rapid.IntRange(0, 1e6).Draw(rt, "age")) * time.Second)
		for name := range edited {
			must(t, os.Chtimes(filepath.Join(other, name), old, old))
		}
		after, _ := Read(t.Context(), other, Options{})
		was, is := byPart(before.Fingerprints()), byPart(after.Fingerprints())
		for p := range was {
			moved := was[p] != is[p]
			if wantMoved := p == part && all[name] != edited[name]; moved != wantMoved {
				rt.Errorf("%s edited: fingerprint %s moved=%v", name, p, moved)
			}
		}
		if (before.ID() != after.ID()) != (all[name] != edited[name]) {
			rt.Error("the setup's id does not follow its parts")
		}
	})
}

func TestFingerprintsIgnoreHowItIsWritten(t *testing.T) {
	a, _ := read(t, files{"apt.txt": "tree\nvim\n", "requirements.txt": "numpy\ntqdm\n", "users.csv": "n,p,a\nann,x,\n", OverrideYML: conjuringWith("hostname: a")}, Options{})
	b, _ := read(t, files{"apt.txt": "# mine\r\ntree vim # both\r\n", "requirements.txt": "# mine\nnumpy   # fast\n\ntqdm", "users.csv": "n,p,a\r\nann,x,\r\n", OverrideYML: "# mine\n" + conjuringWith("hostname: \"a\""), "README.md": "x"}, Options{})
	want(t, "fingerprints", b.Fingerprints(), a.Fingerprints())
	c, _ := read(t, files{"shared/a": "x"}, Options{})
	dir := files{"shared/a": "x"}.write(t, t.TempDir())
	must(t, os.Chmod(filepath.Join(dir, "shared/a"), 0o700))
	d, _ := Read(t.Context(), dir, Options{})
	if c.Fingerprints().Content == d.Fingerprints().Content {
		t.Error("a file that may be run now looks the same")
	}
}
