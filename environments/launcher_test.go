package environments

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A program is told of the generation it runs in, and of no other one.
func TestLauncher_conda(t *testing.T) {
	s := open(t)
	g := generation(t, s)
	if err := s.Flip(Current, g); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(s.Root(), g.Path())
	put(t, s, g.Path()+"/bin/show", "#!/bin/sh\necho \"${VIRTUAL_ENV-none} ${CONDA_PREFIX-none} ${CONDA_DEFAULT_ENV-none} ${PYTHONHOME-none} $PATH\"\n")
	if err := os.Chmod(filepath.Join(dir, "bin/show"), 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, s, "launch", string(Launcher))
	for _, x := range []struct{ conda, want string }{
		{"", dir + " none none none " + dir + "/bin:/usr/bin:/bin\n"},
		{"/conda-meta/history", "none " + dir + " base none " + dir + "/bin:/usr/bin:/bin\n"},
	} {
		if x.conda != "" {
			put(t, s, g.Path()+x.conda, "")
		}
		cmd := exec.Command("sh", filepath.Join(s.Root(), "launch"), "base@current", "show")
		cmd.Env = []string{
			"CONJURED_ENV=" + s.Root(), "PATH=" + s.Root() + "/gen/other/1/bin:/usr/bin:/bin",
			"VIRTUAL_ENV=/old", "CONDA_PREFIX=/old", "CONDA_DEFAULT_ENV=old", "PYTHONHOME=/old",
		}
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != x.want {
			t.Errorf("%q, %v; want %q", out, err, x.want)
		}
	}
}

// A program has the variables of its generation as they are written, whatever they look
// like to a shell, and those of the generation that started it are gone.
func TestLauncher_variables(t *testing.T) {
	s := open(t)
	put(t, s, "launch", string(Launcher))
	text := map[Name]string{
		"base":  "PATH=%/share/one:%/share/two\n-GONE\nONLY_BASE=1\nnl=1\nold=1\nTOLD=base\n",
		"geo":   "GDAL_DATA=%/share/gdal\nTOLD=a b  'c' \"d\" $HOME `id` $(id) \\n \\\nclean=x\nconjured=\ngen=/evil\nprog=sh\nroot=*\n",
		"plain": "",
	}
	for env, v := range text {
		g := generationOf(t, s, env)
		dir := filepath.Join(s.Root(), g.Path())
		put(t, s, g.Path()+"/bin/show", "#!/bin/sh\nexec env\n")
		put(t, s, g.Path()+"/bin/again", "#!/bin/sh\nexec sh "+s.Root()+"/launch \"$@\"\n")
		for _, f := range []string{"show", "again"} {
			if err := os.Chmod(filepath.Join(dir, "bin", f), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if v != "" {
			put(t, s, g.Path()+"/variables.txt", strings.ReplaceAll(v, "%", dir))
		}
		if err := s.Flip(Current, g); err != nil {
			t.Fatal(err)
		}
	}
	environ := func(args ...string) map[string]string {
		cmd := exec.Command("sh", append([]string{filepath.Join(s.Root(), "launch")}, args...)...)
		cmd.Env = []string{"CONJURED_ENV=" + s.Root(), "PATH=/usr/bin:/bin", "GONE=here", "OWN=1", "TOLD=by the class", "SPARE=one\ntwo\nclean=3"}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s", out)
		}
		m := map[string]string{}
		for line := range strings.Lines(string(out)) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			m[name] = value
		}
		return m
	}
	base, geo := filepath.Join(s.Root(), "gen/base/1"), filepath.Join(s.Root(), "gen/geo/1")
	m := environ("base@current", "show")
	if _, there := m["GONE"]; there || m["TOLD"] != "base" || m["OWN"] != "1" || m["PATH"] != base+"/bin:"+base+"/share/one:"+base+"/share/two:/usr/bin:/bin" {
		t.Errorf("%v", m)
	}
	for _, m := range []map[string]string{environ("geo@current", "show"), environ("base@current", "again", "geo@current", "show")} {
		want := map[string]string{
			"GDAL_DATA": geo + "/share/gdal", "TOLD": "a b  'c' \"d\" $HOME `id` $(id) \\n \\", "clean": "x", "conjured": "",
			"gen": "/evil", "prog": "sh", "root": "*", "GONE": "here", "PATH": geo + "/bin:/usr/bin:/bin", "OWN": "1", "ONLY_BASE": "",
		}
		for name, value := range want {
			if m[name] != value {
				t.Errorf("%s is %q", name, m[name])
			}
		}
	}
	m = environ("base@current", "again", "geo@current", "again", "plain@current", "show")
	if m["TOLD"] != "by the class" || m["GONE"] != "here" || m["OWN"] != "1" {
		t.Errorf("what was there before is not back: %v", m)
	}
	for name := range m {
		if strings.HasPrefix(name, "CONJURED_WAS") {
			t.Errorf("%s is left", name)
		}
	}
	for _, name := range []string{"ONLY_BASE", "GDAL_DATA", "CONJURED_VARIABLES"} {
		if v, there := m[name]; there {
			t.Errorf("%s is %q", name, v)
		}
	}
}
