package custom

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// lockFiles are lists as their tools write them, cut to a few packages.
func lockFiles(t testing.TB) files {
	t.Helper()
	out := files{}
	for _, name := range packaging() {
		data, err := os.ReadFile(filepath.Join("testdata/locks", strings.Replace(name, subdir(), "SUBDIR", 1)))
		must(t, err)
		out[name] = strings.ReplaceAll(string(data), "SUBDIR", subdir())
	}
	return out
}

// Checksums of the files in testdata/locks.
var sumA, sumB, sumC = "sha256:" + strings.Repeat("a", 64), "sha256:" + strings.Repeat("b", 64), "sha256:" + strings.Repeat("c", 64)

func TestUVLock(t *testing.T) {
	locks := lockFiles(t)
	f, l := read(t, files{"lesson/uv.lock": locks[uvLock], "lesson/pyproject.toml": locks[pyprojectTOML], "lesson/requirements.txt": "rich\nclick==8.5.0\n"}, Options{})
	wantNoErrors(t, l)
	s := spec(t, f, "lesson")
	want(t, "pip", s.Pip, []Requirement{
		{Name: "rich", Spec: "rich", File: "lesson/requirements.txt", Line: 1},
		{Name: "click", Spec: "click==8.5.0", File: "lesson/requirements.txt", Line: 2},
		{Name: "click", Spec: "click==8.5.0", File: "lesson/uv.lock", Line: 6, Constraint: true, Hashes: []string{sumA, sumB}},
		{Name: "click", Spec: "click", File: "lesson/uv.lock", Line: 19},
		{Name: "requests", Spec: "requests[socks] ; sys_platform != 'win32'", File: "lesson/uv.lock", Line: 20},
		{Name: "numpy", Spec: "numpy==2.2.6 ; (python_full_version < '3.11')", File: "lesson/uv.lock", Line: 33, Constraint: true},
		{Name: "numpy", Spec: "numpy==2.3.5 ; (python_full_version == '3.11.*') or (python_full_version >= '3.12')", File: "lesson/uv.lock", Line: 41, Constraint: true},
		{Name: "requests", Spec: "requests==2.33.0", File: "lesson/uv.lock", Line: 50, Constraint: true},
		{Name: "rich", Spec: "rich==15.1.0", File: "lesson/uv.lock", Line: 61, Constraint: true},
	})
	want(t, "python", s.Python, "3.12")
	wantNotice(t, l, sevInfo, "lock-imported", "lesson/uv.lock", 0)
	wantNotice(t, l, sevWarn, "lock-other", "lesson/uv.lock", 27)
	_, l = read(t, files{"uv.lock": locks[uvLock], "requirements.txt": "click==7\n", "pylock.toml": locks[pylockTOML]}, Options{})
	wantNotice(t, l, sevWarn, "lock-two", "pylock.toml", 0)
}

func TestPylock(t *testing.T) {
	f, l := read(t, files{"pylock.toml": lockFiles(t)[pylockTOML], "requirements.txt": "click\n"}, Options{})
	wantNoErrors(t, l)
	want(t, "pip", spec(t, f, "base").Pip, []Requirement{
		{Name: "click", Spec: "click", File: "requirements.txt", Line: 1},
		{Name: "click", Spec: "click==8.5.0", File: "pylock.toml", Line: 6, Hashes: []string{sumA, "sha512:" + strings.Repeat("d", 128)}},
		{Name: "colorama", Spec: "colorama==0.4.6 ; sys_platform == 'win32'", File: "pylock.toml", Line: 13},
	})
	wantNotice(t, l, sevInfo, "lock-group", "pylock.toml", 19)
	wantNotice(t, l, sevWarn, "lock-other", "pylock.toml", 24)
	_, l = read(t, files{"pylock.toml": lockFiles(t)[pylockTOML], "requirements.txt": "click==7\n"}, Options{})
	wantNotice(t, l, sevError, "requirements-contradiction", "pylock.toml", 6)
}

func TestPipfileLock(t *testing.T) {
	f, l := read(t, files{"Pipfile.lock": lockFiles(t)[pipfileLock]}, Options{})
	wantNoErrors(t, l)
	want(t, "pip", spec(t, f, "base").Pip, []Requirement{
		{Name: "click", Spec: "click==8.5.0 ; python_version >= '3.10'", File: "Pipfile.lock", Line: 14, Hashes: []string{sumA, sumB}},
		{Name: "rich", Spec: "rich==15.1.0", File: "Pipfile.lock", Line: 24, Hashes: []string{sumC}},
	})
	want(t, "python", spec(t, f, "base").Python, "3.12")
	wantNotice(t, l, sevWarn, "lock-other", "Pipfile.lock", 19)
}

func TestCondaLock(t *testing.T) {
	lock := lockFiles(t)[condaLockYML]
	f, l := read(t, files{"conda-lock.yml": lock, "environment.yml": "name: base\nchannels: [bioconda]\ndependencies: [numpy]\n", "environment-geo.yml": "channels: [x]\ndependencies: [gdal]\n"}, Options{})
	wantNoErrors(t, l)
	base := spec(t, f, "base")
	want(t, "conda", base.Conda, []CondaLine{{Spec: "_libgcc_mutex=0.1=conda_forge", File: "conda-lock.yml", Line: 15, Hash: "md5:d7c89558ba9fa0495403155b64376d81"}, {Spec: "numpy=2.2.6=py312h72c5963_0", File: "conda-lock.yml", Line: 25, Hash: "sha256:c3b3ff686c86ed3ec7a2cc38053fd6234260b64286c2bd573e436156f39d14a7"}})
	want(t, "channels", base.Channels, []string{"conda-forge"})
	want(t, "pip", base.Pip, []Requirement{{Name: "typing-extensions", Spec: "typing_extensions==4.8.0", File: "conda-lock.yml", Line: 45, Hashes: []string{sumC}}})
	wantNotice(t, l, sevInfo, "lock-instead", "environment.yml", 3)
	wantNotice(t, l, sevInfo, "lock-md5", "conda-lock.yml", 15)
	want(t, "the others", condaOf(spec(t, f, "geo")), []string{"gdal"})
	for what, c := range map[string]struct{ old, new, code string }{
		"anaconda":    {"conda.anaconda.org/conda-forge/" + subdir() + "/numpy", "repo.anaconda.com/pkgs/main/" + subdir() + "/numpy", "environment-anaconda"},
		"password":    {"https://conda.anaconda.org/conda-forge/" + subdir() + "/numpy", "https://me:geheim@example.org/c/" + subdir() + "/numpy", "environment-credentials"},
		"http":        {"https://conda.anaconda.org/conda-forge/" + subdir() + "/numpy", "http://example.org/c/" + subdir() + "/numpy", "environment-channel"},
		"no archive":  {"numpy-2.2.6-py312h72c5963_0.conda", "numpy.exe", "lock-line"},
		"other shape": {"package:", "packages:", "lock-shape"},
		"other place": {"platform: " + subdir(), "platform: osx-64", "lock-platform"},
		"bomb":        {"hash:", "hash: &x", "yaml-anchor"},
		"no hash":     {"sha256: c3b3", "sha256: ../", "lock-hash"},
	} {
		_, l := read(t, files{"conda-lock.yml": strings.ReplaceAll(lock, c.old, c.new)}, Options{})
		if !l.HasErrors() || !strings.Contains(dump(l), c.code) || strings.Contains(dump(l), "geheim") {
			t.Errorf("%s: want %s:\n%s", what, c.code, dump(l))
		}
	}
}

func TestExplicitLock(t *testing.T) {
	lock := lockFiles(t)[explicitLock()]
	f, l := read(t, files{"geo/" + explicitLock(): lock}, Options{})
	wantNoErrors(t, l)
	s := spec(t, f, "geo")
	want(t, "conda", condaOf(s), []string{"_libgcc_mutex=0.1=conda_forge", "tzdata=2025b=h78e105d_0", "bzip2=1.0.8=hd590300_5", "six=1.17.0=pyhd8ed1ab_0"})
	want(t, "checksums", []string{s.Conda[0].Hash, s.Conda[1].Hash, s.Conda[2].Hash, s.Conda[3].Hash}, []string{"md5:d7c89558ba9fa0495403155b64376d81", sumA, sumB, ""})
	want(t, "pip", s.Pip, []Requirement{{Name: "requests", Spec: "requests==2.31.0", File: "geo/" + explicitLock(), Line: 9, Hashes: []string{sumC}}})
	want(t, "history", len(s.Files), 1)
	for what, c := range map[string]struct{ old, new, code string }{
		"no mark":     {"@EXPLICIT", "", "lock-shape"},
		"other place": {subdir() + "/bzip2", "osx-64/bzip2", "lock-platform"},
		"no hash":     {"#sha256:aaaa", "#sha256:zz", "lock-hash"},
		"no archive":  {"six-1.17.0-pyhd8ed1ab_0.conda", "six.exe", "lock-line"},
		"password":    {"https://conda.anaconda.org/conda-forge/noarch/six", "https://me:geheim@example.org/c/noarch/six", "environment-credentials"},
	} {
		_, l := read(t, files{explicitLock(): strings.ReplaceAll(lock, c.old, c.new)}, Options{})
		if !l.HasErrors() || !strings.Contains(dump(l), c.code) || strings.Contains(dump(l), "geheim") {
			t.Errorf("%s: want %s:\n%s", what, c.code, dump(l))
		}
	}
}

func TestPoetryLock(t *testing.T) {
	f, l := read(t, files{"poetry.lock": lockFiles(t)[poetryLock], "pyproject.toml": "[tool.poetry.dependencies]\nclick = '*'\n"}, Options{})
	wantNoErrors(t, l)
	want(t, "pip", spec(t, f, "base").Pip, []Requirement{
		{Name: "click", Spec: "click==8.5.0", File: "poetry.lock", Line: 4, Hashes: []string{sumA, sumB}},
		{Name: "colorama", Spec: "colorama==0.4.6 ; platform_system == \"Windows\"", File: "poetry.lock", Line: 19, Hashes: []string{sumC}},
	})
	wantNotice(t, l, sevInfo, "lock-group", "poetry.lock", 30)
	wantNotice(t, l, sevWarn, "lock-other", "poetry.lock", 38)
	if has(l, sevWarn, "pyproject-poetry", "pyproject.toml", 1) {
		t.Error("the list has the packages")
	}
}

func TestPixiLock(t *testing.T) {
	f, l := read(t, files{"px/pixi.lock": lockFiles(t)[pixiLock]}, Options{})
	wantNoErrors(t, l)
	s := spec(t, f, "px")
	want(t, "conda", condaOf(s), []string{"bzip2=1.0.8=hd590300_5", "python=3.12.3=hab00c5b_0_cpython"})
	want(t, "channels", s.Channels, []string{"conda-forge"})
	want(t, "pip", pipOf(s), []string{"requests==2.31.0", "odd==1.0"})
	want(t, "checksums", []any{s.Conda[0].Hash, s.Conda[1].Hash, s.Pip[0].Hashes, s.Pip[1].Hashes}, []any{sumA, "", []string(nil), []string{sumB}})
	wantNotice(t, l, sevWarn, "lock-other", "px/pixi.lock", 13)
	_, l = read(t, files{"pixi.lock": "version: 6\nenvironments: {}\n"}, Options{})
	wantNotice(t, l, sevError, "lock-platform", "pixi.lock", 1)
}

func TestPyproject(t *testing.T) {
	text := lockFiles(t)[pyprojectTOML]
	f, l := read(t, files{"lesson/pyproject.toml": text}, Options{})
	wantNoErrors(t, l)
	s := spec(t, f, "lesson")
	want(t, "pip", s.Pip, []Requirement{
		{Name: "click", Spec: "click", File: "lesson/pyproject.toml", Line: 6},
		{Name: "requests", Spec: "requests[socks]; sys_platform != 'win32'", File: "lesson/pyproject.toml", Line: 7},
		{Name: "rich", Spec: "rich>=13", File: "lesson/pyproject.toml", Line: 8},
	})
	want(t, "python", s.Python, "3.12")
	_, l = read(t, files{"pyproject.toml": "[project]\ndependencies = [\n'a b',\n'x @ https://y/z']\n"}, Options{})
	wantNotice(t, l, sevError, "requirements-line", "pyproject.toml", 3)
	wantNotice(t, l, sevError, "requirements-url", "pyproject.toml", 4)
	_, l = read(t, files{"pyproject.toml": "[tool.poetry.dependencies]\na = '1'\n"}, Options{})
	wantNotice(t, l, sevWarn, "pyproject-poetry", "pyproject.toml", 1)
	for what, bad := range map[string]string{"syntax": "a = \n[project\n", "twice": "[project]\n[project]\n", "kind": "[project]\ndependencies = 3\n", "deep": "a = " + strings.Repeat("[", 100_000)} {
		_, l := read(t, files{"pyproject.toml": bad}, Options{})
		if !l.HasErrors() || !strings.Contains(dump(l), "toml-syntax") {
			t.Errorf("%s:\n%s", what, dump(l))
		}
	}
}

func TestRequiresPython(t *testing.T) {
	for text, python := range map[string]string{
		">=3.9": "", ">=3.11": "", ">=3.9,<4": "", "~=3.9": "", ">3.6, <4.0": "", "!=3.10.*": "", ">=3.10,<3.13": "3.12", "==3.12.*": "3.12", "==3.11": "3.11", "~=3.11.2": "3.11", "<3.12": "3.11", ">=3.12": "3.13", ">=3.14": "3.14",
		"!=3.13.*": "3.12", ">3.11": "3.13", "<=3.11.9": "3.11", "==3.*": "",
	} {
		f, l := read(t, files{"pyproject.toml": "[project]\nrequires-python = \"" + text + "\"\n"}, Options{})
		wantNoErrors(t, l)
		want(t, text, spec(t, f, "base").Python, python)
	}
	for _, text := range []string{"<3", "2.7", "==2.7.*", ">=4", "x", ">=3.12,<3.12"} {
		_, l := read(t, files{"pyproject.toml": "[project]\nrequires-python = \"" + text + "\"\n"}, Options{})
		wantNotice(t, l, sevError, "pyproject-python", "pyproject.toml", 2)
	}
}

func TestLocksAreSavedAndLimited(t *testing.T) {
	big := files{"uv.lock": "# " + strings.Repeat("x", MaxHistoryFile) + "\n", "pixi.lock": strings.Repeat("x", MaxLock+1)}
	f, l := read(t, big, Options{})
	wantNotice(t, l, sevInfo, "environment-history", "uv.lock", 0)
	wantNotice(t, l, sevError, "file-too-large", "pixi.lock", 0)
	want(t, "for the history", len(spec(t, f, "base").Files), 0)
}
