package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/internal/condatest"
	"github.com/conjuring/conjured/internal/needs"
)

// TestPackages is a week of a class with several kernels: three environment files of an
// old folder on a channel, a course, a package more in a running kernel, a new version, a
// way back without any network, one environment that fails among others that do not, and
// an image that holds them all.
func TestPackages(t *testing.T) {
	needs.All(t, needs.Docker(), needs.Root(), needs.Chromium(), needs.Debootstrap())
	p := &week{}
	p.class = newClass(t, copyFolder(t, "testdata/class"))
	p.class.images = weekImages
	t.Cleanup(func() {
		_ = exec.Command("sh", "-c", "docker rmi -f $(docker images -q "+weekImages+" | sort -u)").Run() // what is in use stays
	})
	p.class.start()
	p.class.waitOpen(10 * time.Minute)
	p.openChannel(t)
	p.browser = newBrowser(t)
	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"three files are three kernels in an open Lab", p.threeKernels},
		{"each kernel runs a cell", p.eachRuns},
		{"a course's kernel is its students'", p.course},
		{"a package more in a running kernel", p.hot},
		{"another version needs a new kernel", p.restart},
		{"back without network", p.back},
		{"one fails and the others do not", p.oneFails},
		{"a package that is source code only", p.source},
		{"a repository of the old tool, and back", p.oldTool},
		{"the course goes", p.gone},
		{"latest holds every kernel", p.sealed},
		{"killed and up again", p.killed},
	} {
		if !t.Run(step.name, func(t *testing.T) { p.class.t, p.browser.t = t, t; step.do(t) }) && p.geo == nil {
			break // the rest would only say the same
		}
	}
	p.class.t, p.browser.t = t, t
}

// weekImages are not those in which other tests run: its latest has other packages.
const weekImages = "conjured-test/week"

// week is one class and what stands around it.
type week struct {
	lesson
	channel *condatest.Server
	python  string // version of the channel's
	ben     *student
	geo     *kernel // amira's, of environment geo
}

// openChannel serves what the folder's files name as a mirror of conda's channels, with
// the class image's own Python as its python, and starts the class anew with it.
func (p *week) openChannel(t *testing.T) {
	python, err := condatest.Python{Image: weekImages + ":system"}.Package()
	if err != nil {
		t.Fatal(err)
	}
	p.python = python.Version
	packages := []condatest.Package{python}
	for _, spec := range []string{"geopandas 1.1", "geopandas 1.2", "shapely 2.1", "statsmodels 0.14", "patsy 1.0"} {
		name, version, _ := strings.Cut(spec, " ")
		x := condatest.Package{Name: name, Version: version, Noarch: "python", Depends: []string{"python"}}
		if name == "geopandas" {
			x.Depends = append(x.Depends, "shapely")
			x.Files = append(condatest.Module(name, version, ""), condatest.File{
				Path: "etc/conda/activate.d/geopandas.sh", Data: []byte("export PROJ_DATA=\"$CONDA_PREFIX/share/proj\"\n"),
			})
		}
		packages = append(packages, x)
	}
	p.channel = condatest.Serve(condatest.Channel{Name: "conda-forge", Packages: packages})
	mirror := onBridge(t, p.channel)
	p.class.stop(os.Interrupt)
	settings := testSettings + "conda_channel: " + mirror.URL + "\npip_index: " + p.openIndex(t) + "\n"
	if err := os.WriteFile(p.class.settings, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	p.class.start()
	p.class.waitOpen(time.Minute)
}

// apply waits for the folder as it is, and gives what was said; want is the exit code.
func (p *week) apply(t *testing.T, want int) string {
	t.Helper()
	out, errs, code := p.class.cli("apply", p.class.dir)
	if code != want {
		t.Fatalf("apply: exit %d, want %d\n%s%s", code, want, out, errs)
	}
	return out + errs
}

// env runs a verb that has to work.
func (p *week) env(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := p.class.cli(append([]string{"env"}, args...)...)
	if code != 0 {
		t.Fatalf("env %v: exit %d\n%s%s", args, code, out, errs)
	}
	return out
}

func (p *week) threeKernels(t *testing.T) {
	p.browser.open(p.class.url)
	p.browser.login("amira", "blue bicycle 12")
	p.browser.until(2*time.Minute, "Lab", labOpen)
	p.browser.shot("packages-1-before")
	p.class.write("environment.yml", "channels: [conda-forge]\ndependencies:\n  - python\n  - patsy\n")
	p.class.write("environment-geo.yml", "channels:\n  - defaults\ndependencies:\n  - python\n  - geopandas=1.1\n  - pip:\n    - cowsay\nvariables:\n  SEASON: spring\n")
	p.class.write("environment-stats-2.yml", "dependencies:\n  - python\n  - statsmodels\n")
	said := p.apply(t, 0)
	if !strings.Contains(said, "environment-geo.yml") || !strings.Contains(said, "conda-forge") {
		t.Errorf("nothing was said about the channel defaults:\n%s", said)
	}
	for _, name := range []string{"geo", "stats-2"} {
		p.browser.until(30*time.Second, "the kernel "+name+" in the launcher", card(name))
	}
	p.browser.shot("packages-2-launcher")
}

// card is a condition: the launcher offers notebooks with a kernel of this name.
func card(name string) string {
	return fmt.Sprintf(`[...document.querySelectorAll('.jp-LauncherCard[data-category="Notebook"]')].some(c => c.title.includes(%q))`, name)
}

func (p *week) eachRuns(t *testing.T) {
	const panel = ".jp-NotebookPanel:not(.lm-mod-hidden)"
	b := p.browser
	for _, x := range [][2]string{
		{"Python 3", "import patsy, sys; print('base runs', patsy.__version__, 'gen/base/' in sys.prefix)"},
		{"geo", "import geopandas, cowsay, sys; print('geo runs', geopandas.__version__, 'gen/geo/' in sys.prefix)"},
		{"stats-2", "import statsmodels, sys; print('stats-2 runs', statsmodels.__version__, 'gen/stats_2/' in sys.prefix)"},
	} {
		kernel, code := x[0], x[1]
		b.until(10*time.Second, "a notebook of "+kernel, fmt.Sprintf(
			`[...document.querySelectorAll('.jp-LauncherCard[data-category="Notebook"]')].filter(c => c.title.includes(%q)).map(c => (c.click(), true))[0]`, kernel))
		b.until(time.Minute, "the kernel "+kernel+" is idle", fmt.Sprintf(
			`document.querySelector('%s .jp-CodeCell .cm-content') && /%s[^|]*\| Idle/.test(document.body.innerText)`, panel, kernel))
		b.within(10*time.Second, "the cell", chromedp.Click(panel+" .jp-CodeCell .cm-content"))
		b.until(10*time.Second, "type", fmt.Sprintf("document.execCommand('insertText', false, %q)", code))
		b.within(20*time.Second, "run the cell", chromedp.Click(panel+` [data-jp-item-name="run"]`))
		b.until(time.Minute, "the output of "+kernel, fmt.Sprintf(
			`[...document.querySelectorAll('%s .jp-OutputArea-output')].some(e => /runs [0-9.]+ True/.test(e.innerText))`, panel))
		b.shot("packages-3-cell-" + kernel)
		b.within(10*time.Second, "another launcher", chromedp.Click(`[data-command="launcher:create"]`))
	}
}

// names is what a student's server lists.
func (p *week) names(t *testing.T, s *student) []string {
	t.Helper()
	body, _, err := s.do(t.Context(), "GET", "/user/"+s.name+"/api/kernelspecs", nil)
	if err != nil {
		t.Fatal(err)
	}
	var out struct{ Kernelspecs map[string]any }
	if err := json.Unmarshal(body, &out); err != nil {
		t.Fatalf("%v: %.300s", err, body)
	}
	var names []string
	for n := range out.Kernelspecs {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func (p *week) course(t *testing.T) {
	p.amira, p.ben = p.enter(t, "amira", "blue bicycle 12"), p.enter(t, "ben", "green, garden")
	p.class.write("geo101/requirements.txt", "cowsay\n")
	p.class.write("courses.csv", "course,student\ngeo101,ben\n")
	p.apply(t, 0)
	if got := p.names(t, p.ben); !slices.Equal(got, []string{"geo", "geo101", "python3", "stats-2"}) {
		t.Errorf("ben sees %v", got)
	}
	if got := p.names(t, p.amira); !slices.Equal(got, []string{"geo", "python3", "stats-2"}) {
		t.Errorf("amira sees %v", got)
	}
	if link, err := os.Readlink(filepath.Join(p.class.dir, "geo101", ".venv")); err != nil || !strings.Contains(link, "gen/geo101/") {
		t.Errorf(".venv is %q, %v", link, err)
	}
	if out := p.env(t, "activate", "--state", p.class.state, "geo101", "--", "python", "-c", "import cowsay; print('in a shell')"); !strings.Contains(out, "in a shell") {
		t.Errorf("activate: %q", out)
	}
}

func (p *week) hot(t *testing.T) {
	k, err := p.amira.kernelOf(t.Context(), "geo")
	if err != nil {
		t.Fatal(err)
	}
	p.geo = k
	p.expect(t, k, "import geopandas; print(geopandas.__version__)", "1.1")
	if _, err := k.run(t.Context(), "import tabulate"); err == nil {
		t.Fatal("tabulate is there already")
	}
	p.class.write("environment-geo.yml", "channels:\n  - conda-forge\ndependencies:\n  - python\n  - geopandas=1.1\n  - pip:\n    - cowsay\n    - tabulate\nvariables:\n  SEASON: spring\n")
	p.apply(t, 0)
	p.expect(t, k, "import tabulate; print(tabulate.__name__)", "tabulate")
}

func (p *week) restart(t *testing.T) {
	p.class.write("environment-geo.yml", "channels:\n  - conda-forge\ndependencies:\n  - python\n  - geopandas=1.2\n  - pip:\n    - cowsay\n    - tabulate\nvariables:\n  SEASON: fall\n")
	p.apply(t, 0)
	p.expect(t, p.geo, "print(geopandas.__version__, __import__('shapely').__version__)", "1.1 2.1")
	if out, err := p.runOf(t, p.amira, "geo", "import geopandas; print(geopandas.__version__); "+season); err != nil || !strings.Contains(out, "1.2") || !strings.Contains(out, "fall True") {
		t.Errorf("a new kernel has %q, %v", out, err)
	}
	p.browser.see(30*time.Second, "Restart the kernel geo to get geopandas 1.2")
	p.browser.shot("packages-4-restart")
	said := p.env(t, "diff", "geo", "previous", "current")
	if !strings.Contains(said, "geopandas") || !strings.Contains(said, "1.2") {
		t.Errorf("env diff: %s", said)
	}
}

// runOf runs code in a new kernel of a name.
func (p *week) runOf(t *testing.T, s *student, kernel, code string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	k, err := s.kernelOf(ctx, kernel)
	if err != nil {
		return "", err
	}
	defer k.close()
	return k.run(ctx, code)
}

// season prints what geo's file sets, and whether what its package sets is of the
// generation that the kernel runs in.
const season = "import os, sys; print(os.environ['SEASON'], os.environ['PROJ_DATA'] == sys.prefix + '/share/proj')"

func (p *week) back(t *testing.T) {
	p.channel.Offline(true)
	p.env(t, "rollback", "geo")
	if out, err := p.runOf(t, p.amira, "geo", "import geopandas; print(geopandas.__version__); "+season); err != nil || !strings.Contains(out, "1.1") || !strings.Contains(out, "spring True") {
		t.Errorf("a new kernel has %q, %v", out, err)
	}
	p.env(t, "reset", "geo")
	if out, err := p.runOf(t, p.amira, "geo", "import geopandas, tabulate; print(geopandas.__version__)"); err != nil || !strings.Contains(out, "1.1") {
		t.Errorf("after reset a new kernel has %q, %v", out, err)
	}
	p.channel.Offline(false)
	p.env(t, "verify", "geo")
}

func (p *week) oneFails(t *testing.T) {
	p.class.write("environment-bad.yml", "dependencies:\n  - python\n  - no-such-package-at-all\n")
	p.class.write("environment-fine.yml", "dependencies:\n  - python\n  - shapely\n")
	said := p.apply(t, 3)
	if !strings.Contains(said, "environment-bad.yml:3") || !strings.Contains(said, "no-such-package-at-all") {
		t.Errorf("what failed is not named:\n%s", said)
	}
	if !strings.Contains(said, "env promote geo") {
		t.Errorf("the folder's wish undid a rollback, or nothing was said:\n%s", said)
	}
	p.env(t, "promote", "geo")
	if out, err := p.runOf(t, p.amira, "geo", "import geopandas; print(geopandas.__version__)"); err != nil || !strings.Contains(out, "1.2") {
		t.Errorf("after promote a new kernel has %q, %v", out, err)
	}
	if got := p.names(t, p.amira); !slices.Contains(got, "fine") || slices.Contains(got, "bad") {
		t.Errorf("amira sees %v", got)
	}
	if err := os.Remove(filepath.Join(p.class.dir, "environment-bad.yml")); err != nil {
		t.Fatal(err)
	}
}

func (p *week) gone(t *testing.T) {
	if err := os.RemoveAll(filepath.Join(p.class.dir, "geo101")); err != nil {
		t.Fatal(err)
	}
	p.class.write("courses.csv", "course,student\n")
	p.apply(t, 0)
	if got := p.names(t, p.ben); slices.Contains(got, "geo101") {
		t.Errorf("ben still sees %v", got)
	}
}

func (p *week) sealed(t *testing.T) {
	p.class.eventually(5*time.Minute, "latest is sealed", func() bool { return p.class.idle(t) })
	out, err := exec.Command("docker", "run", "--rm", "--network", "none", weekImages+":latest", "jupyter", "kernelspec", "list").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"python3", "geo", "stats-2", "fine"} {
		if !strings.Contains(string(out), name+" ") {
			t.Errorf("latest has no kernel %s:\n%s", name, out)
		}
	}
	out, err = exec.Command("docker", "run", "--rm", "--network", "none", weekImages+":latest",
		"/opt/conjured/bin/launch", "geo@current", "python", "-c", "import geopandas; print(geopandas.__version__); "+season).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "1.2") || !strings.Contains(string(out), "fall True") {
		t.Errorf("%v\n%s", err, out)
	}
}

func (p *week) killed(t *testing.T) {
	p.class.write("environment-geo.yml", "dependencies:\n  - python\n  - geopandas=1.2\n  - shapely\n")
	if _, errs, code := p.class.cli("apply", p.class.dir, "--detach"); code != 0 {
		t.Fatalf("exit %d\n%s", code, errs)
	}
	p.die(t)
	p.class.start()
	p.class.waitOpen(time.Minute)
	p.apply(t, 0)
	out := p.env(t, "list", "--json")
	var envs []api.Environment
	if err := json.Unmarshal([]byte(out), &envs); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, e := range envs {
		if e.Labels["current"] == 0 && e.Name != "geo101" {
			t.Errorf("%s has nothing current: %+v", e.Name, e)
		}
	}
	p.env(t, "repair")
}

// die kills the daemon as a power cut would, without a word.
func (p *week) die(t *testing.T) {
	t.Helper()
	if err := p.class.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.class.done
	p.class.cmd = nil
}
