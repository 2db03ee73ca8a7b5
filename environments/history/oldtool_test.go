package history

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// oldTool does to a repository what conda-gitenv 0.3 does (commands resolve, autotag,
// autolabel and deploy of SciTools/conda-gitenv, without conda itself), in a clone with
// a work tree, and demands what its commands and its tests demand.
type oldTool struct {
	t    *testing.T
	dir  string
	when time.Time
}

// initOld makes a repository as its users do: a work tree with one commit.
func initOld(t *testing.T) *oldTool {
	o := &oldTool{t: t, dir: filepath.Join(t.TempDir(), "envs"), when: time.Date(2019, 5, 6, 12, 0, 0, 0, time.UTC)}
	if err := os.Mkdir(o.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	o.git("init", "-q", "-b", "nothing")
	o.git("commit", "-q", "--allow-empty", "-m", "Initial commit.")
	return o
}

// clone clones a repository and makes a branch of each of its branches.
func clone(t *testing.T, from string) *oldTool {
	o := &oldTool{t: t, dir: filepath.Join(t.TempDir(), "clone"), when: time.Date(2027, 5, 6, 12, 0, 0, 0, time.UTC)}
	if err := os.Mkdir(o.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	o.git("clone", "-q", from, ".")
	have := o.branches()
	for _, ref := range o.lines("for-each-ref", "--format=%(refname:lstrip=3)", "refs/remotes/origin") {
		if ref != "HEAD" && !slices.Contains(have, ref) {
			o.git("branch", "-q", ref, "origin/"+ref)
		}
	}
	return o
}

func (o *oldTool) git(args ...string) string {
	o.t.Helper()
	c := exec.Command("git", args...)
	c.Dir = o.dir
	date := o.when.Format(time.RFC3339)
	c.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1", "GIT_COMMITTER_DATE=" + date, "GIT_AUTHOR_DATE=" + date,
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.org", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.org",
	}
	out, err := c.CombinedOutput()
	if err != nil {
		o.t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return string(out)
}

func (o *oldTool) lines(args ...string) []string {
	o.t.Helper()
	return strings.Fields(o.git(args...))
}

func (o *oldTool) branches() []string {
	return o.lines("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads")
}
func (o *oldTool) tags() []string { return o.lines("tag", "--list") }

func (o *oldTool) write(name, data string) {
	o.t.Helper()
	path := filepath.Join(o.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		o.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		o.t.Fatal(err)
	}
	o.git("add", "--", name)
}

func (o *oldTool) read(name string) string {
	data, err := os.ReadFile(filepath.Join(o.dir, name))
	if err != nil {
		o.t.Fatal(err)
	}
	return string(data)
}

// spec sets a branch's env.spec, making the branch.
func (o *oldTool) spec(env, data string) {
	o.t.Helper()
	if !slices.Contains(o.branches(), env) {
		o.git("branch", "-q", env)
	}
	o.git("checkout", "-q", env)
	o.write("env.spec", data)
	o.git("commit", "-q", "--allow-empty", "-m", "Add "+env+" spec")
}

// resolve writes a manifest as its resolve does: pkgs stand for what conda finds.
func (o *oldTool) resolve(env string, pkgs ...string) {
	o.t.Helper()
	o.git("checkout", "-q", env)
	spec := o.read("env.spec")
	if !slices.Contains(o.branches(), "manifest/"+env) {
		o.git("branch", "-q", "manifest/"+env)
	}
	o.git("checkout", "-q", "manifest/"+env)
	var m strings.Builder
	for _, p := range pkgs {
		fmt.Fprintf(&m, "https://conda.anaconda.org/conda-forge/linux-64\t%s\n", p)
	}
	o.write("env.manifest", m.String())
	o.write("env.spec", spec)
	if o.git("status", "--porcelain") != "" {
		o.git("commit", "-q", "-m", "Manifest update.")
	}
}

// autotag tags the head of each manifest branch that has no tag.
func (o *oldTool) autotag() []string {
	o.t.Helper()
	tagged := o.lines("for-each-ref", "--format=%(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)", "refs/tags")
	var out []string
	for _, b := range o.branches() {
		env, ok := strings.CutPrefix(b, "manifest/")
		head := strings.TrimSpace(o.git("rev-parse", "refs/heads/"+b))
		if !ok || slices.Contains(tagged, head) {
			continue
		}
		date := strings.TrimSpace(o.git("show", "-s", "--date=format-local:%Y_%m_%d", "--format=%cd", head))
		name, n := "env-"+env+"-"+date, 0
		for slices.Contains(o.tags(), name) {
			n++
			name = fmt.Sprintf("env-%s-%s-%d", env, date, n)
		}
		o.git("tag", "-m", "Automatic tag of "+env+".", name, head)
		out = append(out, name)
	}
	return out
}

// autolabel moves next, current and previous.
func (o *oldTool) autolabel(tag string) {
	o.t.Helper()
	env := strings.Split(tag, "-")[1]
	o.git("checkout", "-q", env)
	labels := o.labels()
	for _, move := range [][2]string{{"current", "previous"}, {"next", "current"}} {
		if was, ok := labels[move[0]]; ok {
			o.write("labels/"+move[1]+".txt", was)
		}
	}
	o.write("labels/next.txt", tag)
	o.git("commit", "-q", "--allow-empty", "-m", "Updated next label to "+tag+".")
}

// labels reads the labels of the branch that is checked out.
func (o *oldTool) labels() map[string]string {
	out := map[string]string{}
	found, _ := filepath.Glob(filepath.Join(o.dir, "labels", "*.txt"))
	for _, f := range found {
		out[strings.TrimSuffix(filepath.Base(f), ".txt")] = strings.TrimSpace(o.read("labels/" + filepath.Base(f)))
	}
	return out
}

var distForm = regexp.MustCompile(`^[A-Za-z0-9_.-]+-[^-\s]+-[^-\s]+$`)

// deploy goes through what its deploy does, and gives "ENV/LABEL" to the directory that
// the label would point at. It fails t wherever that tool would stop.
func (o *oldTool) deploy() map[string]string {
	t := o.t
	t.Helper()
	byEnv, out := map[string][]string{}, map[string]string{}
	for _, tag := range o.tags() {
		parts := strings.Split(tag, "-")
		if len(parts) < 3 {
			t.Fatalf("its deploy stumbles over the tag %s", tag)
		}
		byEnv[parts[1]] = append(byEnv[parts[1]], tag)
	}
	branches := o.branches()
	for _, env := range branches {
		if strings.HasPrefix(env, "manifest/") || !slices.Contains(branches, "manifest/"+env) {
			continue
		}
		if strings.Contains(env, "-") {
			t.Errorf("its resolve skips %s", env)
		}
		o.git("checkout", "-q", env)
		if !strings.Contains(o.read("env.spec"), "env:") || !strings.Contains(o.read("env.spec"), "channels:") {
			t.Errorf("%s has no env.spec that it can read", env)
		}
		labels := o.labels()
		if tags := byEnv[env]; len(tags) > 0 {
			labels["latest"] = o.latest(tags)
		}
		for label, tag := range labels {
			o.git("checkout", "-q", "--detach", "refs/tags/"+tag)
			for l := range strings.Lines(o.read("env.manifest")) {
				channel, dist, ok := strings.Cut(strings.TrimSpace(l), "\t")
				if !ok || !strings.Contains(channel, "/") || !distForm.MatchString(dist) {
					t.Errorf("%s: it cannot install %q", tag, l)
				}
			}
			if !strings.Contains(o.read("env.spec"), "channels:") {
				t.Errorf("%s has no env.spec", tag)
			}
			out[env+"/"+label] = strings.SplitN(tag, "-", 3)[2]
		}
	}
	return out
}

// latest is the tag whose commit has the newest date.
func (o *oldTool) latest(tags []string) string {
	best, at := "", ""
	for _, tag := range tags {
		if d := strings.TrimSpace(o.git("show", "-s", "--format=%ct", tag+"^{commit}")); d > at {
			best, at = tag, d
		}
	}
	return best
}
