package environments

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/txtar"
)

// lockOf is a manifest with packages of both kinds, in both formats of conda's files.
func lockOf() Manifest {
	conda := func(url, hash string, size int64) Package {
		name, version, build, _ := condaFile(url)
		return Package{Kind: Conda, Name: name, Version: version, Build: build, URL: url, Hashes: []string{"sha256:" + strings.Repeat(hash, 64)}, Size: size}
	}
	return Manifest{Python: "3.13", Platform: "linux-x86_64", Packages: []Package{
		conda("https://conda.anaconda.org/conda-forge/noarch/tzdata-2025b-h78e105d_0.conda", "a", 122968),
		{Name: "otter-grader", Version: "7.0.0", Hashes: []string{"sha256:" + strings.Repeat("e", 64), "sha256:" + strings.Repeat("d", 64)}},
		conda("https://conda.anaconda.org/conda-forge/linux-64/python-3.13.5-hec9711d_102_cp313.conda", "b", 0),
		conda("https://conda.anaconda.org/conda-forge/linux-64/_libgcc_mutex-0.1-conda_forge.tar.bz2", "c", 2562),
		conda("https://packages.example.org/lab/noarch/py-geo-tools-1!2.0-py_0.conda", "f", 9),
	}}
}

// The files that others read: testdata/locks.txtar. Run with UPDATE=1 to write it anew,
// and read the difference.
func TestK2_lockFilesGolden(t *testing.T) {
	m := lockOf()
	md5 := map[string]string{}
	for _, p := range m.of(Conda) {
		sum := strings.TrimPrefix(p.Hashes[0], "sha256:")
		md5[sum] = sum[:32]
	}
	old, err := m.ExplicitMD5(md5)
	if err != nil {
		t.Fatal(err)
	}
	got := &txtar.Archive{Files: []txtar.File{
		{Name: "conda.lock", Data: m.Explicit()},
		{Name: "conda.md5.lock", Data: old},
		{Name: "env.manifest", Data: m.Legacy()},
		{Name: "requirements.lock", Data: m.RequirementsLock()},
	}}
	path := filepath.Join("testdata", "locks.txtar")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, txtar.Format(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(txtar.Format(want)), string(txtar.Format(got))); d != "" {
		t.Errorf("lock files (-want +got):\n%s", d)
	}
}

func TestExplicit_roundTrip(t *testing.T) {
	m := lockOf()
	got, err := ParseExplicit(m.Explicit())
	if err != nil {
		t.Fatal(err)
	}
	want := Manifest{Python: m.Python, Platform: m.Platform, Packages: m.of(Conda)}
	if d := cmp.Diff(want, got, cmpopts.IgnoreFields(Package{}, "Size")); d != "" {
		t.Errorf("ParseExplicit(Explicit()) (-want +got):\n%s", d)
	}
	pip, err := ParseRequirementsLock(m.RequirementsLock())
	if err != nil || len(pip) != 1 || pip[0].String() != "otter-grader==7.0.0" || len(pip[0].Hashes) != 2 {
		t.Errorf("ParseRequirementsLock = %v, %v", pip, err)
	}
	old, err := ParseLegacy(m.Legacy())
	if err != nil || len(old) != 4 {
		t.Fatalf("ParseLegacy = %v, %v", old, err)
	}
	if got, want := old[1].Spec(), "https://packages.example.org/lab::py-geo-tools=1!2.0=py_0"; got != want {
		t.Errorf("Spec = %q, want %q", got, want)
	}
	if got, want := old[0].Spec(), "conda-forge::_libgcc_mutex=0.1=conda_forge"; got != want {
		t.Errorf("Spec = %q, want %q", got, want)
	}
}

func TestChannelURL(t *testing.T) {
	for name, want := range map[string]string{
		"conda-forge": "https://conda.anaconda.org/conda-forge", "conda-forge/label/rc": "https://conda.anaconda.org/conda-forge/label/rc",
		"pkgs/r": "https://repo.anaconda.com/pkgs/r", "https://packages.example.org/lab/": "https://packages.example.org/lab",
	} {
		if got := ChannelURL(name); got != want {
			t.Errorf("ChannelURL(%q) = %q, want %q", name, got, want)
		}
		if got := ChannelName(ChannelURL(name)); got != strings.TrimRight(name, "/") {
			t.Errorf("ChannelName(%q) = %q, want %q", want, got, name)
		}
	}
	if got := ChannelURL("defaults"); got != "https://repo.anaconda.com/pkgs/main" {
		t.Errorf("defaults is %q", got)
	}
}

func TestExplicit_none(t *testing.T) {
	m := Manifest{Python: "3.13", Platform: "linux-x86_64"}
	if m.Explicit() != nil || m.Legacy() != nil || m.RequirementsLock() != nil {
		t.Error("a manifest without packages has lock files")
	}
	if _, err := lockOf().ExplicitMD5(nil); err == nil || !strings.Contains(err.Error(), "_libgcc_mutex") {
		t.Errorf("ExplicitMD5 without hashes = %v, want an error that names the package", err)
	}
}

func TestParseExplicit_foreign(t *testing.T) {
	hash := strings.Repeat("0", 64)
	url := "https://conda.anaconda.org/conda-forge/linux-aarch64/python-3.12.4-0.conda"
	m, err := ParseExplicit([]byte("# This file may be used to create an environment\r\n# created-by: conda 25.5.1\r\n@EXPLICIT\r\n" + url + "#" + hash + "\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if m.Platform != "linux-aarch64" || m.Python != "3.12" || len(m.Packages) != 1 {
		t.Errorf("ParseExplicit = %+v", m)
	}
	for name, text := range map[string]string{
		"no mark":     url + "#" + hash,
		"md5":         "@EXPLICIT\n" + url + "#" + hash[:32],
		"no hash":     "@EXPLICIT\n" + url,
		"a path":      "@EXPLICIT\n/etc/passwd.conda#" + hash,
		"a password":  "@EXPLICIT\nhttps://me:secret@x.org/c/noarch/a-1-0.conda#" + hash,
		"no version":  "@EXPLICIT\nhttps://x.org/c/noarch/a.conda#" + hash,
		"not a conda": "@EXPLICIT\nhttps://x.org/c/noarch/a-1-0.zip#" + hash,
		"twice":       "@EXPLICIT\n" + url + "#" + hash + "\n" + strings.Replace(url, "3.12.4", "3.12.5", 1) + "#" + hash,
	} {
		if m, err := ParseExplicit([]byte(text)); err == nil {
			t.Errorf("%s: ParseExplicit = %+v, want an error", name, m)
		}
	}
}

func TestParseLegacy_hostile(t *testing.T) {
	for _, text := range []string{"numpy-1-0", "conda-forge/linux-64\tnumpy-1-0", "https://x.org/c/noarch\tnumpy", "https://x.org/c/noarch\t../../x-1-0", "https://a:b@x.org/c/noarch\tx-1-0"} {
		if got, err := ParseLegacy([]byte(text)); err == nil {
			t.Errorf("ParseLegacy(%q) = %v, want an error", text, got)
		}
	}
}

// Whatever is read is written so that it is read again as the same.
func FuzzParseExplicit(f *testing.F) {
	f.Add(lockOf().Explicit())
	f.Add([]byte("@EXPLICIT\nhttps://x.org/c/noarch/a-1-0.conda#" + strings.Repeat("1", 64)))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseExplicit(b)
		if err != nil {
			return
		}
		again, err := ParseExplicit(m.Explicit())
		if len(m.Packages) == 0 {
			return
		}
		if err != nil || !bytes.Equal(again.Explicit(), m.Explicit()) {
			t.Fatalf("read again: %v\n%s\n%s", err, m.Explicit(), again.Explicit())
		}
	})
}

func FuzzParseLegacy(f *testing.F) {
	f.Add(lockOf().Legacy())
	f.Add([]byte("https://x.org/c/noarch\ta--"))
	f.Fuzz(func(t *testing.T, b []byte) {
		old, err := ParseLegacy(b)
		if err != nil {
			return
		}
		for _, l := range old {
			if strings.ContainsAny(l.Spec(), "\n\r\t") || l.Name == "" || l.Version == "" || l.Build == "" {
				t.Fatalf("%+v", l)
			}
		}
	})
}
