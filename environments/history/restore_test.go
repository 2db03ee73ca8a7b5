package history

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A history that is gone is made anew from what is on the disk; its tags keep their
// names, and what was there is kept beside it.
func TestRestore(t *testing.T) {
	r := open(t)
	putManifest(t, r, "lost", "a-1-0")
	gen := func(pkg, tag string, labels ...string) Restored {
		return Restored{
			Env: "geo", Spec: []File{file("requirements.txt", "a\n")}, Manifest: []File{file("env.manifest", "x/noarch\t"+pkg+"\n")},
			Tag: tag, Labels: labels, Built: time.Date(2025, 9, 1, 8, 0, 0, 0, time.UTC),
		}
	}
	skipped, err := r.Restore(t.Context(), []Restored{
		gen("a-1-0", "env-geo-2025_09_01", "previous"), gen("a-2-0", "env-geo-2025_09_01-1", "current", "exam"),
		gen("a-3-0", ""),
		{Env: "Bad Name"},
	})
	if err != nil || len(skipped) != 1 {
		t.Fatalf("%v, %v", skipped, err)
	}
	want := map[string]string{"previous": "env-geo-2025_09_01", "current": "env-geo-2025_09_01-1", "exam": "env-geo-2025_09_01-1"}
	if got, err := r.Labels(t.Context(), "geo"); err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("%v, %v", got, err)
	}
	tags, err := r.Tags(t.Context(), "geo")
	if err != nil || len(tags) != 3 || tags[1].Name != "env-geo-2025_09_01-1" || tags[2].Name != "env-geo-2025_09_01-2" {
		t.Errorf("%v, %v", tags, err)
	}
	fs, err := r.Manifest(t.Context(), "geo", "env-geo-2025_09_01")
	if err != nil || string(fs[0].Data) != "x/noarch\ta-1-0\n" {
		t.Errorf("%v, %v", fs, err)
	}
	if _, err := os.Stat(r.c.Dir + ".broken-1/HEAD"); err != nil {
		t.Error(err)
	}
	sane(t, r)
}

// Whatever a disk has done to the directory, it opens; Check says what is damaged.
func TestDamaged(t *testing.T) {
	for name, damage := range map[string]func(dir string) error{
		"head":    func(dir string) error { return os.Truncate(filepath.Join(dir, "HEAD"), 0) },
		"objects": func(dir string) error { return os.RemoveAll(filepath.Join(dir, "objects")) },
		"file":    func(dir string) error { return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)) },
	} {
		r := open(t)
		putManifest(t, r, "geo", "a-1-0")
		r.Close()
		if err := damage(r.c.Dir); err != nil {
			t.Fatal(err)
		}
		again := openAt(t, r.c.Dir)
		if envs, err := again.Environments(t.Context()); err != nil || len(envs) != 0 {
			t.Errorf("%s: %v, %v", name, envs, err)
		}
		putManifest(t, again, "geo", "a-1-0")
		sane(t, again)
	}
	for name, damage := range map[string]func(dir string) error{
		"reference": func(dir string) error { return os.Truncate(filepath.Join(dir, "refs/heads/manifest/geo"), 0) },
		"pack": func(dir string) error {
			packs, err := filepath.Glob(filepath.Join(dir, "objects/pack/*.pack"))
			return errors.Join(err, os.Remove(packs[0]))
		},
	} {
		r := open(t)
		putManifest(t, r, "geo", "a-1-0")
		if err := damage(r.c.Dir); err != nil {
			t.Fatal(err)
		}
		if err := openAt(t, r.c.Dir).Check(t.Context()); err == nil {
			t.Errorf("%s: nobody noticed", name)
		}
	}
}

// The configuration is ours whatever somebody wrote into it.
func TestConfigurationIsOurs(t *testing.T) {
	r := open(t)
	putManifest(t, r, "geo", "a-1-0")
	mark := filepath.Join(t.TempDir(), "ran")
	hook := filepath.Join(r.c.Dir, "hooks", "reference-transaction")
	if err := errors.Join(
		os.WriteFile(filepath.Join(r.c.Dir, "config"), []byte("[core]\n\tbare = true\n\tfsmonitor = touch "+mark+"\n"), 0o600),
		os.MkdirAll(filepath.Dir(hook), 0o700),
		os.WriteFile(hook, []byte("#!/bin/sh\ntouch "+mark+"\nexit 1\n"), 0o700),
	); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GIT_DIR", "/nonexistent")
	t.Setenv("GIT_CONFIG_PARAMETERS", "'core.bare=false'")
	again := openAt(t, r.c.Dir)
	putManifest(t, again, "geo", "a-2-0")
	if _, err := os.Stat(mark); err == nil {
		t.Error("a hook ran")
	}
	if data, _ := os.ReadFile(filepath.Join(r.c.Dir, "config")); string(data) != configFile {
		t.Errorf("%s", data)
	}
}

// Packing loses nothing, and readers that run go on.
func TestPack(t *testing.T) {
	r := open(t)
	for _, pkg := range []string{"a-1-0", "a-2-0", "a-3-0"} {
		putManifest(t, r, "geo", pkg)
	}
	before := state(t, r)
	other := openAt(t, r.c.Dir)
	if state(t, other) != before {
		t.Fatal("two readers differ")
	}
	if err := r.Pack(t.Context()); err != nil {
		t.Fatal(err)
	}
	if state(t, r) != before || state(t, other) != before {
		t.Error("something changed")
	}
	packs, _ := filepath.Glob(filepath.Join(r.c.Dir, "objects/pack/*.pack"))
	if len(packs) != 1 {
		t.Errorf("%v", packs)
	}
	r.packs = 3
	for _, pkg := range []string{"a-5-0", "a-6-0", "a-7-0", "a-4-0"} { // a write joins them too
		putManifest(t, r, "geo", pkg)
	}
	if packs, _ = filepath.Glob(filepath.Join(r.c.Dir, "objects/pack/*.pack")); len(packs) > 4 {
		t.Errorf("%d packs", len(packs))
	}
	if tags, err := other.Tags(t.Context(), "geo"); err != nil || len(tags) != 7 {
		t.Errorf("%v, %v", tags, err)
	}
	sane(t, r)
}

// What was moved aside goes but for the newest; their numbers go on. What only looks like
// it stays.
func TestDropAside(t *testing.T) {
	r := open(t)
	for range 4 {
		if _, err := r.Restore(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{".broken-x", ".broken-07", ".lock"} {
		if err := os.WriteFile(r.c.Dir+name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	said, bytes, err := r.DropAside(t.Context(), 2, true)
	if err != nil || said != 2 || bytes == 0 {
		t.Errorf("%d, %d, %v", said, bytes, err)
	}
	if did, same, err := r.DropAside(t.Context(), 2, false); err != nil || did != said || same != bytes {
		t.Errorf("%d, %d, %v", did, same, err)
	}
	if _, err := r.Restore(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(r.c.Dir + ".*")
	for i := range left {
		left[i] = filepath.Ext(left[i])
	}
	if d := cmp.Diff([]string{".broken-07", ".broken-3", ".broken-4", ".broken-5", ".broken-x", ".lock"}, left); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	sane(t, r)
}
