package environments

import (
	"cmp"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func pip(name, version string, hashes ...string) Package {
	if hashes == nil {
		hashes = []string{"sha256:" + name + version}
	}
	return Package{Name: name, Version: version, Hashes: hashes}
}

func conda(name, version, build string) Package {
	return Package{Kind: Conda, Name: name, Version: version, Build: build, URL: "https://c/" + name + version + build, Hashes: []string{"sha256:" + name + version + build}}
}

func list(ps ...Package) Manifest {
	return Manifest{Python: "3.13", Platform: "linux-x86_64", Packages: ps}
}

// Each kind of change, its class, and the sentence that a teacher reads.
func TestDiff(t *testing.T) {
	numpy := pip("numpy", "2.1.0")
	for _, x := range []struct {
		name     string
		from, to Manifest
		class    Class
		sentence string
	}{
		{"the same", list(numpy), list(numpy), None, "nothing changes in geo"},
		{"another order", list(numpy, pip("a", "1")), list(pip("a", "1"), numpy), None, "nothing changes in geo"},
		{"one more hash upstream", list(pip("numpy", "1", "x")), list(pip("numpy", "1", "x", "y")), None, "nothing changes in geo"},
		{"added", list(numpy), list(numpy, pip("a", "1"), conda("b", "2", "0")), AddOnly, "Geo gets 2 new packages; nothing else changes"},
		{"one added", list(numpy), list(numpy, pip("a", "1")), AddOnly, "Geo gets the new package a; nothing else changes"},
		{"removed", list(numpy, pip("a", "1")), list(numpy), Major, "Geo loses a; kernels that run keep what they have until they are restarted"},
		{"patch", list(numpy), list(pip("numpy", "2.1.1")), Patch, "Geo gets a newer version of numpy; kernels that run keep what they have until they are restarted"},
		{"major", list(numpy), list(pip("numpy", "3.0")), Major, ""},
		{"before 1.0", list(pip("a", "0.3.1")), list(pip("a", "0.4.0")), Major, ""},
		{"before 1.0, small", list(pip("a", "0.3.1")), list(pip("a", "0.3.2")), Patch, ""},
		{"older", list(numpy), list(pip("numpy", "2.0.9")), Patch, "Geo gets an older version of numpy; kernels that run keep what they have until they are restarted"},
		{"much older", list(numpy), list(pip("numpy", "1.9")), Major, ""},
		{"other bytes", list(pip("numpy", "1", "x")), list(pip("numpy", "1", "y")), Patch, "Geo gets another build of numpy; kernels that run keep what they have until they are restarted"},
		{"another build", list(conda("a", "1", "0")), list(conda("a", "1", "1")), Patch, ""},
		{"another engine", list(pip("a", "1")), list(conda("a", "1", "0")), Patch, "Geo gets another build of a; kernels that run keep what they have until they are restarted"},
		{"another engine and newer", list(conda("a", "1.0", "0")), list(pip("a", "1.1")), Patch, "Geo gets a newer version of a; kernels that run keep what they have until they are restarted"},
		{"one of two engines", list(pip("a", "1"), conda("a", "1", "0")), list(conda("a", "1", "0")), Major, "Geo loses a; kernels that run keep what they have until they are restarted"},
		{"python", list(numpy), Manifest{Python: "3.12", Platform: "linux-x86_64", Packages: []Package{numpy}}, Major, "Geo moves from Python 3.13 to 3.12; kernels that run keep what they have until they are restarted"},
		{"machine", list(numpy), Manifest{Python: "3.13", Platform: "linux-aarch64", Packages: []Package{numpy}}, Major, ""},
		{"system", list(Package{Kind: Apt, Name: "tree", Version: "1"}), list(Package{Kind: Apt, Name: "tree", Version: "2"}, numpy), Restart, "Geo gets the new package numpy and gets a newer version of tree; servers that start from now on have it"},
		{"not of the system", list(Package{Kind: Apt, Name: "numpy", Version: "1"}), list(Package{Kind: Apt, Name: "numpy", Version: "1"}, numpy), AddOnly, ""},
		{"several", list(numpy, pip("a", "1")), list(pip("numpy", "2.2"), pip("b", "1")), Major, "Geo gets the new package b, loses a and gets a newer version of numpy; kernels that run keep what they have until they are restarted"},
		{"a wheel", list(Package{Name: "own", URL: "file:///s/own-1.0-py3-none-any.whl", Hashes: []string{"x"}}), list(Package{Name: "own", URL: "file:///s/own-1.1-py3-none-any.whl", Hashes: []string{"y"}}), Patch, "Geo gets a newer version of own; kernels that run keep what they have until they are restarted"},
	} {
		c := Diff(x.from, x.to)
		if got := c.Class(); got != x.class {
			t.Errorf("%s: %s, want %s: %+v", x.name, got, x.class, c)
		}
		if got := c.Sentence("geo"); x.sentence != "" && got != x.sentence {
			t.Errorf("%s:\n%s, want\n%s", x.name, got, x.sentence)
		}
	}
	c := Diff(list(numpy, pip("z", "1")), list(Package{Name: "new", Version: "1", Size: 7, Hashes: []string{"h"}}, pip("numpy", "2.2"), pip("a", "1")))
	want := Changes{
		Added:    []Change{{Name: "a", To: "1"}, {Name: "new", To: "1", Size: 7}},
		Removed:  []Change{{Name: "z", From: "1"}},
		Upgraded: []Change{{Name: "numpy", From: "2.1.0", To: "2.2"}},
	}
	if d := gocmp.Diff(want, c); d != "" {
		t.Error(d)
	}
}

// The versions of PEP 440 in its own order, and conda's that differ in form.
func TestVersionOrder(t *testing.T) {
	ordered := [][]string{
		{"0.9"},
		{"1.dev456"},
		{"1.0a1"},
		{"1.0a2.dev456"},
		{"1.0a12.dev456"},
		{"1.0a12"},
		{"1.0b1.dev456"},
		{"1.0b2"},
		{"1.0b2.post345"},
		{"1.0rc1.dev456", "1.0c1.dev456"},
		{"1.0rc1", "1.0.rc1", "1.0-rc.1"},
		{"1.0", "1", "1.0.0", "v1.0", "01.0"},
		{"1.0+abc.5"},
		{"1.0+abc.7"},
		{"1.0+5"},
		{"1.0.post456.dev34"},
		{"1.0.post456"},
		{"1.0.15"},
		{"1.1.dev1"},
		{"1.1"},
		{"9.10"},
		{"2024b"},
		{"20240101"},
		{"1!0.1"},
	}
	for i, as := range ordered {
		for j, bs := range ordered {
			for _, a := range as {
				for _, b := range bs {
					if got, want := sign(compareVersions(a, b)), cmp.Compare(i, j); got != want {
						t.Errorf("%s and %s: %d, want %d", a, b, got, want)
					}
				}
			}
		}
	}
}

func sign(n int) int { return cmp.Compare(n, 0) }

// Any text can be compared, both ways and through a third, and the way back of a change
// is the change turned round.
func TestVersionOrderOfAnything(t *testing.T) {
	version := rapid.StringMatching(`([0-9]!)?(0|1|2|10|a|rc|dev|post|x|\.|-|\+){0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := version.Draw(t, "a"), version.Draw(t, "b"), version.Draw(t, "c")
		if sign(compareVersions(a, b)) != -sign(compareVersions(b, a)) || compareVersions(a, a) != 0 {
			t.Errorf("%q and %q", a, b)
		}
		if compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0 && compareVersions(a, c) > 0 {
			t.Errorf("%q, %q, %q", a, b, c)
		}
		there, back := Diff(list(pip("p", a)), list(pip("p", b), pip("q", c))), Diff(list(pip("p", b), pip("q", c)), list(pip("p", a)))
		if len(there.Upgraded) != len(back.Downgraded) || len(there.Downgraded) != len(back.Upgraded) || len(there.Added) != len(back.Removed) || len(there.Rebuilt) != len(back.Rebuilt) {
			t.Errorf("%+v, %+v", there, back)
		}
	})
}
