package gitenvtest

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

// Tool does to a repository what conda-gitenv 0.3 does (commands resolve, autotag,
// autolabel and deploy of SciTools/conda-gitenv, without conda itself), in a clone with
// a work tree, and demands what its commands and its tests demand.
//
// What conda would find is given to Resolve.
type Tool struct {
	Dir  string    // the work tree
	When time.Time // the date of what is written next

	t *testing.T
}

// Init makes a repository as its users do: a work tree with one commit.
func Init(t *testing.T) *Tool {
	o := &Tool{t: t, Dir: filepath.Join(t.TempDir(), "envs"), When: time.Date(2019, 5, 6, 12, 0, 0, 0, time.UTC)}
	if err := os.Mkdir(o.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	o.Git("init", "-q", "-b", "nothing")
	o.Git("commit", "-q", "--allow-empty", "-m", "Initial commit.")
	return o
}

// Clone clones a repository and makes a branch of each of its branches.
func Clone(t *testing.T, from string) *Tool {
	o := &Tool{t: t, Dir: filepath.Join(t.TempDir(), "clone"), When: time.Date(2027, 5, 6, 12, 0, 0, 0, time.UTC)}
	if err := os.Mkdir(o.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	o.Git("clone", "-q", from, ".")
	have := o.Branches()
	for _, ref := range o.Lines("for-each-ref", "--format=%(refname:lstrip=3)", "refs/remotes/origin") {
		if ref != "HEAD" && !slices.Contains(have, ref) {
			o.Git("branch", "-q", ref, "origin/"+ref)
		}
	}
	return o
}

// Git runs git in the work tree, and gives what it prints.
func (o *Tool) Git(args ...string) string {
	o.t.Helper()
	c := exec.Command("git", args...)
	c.Dir = o.Dir
	date := o.When.Format(time.RFC3339)
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

// Lines is the words that git prints.
func (o *Tool) Lines(args ...string) []string {
	o.t.Helper()
	return strings.Fields(o.Git(args...))
}

// Branches are all branches.
func (o *Tool) Branches() []string {
	return o.Lines("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads")
}

// Tags are all tags.
func (o *Tool) Tags() []string { return o.Lines("tag", "--list") }

// Write writes a file, for the next commit.
func (o *Tool) Write(name, data string) {
	o.t.Helper()
	path := filepath.Join(o.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		o.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		o.t.Fatal(err)
	}
	o.Git("add", "--", name)
}

// Read gives a file of the branch that is checked out.
func (o *Tool) Read(name string) string {
	data, err := os.ReadFile(filepath.Join(o.Dir, name))
	if err != nil {
		o.t.Fatal(err)
	}
	return string(data)
}

// Spec sets a branch's env.spec, making the branch.
func (o *Tool) Spec(env, data string) {
	o.t.Helper()
	if !slices.Contains(o.Branches(), env) {
		o.Git("branch", "-q", env)
	}
	o.Git("checkout", "-q", env)
	o.Write("env.spec", data)
	o.Git("commit", "-q", "--allow-empty", "-m", "Add "+env+" spec")
}

// Resolve writes a manifest as its resolve does: pkgs stand for what conda finds, NAME-VERSION-BUILD
// for this platform, noarch/NAME-VERSION-BUILD for all.
func (o *Tool) Resolve(env string, pkgs ...string) {
	o.t.Helper()
	o.Git("checkout", "-q", env)
	spec := o.Read("env.spec")
	if !slices.Contains(o.Branches(), "manifest/"+env) {
		o.Git("branch", "-q", "manifest/"+env)
	}
	o.Git("checkout", "-q", "manifest/"+env)
	var m strings.Builder
	for _, p := range pkgs {
		subdir, dist := "linux-64", p
		if d, ok := strings.CutPrefix(p, "noarch/"); ok {
			subdir, dist = "noarch", d
		}
		fmt.Fprintf(&m, "https://conda.anaconda.org/conda-forge/%s\t%s\n", subdir, dist)
	}
	o.Write("env.manifest", m.String())
	o.Write("env.spec", spec)
	if o.Git("status", "--porcelain") != "" {
		o.Git("commit", "-q", "-m", "Manifest update.")
	}
}

// Autotag tags the head of each manifest branch that has no tag.
func (o *Tool) Autotag() []string {
	o.t.Helper()
	tagged := o.Lines("for-each-ref", "--format=%(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)", "refs/tags")
	var out []string
	for _, b := range o.Branches() {
		env, ok := strings.CutPrefix(b, "manifest/")
		head := strings.TrimSpace(o.Git("rev-parse", "refs/heads/"+b))
		if !ok || slices.Contains(tagged, head) {
			continue
		}
		date := strings.TrimSpace(o.Git("show", "-s", "--date=format-local:%Y_%m_%d", "--format=%cd", head))
		name, n := "env-"+env+"-"+date, 0
		for slices.Contains(o.Tags(), name) {
			n++
			name = fmt.Sprintf("env-%s-%s-%d", env, date, n)
		}
		o.Git("tag", "-m", "Automatic tag of "+env+".", name, head)
		out = append(out, name)
	}
	return out
}

// Autolabel moves next, current and previous.
func (o *Tool) Autolabel(tag string) {
	o.t.Helper()
	env := strings.Split(tag, "-")[1]
	o.Git("checkout", "-q", env)
	labels := o.Labels()
	for _, move := range [][2]string{{"current", "previous"}, {"next", "current"}} {
		if was, ok := labels[move[0]]; ok {
			o.Write("labels/"+move[1]+".txt", was)
		}
	}
	o.Write("labels/next.txt", tag)
	o.Git("commit", "-q", "--allow-empty", "-m", "Updated next label to "+tag+".")
}

// Labels reads the labels of the branch that is checked out.
func (o *Tool) Labels() map[string]string {
	out := map[string]string{}
	found, _ := filepath.Glob(filepath.Join(o.Dir, "labels", "*.txt"))
	for _, f := range found {
		out[strings.TrimSuffix(filepath.Base(f), ".txt")] = strings.TrimSpace(o.Read("labels/" + filepath.Base(f)))
	}
	return out
}

var distForm = regexp.MustCompile(`^[A-Za-z0-9_.-]+-[^-\s]+-[^-\s]+$`)

// Deploy goes through what its deploy does, and gives "ENV/LABEL" to the directory that
// the label would point at. It fails t wherever that tool would stop.
func (o *Tool) Deploy() map[string]string {
	t := o.t
	t.Helper()
	byEnv, out := map[string][]string{}, map[string]string{}
	for _, tag := range o.Tags() {
		parts := strings.Split(tag, "-")
		if len(parts) < 3 {
			t.Fatalf("its deploy stumbles over the tag %s", tag)
		}
		byEnv[parts[1]] = append(byEnv[parts[1]], tag)
	}
	branches := o.Branches()
	for _, env := range branches {
		if strings.HasPrefix(env, "manifest/") || !slices.Contains(branches, "manifest/"+env) {
			continue
		}
		if strings.Contains(env, "-") {
			t.Errorf("its resolve skips %s", env)
		}
		o.Git("checkout", "-q", env)
		if !strings.Contains(o.Read("env.spec"), "env:") || !strings.Contains(o.Read("env.spec"), "channels:") {
			t.Errorf("%s has no env.spec that it can read", env)
		}
		labels := o.Labels()
		if tags := byEnv[env]; len(tags) > 0 {
			labels["latest"] = o.latest(tags)
		}
		for label, tag := range labels {
			o.Git("checkout", "-q", "--detach", "refs/tags/"+tag)
			for l := range strings.Lines(o.Read("env.manifest")) {
				channel, dist, ok := strings.Cut(strings.TrimSpace(l), "\t")
				if !ok || !strings.Contains(channel, "/") || !distForm.MatchString(dist) {
					t.Errorf("%s: it cannot install %q", tag, l)
				}
			}
			if !strings.Contains(o.Read("env.spec"), "channels:") {
				t.Errorf("%s has no env.spec", tag)
			}
			out[env+"/"+label] = strings.SplitN(tag, "-", 3)[2]
		}
	}
	return out
}

// latest is the tag whose commit has the newest date.
func (o *Tool) latest(tags []string) string {
	best, at := "", ""
	for _, tag := range tags {
		if d := strings.TrimSpace(o.Git("show", "-s", "--format=%ct", tag+"^{commit}")); d > at {
			best, at = tag, d
		}
	}
	return best
}
