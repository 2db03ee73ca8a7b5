package environments

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/conjuring/conjured/notice"
	"pgregory.net/rapid"
)

// The files of testdata/uv are what uv 0.13.8 wrote.
func TestExplain(t *testing.T) {
	core := []byte("tornado==6.6.1 \\\n    --hash=sha256:" + strings.Repeat("a", 64) + "\n")
	for _, c := range []struct {
		file, asks string
		code       string
		line       int
		says       string
	}{
		{"misspelt", "nunpyx-qq", "environment-no-such-package", 2, "nunpyx-qq"},
		{"noversion", "six==99", "environment-no-such-version", 2, "version 99 of the package six"},
		{"conflict", "numpy==1.20", "environment-conflict", 1, "pandas==2.2.3 (line 1 of requirements.txt) and numpy==1.20 (line 2 of requirements.txt)"},
		{"core", "tornado==6.3", "environment-conflict", 2, "tornado 6.6.1, which JupyterLab"},
		{"sdist", "docopt", "environment-no-wheel", 2, "source code"},
		{"platform", "pywin32", "environment-no-wheel", 2, "kind of computer"},
		{"python", "ipython==9.9.0", "environment-python-version", 2, "needs Python>=3.11"},
		{"network", "cowsay", "environment-network", 0, "nonexistent.invalid cannot be reached"},
		{"refused", "cowsay", "environment-network", 0, "127.0.0.1:9 cannot be reached"},
		{"offline", "pycowsay", "environment-not-stored", 2, "not stored on this box"},
		{"tls", "pyjokes", "environment-certificate", 0, "pypi.org"},
		{"hash", "six", "environment-hash", 2, "six==1.17.0"},
	} {
		out, err := os.ReadFile(filepath.Join("testdata/uv", c.file+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		s := Spec{Env: Base, Core: core, Image: "i", Requirements: []Requirement{
			{Name: "pandas", Spec: "pandas==2.2.3", File: "requirements.txt", Line: 1},
			{Name: pinName(c.asks), Spec: c.asks, File: "requirements.txt", Line: 2},
		}}
		l := notice.For(explain(s, 10, string(out), ""))
		if len(l) != 1 {
			t.Errorf("%s: %v", c.file, l)
			continue
		}
		n := l[0]
		if n.Code != c.code || n.Line != c.line || !strings.Contains(n.What, c.says) || n.Means == "" || n.Do == "" || n.Severity != notice.SeverityError {
			t.Errorf("%s: %+v", c.file, n)
		}
	}
}

func TestNearest(t *testing.T) {
	for name, want := range map[string]string{"nunpy": "numpy", "pandsa": "pandas", "matplotlb": "matplotlib", "zzz": "", "xy": ""} {
		if got := nearest(name, nil); got != want {
			t.Errorf("nearest(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestSpecRefusesOptions(t *testing.T) {
	for line, ok := range map[string]bool{
		"numpy": true, "numpy>=2,<3": true, "a[b,c]==1 ; python_version < '3.13'": true, "./x-1-py3-none-any.whl": true,
		"x @ https://example.org/x-1-py3-none-any.whl": true, "-r /etc/shadow": false, "--index-url=http://x": false,
		"a\n-r b": false, "x @ file:///etc/x.whl": false, "x @ git+https://example.org/x": false, "a ${HOME}": false, "": false,
	} {
		s := Spec{Env: Base, Image: "i", Requirements: []Requirement{{Name: "x", Spec: line, File: "requirements.txt", Line: 1}}}
		if err := s.check(); (err == nil) != ok {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestManifestCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pkg := rapid.Custom(func(t *rapid.T) Package {
			return Package{
				Name:    rapid.StringMatching(`[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,3})?`).Draw(t, "name"),
				Version: rapid.StringMatching(`[0-9]{1,3}(\.[0-9]{1,2}){0,2}`).Draw(t, "version"),
				Hashes:  rapid.SliceOfN(rapid.StringMatching(`sha256:[0-9a-f]{64}`), 1, 3).Draw(t, "hashes"),
			}
		})
		pkgs := rapid.SliceOfNDistinct(pkg, 0, 8, func(p Package) string { return p.Name }).Draw(t, "packages")
		m := Manifest{Python: "3.13", Platform: "linux-x86_64", Packages: pkgs}
		back, err := ParseManifest(m.Canonical())
		if err != nil {
			t.Fatal(err)
		}
		if back.ID() != m.ID() {
			t.Fatal("reading changed it")
		}
		shuffled := Manifest{Python: m.Python, Platform: m.Platform, Packages: rapid.Permutation(pkgs).Draw(t, "order")}
		if shuffled.ID() != m.ID() {
			t.Fatal("order matters")
		}
	})
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(manifestHeader + "# python 3.13\n# platform linux-x86_64\na==1 \\\n    --hash=sha256:" + strings.Repeat("a", 64) + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseManifest(b)
		if err != nil {
			return
		}
		if back, err := ParseManifest(m.Canonical()); err != nil || back.ID() != m.ID() {
			t.Fatalf("not canonical: %v", err)
		}
	})
}
