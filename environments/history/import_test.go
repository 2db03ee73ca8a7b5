package history

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/conjuring/conjured/internal/gitenvtest"
	"github.com/conjuring/conjured/notice"
)

const oldSpec = "channels:\n  - conda-forge\nenv:\n  - python\n"

// oldRepository has two environments, one with a dash, tags and labels on several days.
func oldRepository(t *testing.T) *gitenvtest.Tool {
	o := gitenvtest.Init(t)
	o.Spec("default", oldSpec)
	o.Spec("my-maps", oldSpec)
	for i, v := range []string{"3.9.1", "3.9.2", "3.9.3"} {
		o.When = o.When.Add(20 * time.Hour)
		o.Resolve("default", "python-"+v+"-0", "zlib-1.2-1")
		for _, tag := range o.Autotag() {
			o.Autolabel(tag)
		}
		if i == 0 { // its resolve skips such a name today, but older ones tagged it
			o.Resolve("my-maps", "python-"+v+"-0")
			o.Git("tag", "-m", "x", "env-my-maps-2019_05_07", "manifest/my-maps")
			o.Git("checkout", "-q", "my-maps")
			o.Write("labels/next.txt", "env-my-maps-2019_05_07\n")
			o.Git("commit", "-q", "-m", "label")
		}
	}
	return o
}

func TestK1_import(t *testing.T) {
	t.Parallel()
	o, r := oldRepository(t), open(t)
	got, err := r.Import(t.Context(), o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Environments) != 2 {
		t.Fatalf("%+v", got)
	}
	want := map[string]string{"next": "env-default-2019_05_09", "current": "env-default-2019_05_08", "previous": "env-default-2019_05_07"}
	if d := cmp.Diff(want, got.Environments[0].Labels); d != "" {
		t.Error(d)
	}
	if e := got.Environments[1]; e.Env != "my_maps" || e.Display != "my-maps" || e.Labels["next"] != "env-my_maps-2019_05_07" {
		t.Errorf("%+v", e)
	}
	for _, e := range got.Environments {
		if labels, err := r.Labels(t.Context(), e.Env); err != nil || cmp.Diff(e.Labels, labels) != "" {
			t.Errorf("%v, %v", labels, err)
		}
	}
	tags, err := r.Tags(t.Context(), "default")
	if err != nil || len(tags) != 3 || tags[0].Name != "env-default-2019_05_07" {
		t.Errorf("%v, %v", tags, err)
	}
	fs, err := r.Manifest(t.Context(), "default", tags[1].Name)
	if err != nil || !strings.Contains(string(fs[0].Data), "python-3.9.2-0\n") {
		t.Errorf("%v, %v", fs, err)
	}
	if tag, err := r.Tag(t.Context(), "default"); err != nil || tag.Name != "env-default-2019_05_09" {
		t.Errorf("a second tag for one commit: %v, %v", tag, err)
	}
	if es, err := r.Log(t.Context(), "default", 1); err != nil || es[0].Who != "Ada" {
		t.Errorf("%+v, %v", es, err)
	}
	sane(t, r)
}

// The same again changes nothing; from a bare clone too. What differs stays behind.
func TestImportAgain(t *testing.T) {
	t.Parallel()
	o, r := oldRepository(t), open(t)
	if _, err := r.Import(t.Context(), o.Dir); err != nil {
		t.Fatal(err)
	}
	before := state(t, r)
	bare := filepath.Join(t.TempDir(), "bare")
	o.Git("clone", "-q", "--bare", o.Dir, bare)
	got, err := r.Import(t.Context(), bare)
	if err != nil || len(got.Environments) != 2 || got.Environments[0].Changed || state(t, r) != before {
		t.Errorf("%+v, %v", got, err)
	}
	putManifest(t, r, "default", "python-4-0")
	got, err = r.Import(t.Context(), gitenvtest.Clone(t, bare).Dir)
	if err != nil || len(got.Environments) != 1 || got.Environments[0].Env != "my_maps" || !has(got.Notices, "import-here-already") {
		t.Errorf("%+v, %v", got, err)
	}
	if fs, _ := r.Manifest(t.Context(), "default", ""); !strings.Contains(string(fs[0].Data), "python-4-0") {
		t.Error("ours was overwritten")
	}
}

func has(l notice.List, code string) bool {
	return slices.ContainsFunc(l, func(n notice.Notice) bool { return n.Code == code })
}

// A clone of which only origin's branches are there is read like the original.
func TestImportClone(t *testing.T) {
	t.Parallel()
	o, r := oldRepository(t), open(t)
	to := filepath.Join(t.TempDir(), "clone")
	o.Git("clone", "-q", o.Dir, to)
	if got, err := r.Import(t.Context(), to); err != nil || len(got.Environments) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	shallow := filepath.Join(t.TempDir(), "shallow")
	o.Git("clone", "-q", "--depth=1", "--no-single-branch", "file://"+o.Dir, shallow)
	r = open(t)
	if got, err := r.Import(t.Context(), shallow); err != nil || len(got.Environments) != 2 || !has(got.Notices, "import-history-cut") {
		t.Errorf("%+v, %v", got, err)
	}
	sane(t, r)
}

// What was imported, changed and exported, the old tool works on with; and back again.
func TestK4_exportForTheOldTool(t *testing.T) {
	t.Parallel()
	o, r := oldRepository(t), open(t)
	if _, err := r.Import(t.Context(), o.Dir); err != nil {
		t.Fatal(err)
	}
	tag := putManifest(t, r, "default", "python-3.14.0-h1_0_cp314")
	if _, err := r.SetLabels(t.Context(), "default", map[string]string{"current": tag.Name, "previous": "env-default-2019_05_09"}, "Promoted."); err != nil {
		t.Fatal(err)
	}
	if _, err := r.PutSpec(t.Context(), "course", []File{file("requirements.txt", "numpy\n")}, "A course without conda."); err != nil {
		t.Fatal(err)
	}
	putManifest(t, r, "course", "pip-25-0")
	to := filepath.Join(t.TempDir(), "exported")
	if err := r.Export(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	old := gitenvtest.Clone(t, to)
	date := tag.Date
	want := map[string]string{
		"default/current": date, "default/previous": "2019_05_09", "default/latest": date, "course/latest": date,
		"my_maps/next": "2019_05_07", "my_maps/latest": "2019_05_07",
	}
	if d := cmp.Diff(want, old.Deploy()); d != "" {
		t.Error(d)
	}
	if again := old.Autotag(); len(again) > 0 {
		t.Errorf("it would tag %v once more", again)
	}
	old.Resolve("default", "python-3.14.1-0")
	tags := old.Autotag()
	if len(tags) != 1 {
		t.Fatal(tags)
	}
	old.Autolabel(tags[0])
	old.Deploy()
	if got, err := r.Import(t.Context(), old.Dir); err != nil || len(got.Environments) != 3 { // ours, gone on with
		t.Errorf("%+v, %v", got, err)
	}
	if set, err := r.Labels(t.Context(), "default"); err != nil || set["next"] != tags[0] {
		t.Errorf("%v, %v", set, err)
	}
	back := open(t)
	if got, err := back.Import(t.Context(), old.Dir); err != nil || len(got.Environments) != 3 || got.Environments[1].Labels["next"] != tags[0] {
		t.Errorf("%+v, %v", got, err)
	}
	if err := r.Export(t.Context(), to); !errors.Is(err, ErrThere) {
		t.Errorf("wrote over %s: %v", to, err)
	}
	sane(t, r)
}

// A stranger's repository obeys nobody: no link, program, module or account comes in,
// nothing of its configuration runs, and what it points at elsewhere is not read.
func TestImportHostile(t *testing.T) {
	t.Parallel()
	o, r := oldRepository(t), open(t)
	o.Git("checkout", "-q", "default")
	if err := os.Symlink("/etc/passwd", filepath.Join(o.Dir, "apt.txt")); err != nil {
		t.Fatal(err)
	}
	o.Git("add", "apt.txt")
	o.Write("users.csv", "ada,secret\n")
	o.Write("srv/jupyterhub_config.py", "c = 1\n")
	o.Write("requirements.txt", "numpy\nghp_"+strings.Repeat("a", 36)+"\n")
	o.Write("runtime.txt", strings.Repeat("x", maxFile+1))
	o.Write("start", "#!/bin/sh\n")
	o.Git("update-index", "--chmod=+x", "start")
	o.Git("update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("1", 40)+",uv.lock")
	o.Write("labels/current.txt", "env-other-2020_01_01")
	o.Git("commit", "-q", "-m", "token=abcdefgh12345678\x01")
	mark := filepath.Join(t.TempDir(), "ran")
	o.Git("config", "core.fsmonitor", "touch "+mark)
	o.Git("config", "core.hooksPath", "/nonexistent")
	o.Git("config", "extensions.partialClone", "evil")
	o.Git("config", "remote.evil.url", "ext::touch "+mark)
	for name, data := range map[string]string{"objects/info/alternates": "/var/lib\n", "refs/heads/--x": strings.Repeat("1", 40), "refs/heads/gone": strings.Repeat("2", 40) + "\n"} {
		if err := os.WriteFile(filepath.Join(o.Dir, ".git", name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(o.Dir, ".git/refs/heads/link")); err != nil {
		t.Fatal(err)
	}
	got, err := r.Import(t.Context(), o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	fs, err := r.Spec(t.Context(), "default")
	var names []string
	for _, f := range fs {
		names = append(names, f.Name)
	}
	if d := cmp.Diff([]string{"env.spec", "start"}, names); d != "" || err != nil {
		t.Error(d, err)
	}
	for _, file := range []string{"apt.txt", "users.csv", "srv", "requirements.txt", "runtime.txt", "uv.lock"} {
		if !slices.ContainsFunc(got.Notices, func(n notice.Notice) bool { return n.File == file && n.Means != "" && n.Do != "" }) {
			t.Errorf("nothing is said about %s", file)
		}
	}
	if es, err := r.Log(t.Context(), "default", 1); err != nil || strings.Contains(es[0].Why, "token") {
		t.Errorf("%+v, %v", es, err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a program of the repository ran")
	}
	sane(t, r)
}

// Damage and things that are no repository are said so, and change nothing.
func TestImportDamaged(t *testing.T) {
	t.Parallel()
	r := open(t)
	if _, err := r.Import(t.Context(), t.TempDir()); notice.For(err)[0].Code != "import-refused" {
		t.Error(err)
	}
	o := oldRepository(t)
	huge := filepath.Join(t.TempDir(), "message")
	if err := os.WriteFile(huge, bytes.Repeat([]byte("x"), maxFile), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Git("checkout", "-q", "-b", "huge")
	o.Git("commit", "-q", "--allow-empty", "-F", huge)
	if _, err := r.Import(t.Context(), o.Dir); notice.For(err)[0].Code != "import-refused" || !strings.Contains(notice.For(err)[0].What, "larger") {
		t.Error(err)
	}
	o.Git("checkout", "-q", "default")
	o.Git("branch", "-q", "-D", "huge")
	o.Git("gc", "-q")
	packs, _ := filepath.Glob(filepath.Join(o.Dir, ".git/objects/pack/*.pack"))
	data, err := os.ReadFile(packs[0])
	if err != nil {
		t.Fatal(err)
	}
	_ = os.Chmod(packs[0], 0o644)
	if err := os.WriteFile(packs[0], bytes.Replace(data, data[len(data)/2:len(data)/2+4], []byte{1, 2, 3, 4}, 1), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Import(t.Context(), o.Dir); notice.For(err)[0].Code != "import-refused" {
		t.Error(err)
	}
	if envs, err := r.Environments(t.Context()); err != nil || len(envs) != 0 {
		t.Errorf("%v, %v", envs, err)
	}
}

// K2: names with "-" are mapped; two that would be one name are not, and both are named.
func TestK2_names(t *testing.T) {
	im := &importer{refs: map[string]oid{}}
	for _, b := range []string{"a-b", "a_b", "A.b", "geo", "manifest/geo", "2fast", "feature/x", "manifest-", "straße"} {
		im.refs["refs/heads/"+b] = none
	}
	got := im.names()
	want := map[string]string{"a_b": "a_b", "geo": "geo", "feature/x": "feature_x", "manifest-": "manifest_"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(im.out.Notices) != 4 {
		t.Errorf("%v", im.out.Notices)
	}
}

// A branch that is no environment is passed over; a repository of such only is said so.
func TestImportNothing(t *testing.T) {
	o, r := gitenvtest.Init(t), open(t)
	got, err := r.Import(t.Context(), o.Dir)
	if err != nil || len(got.Environments) != 0 || !has(got.Notices, "import-nothing") {
		t.Errorf("%+v, %v", got, err)
	}
}
