package custom

import (
	"strings"
	"testing"
)

// spec is the environment of that name.
func spec(t testing.TB, f *Folder, name string) Spec {
	t.Helper()
	for _, s := range f.Environments() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no environment %s in %d", name, len(f.Environments()))
	return Spec{}
}

func condaOf(s Spec) (out []string) {
	for _, c := range s.Conda {
		out = append(out, c.Spec)
	}
	return out
}

func pipOf(s Spec) (out []string) {
	for _, p := range s.Pip {
		out = append(out, p.Spec)
	}
	return out
}

func TestE5_environmentFile(t *testing.T) {
	f, l := read(t, files{
		"environment.yml":         "name: base\nchannels: [conda-forge, bioconda]\ndependencies:\n- python=3.12\n- numpy >= 2, < 3\n- pip\n- pip:\n  - tqdm>=4 ; python_version > '3'\n  - -r requirements.txt\n",
		"environment-geo-101.yml": "channels:\n- conda-forge\ndependencies:\n- gdal\n- pytorch::Samtools 1.2 h1_0\n- pip: [rich]\n",
		"requirements.txt":        "# mine\nhumanize\n-r more.txt\n", "more.txt": "tabulate\n",
	}, Options{})
	wantNoErrors(t, l)
	base := spec(t, f, "base")
	want(t, "channels", base.Channels, []string{"conda-forge", "bioconda"})
	want(t, "conda", base.Conda, []CondaLine{{Spec: "python=3.12", File: "environment.yml", Line: 4}, {Spec: "numpy>=2,<3", File: "environment.yml", Line: 5}, {Spec: "pip", File: "environment.yml", Line: 6}})
	want(t, "pip", base.Pip, []Requirement{
		{Name: "humanize", Spec: "humanize", File: "requirements.txt", Line: 2},
		{Name: "tabulate", Spec: "tabulate", File: "more.txt", Line: 1},
		{Name: "tqdm", Spec: "tqdm>=4 ; python_version > '3'", File: "environment.yml", Line: 8},
	})
	want(t, "requirements.txt alone", len(f.Requirements().Items), 2)
	var kept []string
	for _, k := range base.Files {
		kept = append(kept, k.Name)
	}
	want(t, "for the history", kept, []string{"environment.yml", "requirements.txt"})
	geo := spec(t, f, "geo_101")
	want(t, "display", geo.Display, "geo-101")
	want(t, "conda", condaOf(geo), []string{"gdal", "pytorch::samtools 1.2 h1_0"})
	want(t, "channels", geo.Channels, []string{"conda-forge", "pytorch"})
	want(t, "pip", pipOf(geo), []string{"rich"})
}

func TestE6_laterFileOnTop(t *testing.T) {
	f, l := read(t, files{
		"environment-geo.yml": "channels: [conda-forge]\ndependencies: [gdal=3.8, numpy=1.26, scipy=1]\n",
		"environment_z.yml":   "name: geo\nchannels: [bioconda]\ndependencies: [numpy=2, scipy, tree]\n",
	}, Options{})
	wantNoErrors(t, l)
	geo := spec(t, f, "geo")
	want(t, "conda", geo.Conda, []CondaLine{
		{Spec: "gdal=3.8", File: "environment-geo.yml", Line: 2}, {Spec: "numpy=2", File: "environment_z.yml", Line: 3}, {Spec: "scipy=1", File: "environment-geo.yml", Line: 2}, {Spec: "tree", File: "environment_z.yml", Line: 3},
	})
	want(t, "channels", geo.Channels, []string{"conda-forge", "bioconda"})
	wantNotice(t, l, sevWarn, "environment-duplicate", "environment_z.yml", 1)
}

func TestCondaLines(t *testing.T) {
	for line, got := range map[string]string{
		"numpy": "numpy", "Pillow": "pillow", "numpy=2.3": "numpy=2.3", "numpy==2.3": "numpy==2.3", "numpy=2.3=py313_0": "numpy=2.3=py313_0", "numpy==2.3=py313_0": "numpy==2.3=py313_0",
		"numpy >=2,<3": "numpy>=2,<3", "numpy >= 2 , < 3": "numpy>=2,<3", "numpy 1.2.*": "numpy 1.2.*", "numpy 1.2 *mkl*": "numpy 1.2 *mkl*", "python=3.11|3.12": "python=3.11|3.12",
		"conda-forge::x264": "conda-forge::x264", "bioconda/noarch::a>1": "bioconda/noarch::a>1", "_libgcc_mutex=0.1": "_libgcc_mutex=0.1", "r-base=4.4": "r-base=4.4", "numpy~=2.0": "numpy~=2.0", "python = 3.12": "python=3.12",
	} {
		c, do := parseConda(line)
		if do != "" || c.String() != got {
			t.Errorf("%q is %q (%s), want %q", line, c, do, got)
		}
		if again, do := parseConda(c.String()); do != "" || again != c {
			t.Errorf("%q reads differently the second time: %q", c, again)
		}
	}
	for line, hint := range map[string]string{
		"numpy; python_version<'3'": "below pip:", "requests[socks]": "below pip:", "-r more.txt": "- -r requirements.txt", "pip install numpy": "without the command", "conda install -c x y": "without the command",
		"import numpy": "line of Python", "git+https://x/y": "address", "https://h/c::numpy": "below channels:", "https://x/numpy.conda": "address", "numpy @ https://x": "address", "numpy===2": "one =", "numpy=": "one =", "é": "one package", "numpy 1 2 3": "one =",
		"numpy &": "one =", "${X}": "themselves", "numpy=1=2=3": "one =", "": "one package", "=1": "one package", "numpy>": "one =",
	} {
		if c, do := parseConda(line); !strings.Contains(do, hint) {
			t.Errorf("%q is taken as %q, or the advice %q lacks %q", line, c, do, hint)
		}
	}
}

func TestChannels(t *testing.T) {
	file := func(channel string) files {
		return files{"environment.yml": "channels:\n- '" + channel + "'\ndependencies: [a]\n"}
	}
	for channel, name := range map[string]string{
		"defaults": "conda-forge", "main": "conda-forge", "r": "conda-forge", "conda-forge": "conda-forge", "https://conda.anaconda.org/bioconda/": "bioconda", "pytorch/label/nightly": "pytorch/label/nightly",
		"https://prefix.dev/conda-forge": "https://prefix.dev/conda-forge", "nodefaults": "conda-forge",
	} {
		f, l := read(t, file(channel), Options{})
		wantNoErrors(t, l)
		want(t, channel, spec(t, f, "base").Channels, []string{name})
	}
	for channel, code := range map[string]string{
		"https://me:geheim@example.org/c": "environment-credentials", "https://conda.anaconda.org/t/geheim-1/c": "environment-credentials", "me:geheim@example.org/c": "environment-credentials",
		"pkgs/main": "environment-anaconda", "https://repo.anaconda.com/pkgs/main": "environment-anaconda", "https://conda.anaconda.org/anaconda": "environment-anaconda", "HTTPS://REPO.anaconda.com/x": "environment-anaconda",
		"http://example.org/c": "environment-channel", "file:///etc": "environment-channel", "../x": "environment-channel", "a b": "environment-channel", "https://": "environment-channel", "-c": "environment-channel", "a//b": "environment-channel", "https://h/a;b": "environment-channel", "https://h/c?x": "environment-channel", "https://h/%2e%2e": "environment-channel", "https://h/" + strings.Repeat("a", 300): "environment-channel",
	} {
		f, l := read(t, file(channel), Options{})
		wantNotice(t, l, sevError, code, "environment.yml", 2)
		want(t, channel, spec(t, f, "base").Channels, []string{"conda-forge"})
		if strings.Contains(dump(l), "geheim") {
			t.Errorf("a notice holds the password: %s", dump(l))
		}
	}
	f, l := read(t, file("https://repo.anaconda.com/pkgs/main"), Options{Policy: Policy{AnacondaChannels: true}})
	wantNoErrors(t, l)
	want(t, "with a licence", spec(t, f, "base").Channels, []string{"https://repo.anaconda.com/pkgs/main"})
	f, l = read(t, files{"environment.yml": "channels: [defaults, conda-forge, defaults]\ndependencies: ['defaults::a', 'pkgs/main::b', 'conda-forge::c']\n"}, Options{})
	want(t, "once", spec(t, f, "base").Channels, []string{"conda-forge"})
	want(t, "in lines", condaOf(spec(t, f, "base")), []string{"conda-forge::a", "conda-forge::c"})
	wantNotice(t, l, sevError, "environment-anaconda", "environment.yml", 2)
}

func TestNamesOfEnvironments(t *testing.T) {
	for display, name := range map[string]string{"geo-101": "geo_101", "Bio.1": "bio_1", "7b": "env_7b", "_x": "env_x", "a.b-c_1": "a_b_c_1"} {
		f, l := read(t, files{"environment.yml": "name: '" + display + "'\n"}, Options{})
		wantNoErrors(t, l)
		want(t, "display", spec(t, f, name).Display, display)
	}
	for _, bad := range []string{strings.Repeat("a", 33), "system", "manifest", "Python3"} {
		f, l := read(t, files{"environment.yml": "channels: []\nname: " + bad + "\n"}, Options{})
		wantNotice(t, l, sevError, "environment-name", "environment.yml", 2)
		want(t, bad, len(f.Environments()), 1)
	}
	_, l := read(t, files{"environment-geo-101.yml": "", "environment-x.yml": "name: geo_101\n", "environment-Base.yml": ""}, Options{})
	wantNotice(t, l, sevError, "environment-collision", "environment-x.yml", 1)
	wantNotice(t, l, sevError, "environment-collision", "environment-Base.yml", 0)
	if s := dump(l); !strings.Contains(s, "geo-101 of environment-geo-101.yml and geo_101 of environment-x.yml line 1") {
		t.Errorf("both places should be named:\n%s", s)
	}
}

func TestFingerprintOfBaseIsWhole(t *testing.T) {
	of := func(env, geo string) Fingerprints {
		f, l := read(t, files{"environment.yml": "channels: [conda-forge]\ndependencies: [" + env + "]\n", "environment-geo.yml": "channels: [conda-forge]\ndependencies: [" + geo + "]\n"}, Options{})
		wantNoErrors(t, l)
		return f.Fingerprints()
	}
	a, base, geo, same := of("numpy", "gdal"), of("numpy=2", "gdal"), of("numpy", "gdal=3"), of("'numpy', # fast\n  ", "gdal")
	if a.Environment == base.Environment || a.Kernels != base.Kernels {
		t.Error("base's conda part belongs to Environment alone")
	}
	if a.Kernels == geo.Kernels || a.Environment != geo.Environment {
		t.Error("geo belongs to Kernels alone")
	}
	want(t, "how it is written", same, a)
}

// A list of everything that a laptop has is useful on another machine, too.
func TestExportedEnvironment(t *testing.T) {
	export := "name: base\nchannels:\n  - CHANNEL\ndependencies:\n  - _libgcc_mutex=0.1=main\n  - numpy=1.26.4=py311h0b4df5a_0\n  - vc=14.2=h21ff451_1\n  - m2w64-gmp=6.1.0=2\n  - scipy 1.11 h1_0\n  - pip:\n      - pywin32==306\n      - pywinpty ; sys_platform == 'win32'\n      - tqdm==4.66\nprefix: PREFIX\n"
	for what, c := range map[string]struct {
		channel, prefix string
		conda           []string
		loose           bool
	}{
		"Anaconda": {"defaults", "/home/ann/miniconda3", []string{"_libgcc_mutex=0.1", "numpy=1.26.4", "scipy 1.11"}, true},
		"Windows":  {"conda-forge", `C:\Users\Ann\miniconda3`, []string{"_libgcc_mutex=0.1", "numpy=1.26.4", "scipy 1.11"}, true},
		"macOS":    {"conda-forge", "/Users/ann/miniconda3", []string{"_libgcc_mutex=0.1", "numpy=1.26.4", "scipy 1.11"}, true},
		"Linux":    {"conda-forge", "/home/ann/miniconda3", []string{"_libgcc_mutex=0.1=main", "numpy=1.26.4=py311h0b4df5a_0", "scipy 1.11 h1_0"}, false},
	} {
		f, l := read(t, files{"environment.yml": strings.NewReplacer("CHANNEL", c.channel, "PREFIX", c.prefix).Replace(export), "environment-x.yml": "channels: [conda-forge]\ndependencies: [a=1=b]\n"}, Options{})
		wantNoErrors(t, l)
		want(t, what, condaOf(spec(t, f, "base")), c.conda)
		want(t, what, pipOf(spec(t, f, "base")), []string{"pywinpty ; sys_platform == 'win32'", "tqdm==4.66"})
		want(t, "the other file", condaOf(spec(t, f, "x")), []string{"a=1=b"})
		want(t, what, has(l, sevWarn, "environment-builds", "environment.yml", 5), c.loose)
		for _, line := range []int{7, 8, 11} {
			wantNotice(t, l, sevWarn, "environment-other-system", "environment.yml", line)
		}
	}
}
