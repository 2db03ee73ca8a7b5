package custom

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/conjuring/conjured/notice"
	"github.com/google/go-cmp/cmp"
)

const (
	sevError = notice.SeverityError
	sevWarn  = notice.SeverityWarning
	sevInfo  = notice.SeverityInfo
)

func names(f *Folder) (apt, req, env, srv []string) {
	for _, p := range f.AptPackages() {
		apt = append(apt, p.Spec())
	}
	for _, q := range f.Requirements().Items {
		req = append(req, q.Spec)
	}
	for _, e := range f.EnvironmentFiles() {
		env = append(env, e.Name)
	}
	for _, s := range f.Srv() {
		srv = append(srv, s.Name)
	}
	return apt, req, env, srv
}

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestA1_originalFolder(t *testing.T) {
	f, l := read(t, original(), Options{})
	wantNoErrors(t, l)
	apt, req, env, srv := names(f)
	want(t, "apt", apt, []string(nil))
	want(t, "requirements", req, []string(nil))
	want(t, "environments", env, []string{"base"})
	want(t, "srv", srv, []string{"jupyterhub_config.py"})
	want(t, "stages", f.Stages(), []Stage{{Name: "base", Image: "ubuntu:18.04", Line: 1}})
	if n := len(f.Roster().Rows); n != 2 {
		t.Errorf("%d accounts, want john and jane", n)
	}
	var paths []string
	for _, e := range slices.Concat(f.HomeDefault(), f.Shared()) {
		paths = append(paths, e.Path)
	}
	want(t, "content", paths, []string{"home_default/.bashrc", "home_default/.profile", "shared/hello.sh"})
}

func TestA1_everythingIsOptional(t *testing.T) {
	f, l := read(t, files{}, Options{})
	wantNoErrors(t, l)
	wantNotice(t, l, sevWarn, "users-absent", "users.csv", 0)
	if f.BaseDockerfile() != nil || f.Override().Image == "" {
		t.Error("an empty folder should have no base.Dockerfile, and the class's own service")
	}
}

func TestA1_homesAreNeverRead(t *testing.T) {
	a, _ := read(t, original(), Options{})
	b, l := read(t, original().with(files{"home/jane/secret.txt": "x", "home_backup/home.tar": "y"}), Options{})
	wantNoErrors(t, l)
	want(t, "fingerprints", b.Fingerprints(), a.Fingerprints())
	for _, n := range l {
		if strings.HasPrefix(n.File, "home/") || strings.HasPrefix(n.File, "home_backup") {
			t.Errorf("a notice names students' files: %v", n)
		}
	}
}

func TestA2_windowsLineEnds(t *testing.T) {
	f, l := read(t, files{
		"apt.txt": "\xef\xbb\xbftree\r\nvim\r\n", "requirements.txt": "numpy\r\n# c\r\ntqdm\r\n",
		"base.Dockerfile": "FROM debian:trixie \\\r\n  AS base\r\nRUN true\r\n", "srv/jupyterhub_config.py": "x = 1\r\n",
		"environment.yml": "name: geo\r\nchannels:\r\n- conda-forge\r\n",
	}, Options{})
	wantNoErrors(t, l)
	apt, req, env, _ := names(f)
	want(t, "apt", apt, []string{"tree", "vim"})
	want(t, "requirements", req, []string{"numpy", "tqdm"})
	want(t, "environments", env, []string{"geo"})
	want(t, "stages", f.Stages(), []Stage{{Name: "base", Image: "debian:trixie", Line: 1}})
	want(t, "srv", string(f.Srv()[0].Data), "x = 1\n")
	wantNotice(t, l, sevInfo, "legacy-A2", "apt.txt", 0)
}

func TestA2_whatIsNoText(t *testing.T) {
	_, l := read(t, files{
		"apt.txt": "\xff\xfet\x00", "requirements.txt": "numpy\ntq\x00dm\n", "environment.yml": "name: caf\xe9\n",
		"srv/jupyterhub_config.py": "ok = 1\nname = '\xff'\n", "users.csv": "\xff\xfen\x00a\x00",
	}, Options{})
	wantNotice(t, l, sevError, "text-utf16", "apt.txt", 1)
	wantNotice(t, l, sevError, "text-binary", "requirements.txt", 2)
	wantNotice(t, l, sevError, "text-not-utf8", "environment.yml", 1)
	wantNotice(t, l, sevError, "text-not-utf8", "srv/jupyterhub_config.py", 2)
	wantNotice(t, l, sevError, "users-utf16", "users.csv", 1)
}

func TestA3_baseDockerfile(t *testing.T) {
	for name, c := range map[string]struct {
		text, code string
		line       int
	}{
		"no stage called base": {"FROM debian:trixie\nRUN true\n", "dockerfile-no-base", 1},
		"empty":                {"", "dockerfile-no-base", 0},
		"no FROM":              {"# nothing\n", "dockerfile-no-base", 0},
		"before FROM":          {"RUN true\nFROM x AS base\n", "dockerfile-before-from", 1},
		"unknown word":         {"FROM x AS base\nRUNN true\n", "dockerfile-instruction", 2},
		"unfinished FROM":      {"FROM\n", "dockerfile-from", 1},
		"two stages, one name": {"FROM x AS base\nFROM y AS base\n", "dockerfile-from", 2},
		"name of a stage":      {"FROM x AS 1base\n", "dockerfile-from", 1},
		"heredoc without end":  {"FROM x AS base\nRUN <<EOF\necho\n", "dockerfile-heredoc", 2},
	} {
		_, l := read(t, files{"base.Dockerfile": c.text}, Options{})
		t.Run(name, func(t *testing.T) { wantNotice(t, l, sevError, c.code, "base.Dockerfile", c.line) })
	}
	f, l := read(t, files{"base.Dockerfile": "# syntax=docker/dockerfile:1\nARG V=trixie\nFROM --platform=linux/amd64 debian:$V as tools\nRUN <<EOF\nFROM nothing\nEOF\nfrom tools AS Base\nRUN echo \\\n# a comment inside\n FROM here\n"}, Options{})
	wantNoErrors(t, l)
	wantNotice(t, l, sevWarn, "dockerfile-syntax", "base.Dockerfile", 1)
	want(t, "stages", f.Stages(), []Stage{{"tools", "debian:$V", 3}, {"base", "tools", 7}})
}

func TestA9_srvIsFlattened(t *testing.T) {
	f, l := read(t, files{
		"srv/jupyterhub_config.py": "", "srv/templates/login.html": "a", "srv/templates/deep/page.html": "b",
		"srv/__pycache__/x.pyc": "c",
	}, Options{})
	wantNoErrors(t, l)
	_, _, _, srv := names(f)
	want(t, "srv", srv, []string{"deep/page.html", "jupyterhub_config.py", "login.html"})
	wantNotice(t, l, sevInfo, "legacy-A9", "srv/templates", 0)
	_, l = read(t, files{"srv/login.html": "a", "srv/templates/login.html": "b"}, Options{})
	wantNotice(t, l, sevError, "srv-collision", "srv/templates/login.html", 0)
}

func TestA10_apt(t *testing.T) {
	f, l := read(t, files{"apt.txt": "  tree  vim=2:9.1.0\ng++ # the compiler\n\nlibc6:i386\nlibreoffice=4:25.*\n"}, Options{})
	wantNoErrors(t, l)
	apt, _, _, _ := names(f)
	want(t, "apt", apt, []string{"tree", "vim=2:9.1.0", "g++", "libc6:i386", "libreoffice=4:25.*"})
	want(t, "line", f.AptPackages()[2], AptPackage{Name: "g++", File: AptTXT, Line: 2})
	wantNotice(t, l, sevInfo, "legacy-A10", "apt.txt", 2)
	for word, code := range map[string]string{
		"vim;reboot": "apt-shell", "$(reboot)": "apt-shell", "`id`": "apt-shell", "a|b": "apt-shell", "vim&&x": "apt-shell", ">file": "apt-shell",
		"-oDpkg::Pre-Invoke=id": "apt-option", "--reinstall": "apt-option", "vim-": "apt-removal", "Vim": "apt-name", "vim==1": "apt-name",
		"./x.deb": "apt-name", "/etc/passwd": "apt-name", "../x.deb": "apt-name", "vim/stable": "apt-name", "lamp^": "apt-name", `"vim"`: "apt-quotes", "é": "apt-shell", "x": "apt-name",
	} {
		t.Run(strings.ReplaceAll(word, "/", "_"), func(t *testing.T) {
			f, l := read(t, files{"apt.txt": "tree\n" + word + "\n"}, Options{})
			wantNotice(t, l, sevError, code, "apt.txt", 2)
			if len(f.AptPackages()) != 1 {
				t.Errorf("%q was taken", word)
			}
		})
	}
	_, l = read(t, files{"apt.txt": "tree\nvim tree\nvim=1\nvim=2\n"}, Options{})
	wantNotice(t, l, sevWarn, "apt-duplicate", "apt.txt", 2)
	wantNotice(t, l, sevWarn, "apt-duplicate", "apt.txt", 3)
	wantNotice(t, l, sevError, "apt-contradiction", "apt.txt", 4)
}

func TestA16_repo2docker(t *testing.T) {
	f := files{}
	for name := range repo2docker() {
		f[name] = "x"
	}
	_, l := read(t, f, Options{})
	wantNoErrors(t, l)
	for name := range f {
		sev := sevInfo
		if name == "postBuild" || name == "start" || name == "Dockerfile" {
			sev = sevWarn
		}
		wantNotice(t, l, sev, "repo2docker-ignored", name, 0)
	}
}

func TestNamesThatWereMeant(t *testing.T) {
	_, l := read(t, files{"Users.csv": "x", "APT.txt": "x", "requirement.txt": "x", "Environment-geo.yml": "x", "docker-compose.override.yaml": "x", "notes.txt": "x"}, Options{})
	for _, name := range []string{"Users.csv", "APT.txt", "requirement.txt", "Environment-geo.yml", "docker-compose.override.yaml"} {
		wantNotice(t, l, sevWarn, "name-case", name, 0)
	}
}

func TestE1_yamlIsAccepted(t *testing.T) {
	f, l := read(t, files{"environment-geo.yaml": "dependencies: [gdal]\n", "other.yml": "x"}, Options{})
	wantNoErrors(t, l)
	_, _, env, _ := names(f)
	want(t, "environments", env, []string{"geo"})
	wantNotice(t, l, sevInfo, "legacy-E1", "environment-geo.yaml", 0)
	_, l = read(t, files{}, Options{})
	wantNoErrors(t, l)
}

func TestE2_nameInFile(t *testing.T) {
	for text, name := range map[string]string{"name: geo # x\n": "geo", "name:   geo\n": "geo", "name: 'geo'\n": "geo", "name: # c\n": "file", "channels: []\n": "file", "name: a.b-c_1\n": "a.b-c_1"} {
		f, l := read(t, files{"environment-file.yml": text}, Options{})
		wantNoErrors(t, l)
		if got := f.EnvironmentFiles()[0].Name; got != name {
			t.Errorf("%q is named %q, want %q", text, got, name)
		}
	}
	_, l := read(t, files{"environment.yml": "channels: []\nname: 'geo'\n"}, Options{})
	wantNotice(t, l, sevInfo, "legacy-E2", "environment.yml", 2)
	for _, bad := range []string{"a/b", "'a b'", "'#'", "..", ".a", "-a", "é", "[x]", strings.Repeat("a", 65), "a;b"} {
		f, l := read(t, files{"environment.yml": "channels: []\nname: " + bad + "\n"}, Options{})
		wantNotice(t, l, sevError, "environment-name", "environment.yml", 2)
		want(t, bad, len(f.EnvironmentFiles()), 0)
	}
}

func TestE3_nameOfFile(t *testing.T) {
	for file, name := range map[string]string{
		"environment-geo.yml": "geo", "environment_r4.yml": "r4", "environmentfoo.yml": "foo", "environment-a-b.yml": "a-b",
		"environment-a.b.yml": "a.b", "environment-my-environment-x.yml": "x", "environment-.yml": "base",
	} {
		if got := nameFromFile(file); got != name {
			t.Errorf("%s is %q, want %q", file, got, name)
		}
	}
}

func TestE4_bareFileIsBase(t *testing.T) {
	f, l := read(t, files{"environment.yml": "dependencies: [numpy]\n"}, Options{})
	wantNoErrors(t, l)
	want(t, "name", f.EnvironmentFiles()[0].Name, "base")
	wantNotice(t, l, sevInfo, "environment-no-channel", "environment.yml", 1)
}

func TestE6_orderAndDuplicates(t *testing.T) {
	f, l := read(t, files{"environment.yml": "", "environment-a.yml": "", "environment_b.yml": "", "environment-x.yml": "name: a\n"}, Options{})
	wantNoErrors(t, l)
	var got []string
	for _, e := range f.EnvironmentFiles() {
		got = append(got, e.File)
	}
	want(t, "order", got, []string{"environment-a.yml", "environment-x.yml", "environment.yml", "environment_b.yml"})
	wantNotice(t, l, sevWarn, "environment-duplicate", "environment-x.yml", 1)
}

func TestYAMLRefused(t *testing.T) {
	for name, c := range map[string]struct {
		text, code string
		line       int
	}{
		"duplicate":    {"name: a\nchannels: []\nname: b\n", "yaml-duplicate", 3},
		"anchor":       {"name: a\nchannels: &x [conda-forge]\n", "yaml-anchor", 2},
		"alias":        {"channels: &x [a]\ndependencies: *x\n", "yaml-anchor", 1},
		"merge":        {"a: &x {b: c}\nd:\n  <<: *x\n", "yaml-anchor", 1},
		"bomb":         {"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", "yaml-anchor", 1},
		"deep":         {"name: a\nx: " + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "\n", "yaml-too-large", 2},
		"wide":         {"x: [" + strings.Repeat("a,", 30_000) + "]\n", "yaml-too-large", 1},
		"syntax":       {"name: a\n\tb: c\n", "yaml-syntax", 2},
		"two":          {"name: a\n---\nname: b\n", "yaml-documents", 2},
		"list":         {"- a\n", "yaml-shape", 1},
		"complex key":  {"? [a]\n: b\n", "yaml-shape", 1},
		"dependencies": {"dependencies:\n- a\n- [b]\n", "environment-dependency", 3},
		"shell":        {"dependencies:\n- numpy; reboot\n", "environment-dependency", 2},
		"credentials":  {"channels:\n- https://u:p@example.org/c\n", "environment-credentials", 2},
	} {
		t.Run(name, func(t *testing.T) {
			_, l := read(t, files{"environment.yml": c.text}, Options{})
			if name == "syntax" || name == "two" {
				if !slices.ContainsFunc(l, func(n notice.Notice) bool { return n.Code == c.code && n.Line > 0 }) {
					t.Errorf("want %s with a line:\n%s", c.code, dump(l))
				}
				return
			}
			wantNotice(t, l, sevError, c.code, "environment.yml", c.line)
		})
	}
	_, l := read(t, files{"environment.yml": "channels: [defaults]\nprefix: /x\ndependancies: []\n"}, Options{})
	wantNotice(t, l, sevWarn, "environment-defaults", "environment.yml", 1)
	wantNotice(t, l, sevInfo, "environment-prefix", "environment.yml", 2)
	wantNotice(t, l, sevWarn, "environment-key", "environment.yml", 3)
}

func TestSettings(t *testing.T) {
	f, l := read(t, files{"conjured.yaml": "class: Geography 7b\n"}, Options{})
	wantNoErrors(t, l)
	want(t, "name", f.Name(), "Geography 7b")
	_, l = read(t, files{"conjured.yaml": "class: [x]\nclas: y\n"}, Options{})
	wantNotice(t, l, sevError, "settings-class", "conjured.yaml", 1)
	wantNotice(t, l, sevError, "settings-key", "conjured.yaml", 2)
	f, l = read(t, files{"conjured.yaml": "sdists: allow\n", "geo/requirements.txt": "x\n"}, Options{})
	wantNoErrors(t, l)
	want(t, "build", spec(t, f, "geo").AllowBuild && spec(t, f, "base").AllowBuild, true)
	g, l := read(t, files{"conjured.yaml": "sdists: maybe\n", "geo/requirements.txt": "x\n"}, Options{})
	wantNotice(t, l, sevError, "settings-sdists", "conjured.yaml", 1)
	if spec(t, g, "geo").AllowBuild || g.Fingerprints().Environment == f.Fingerprints().Environment || g.Fingerprints().Code != f.Fingerprints().Code {
		t.Error("building belongs to the environments and is off")
	}
	dir := filepath.Join(t.TempDir(), "physics", "custom")
	must(t, os.MkdirAll(dir, 0o755))
	f, _ = Read(t.Context(), dir, Options{})
	want(t, "name", f.Name(), "physics")
}
