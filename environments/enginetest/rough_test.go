package enginetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/conjuring/conjured/internal/condatest"
)

// What is hostile, and what is cut off in the middle.

// A package that would write outside of its prefix is refused before anything is linked.
// rattler itself follows such paths, or ends the process.
func TestRattlerRefusesWhatLeavesThePrefix(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	file := func(path string) []condatest.File { return []condatest.File{{Path: path, Data: []byte("x\n")}} }
	link := func(path, to string) []condatest.File { return []condatest.File{{Path: path, Link: to}} }
	hostile := map[string][]condatest.File{
		"dots":       file("../outside"),
		"deep":       file("share/../../outside"),
		"root":       file(outside),
		"records":    file("conda-meta/history"),
		"ours":       file("generation.json"),
		"away":       link("share", outside),
		"up":         link("share/up", "../../.."),
		"crooked":    link("share/up", "a/../../.."),
		"loop":       link("share/loop", "loop"),
		"clobber":    link("share/x__clobber-from-y", "."),
		"behind":     append(link("share/dir", "../../gen"), file("share/dir/file")...),
		"entrypoint": condatest.Module("entrypoint", "1", ""),
	}
	var packages []condatest.Package
	for name, files := range hostile {
		p := condatest.Package{Name: name, Version: "1", Noarch: "generic", Files: files}
		if name == "entrypoint" {
			p.Noarch, p.EntryPoints = "python", []string{"../../outside = entrypoint:main"}
		}
		packages = append(packages, p)
	}
	// Each of these is fine alone; together one's link leads outside by way of the other's.
	packages = append(packages,
		condatest.Package{Name: "a-link", Version: "1", Noarch: "generic", Files: link("share/data", ".")},
		condatest.Package{Name: "b-file", Version: "1", Noarch: "generic", Files: link("share/data/file", "../.."), Depends: []string{"a-link"}})
	_, r := newChannel(t, packages...)
	var names []string
	for _, p := range packages {
		names = append(names, p.Name)
	}
	all := plan(t, r, Ask{Conda: names}).Private.([]map[string]any)
	for _, p := range packages {
		if p.Name == "a-link" {
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			only := slices.DeleteFunc(slices.Clone(all), func(have map[string]any) bool {
				return have["name"] != p.Name && !slices.Contains(p.Depends, have["name"].(string))
			})
			prefix, err := r.Install(t.Context(), Plan{Private: only})
			if p.Name == "b-file" {
				fails(t, err, Other)
			} else {
				fails(t, err, Other, p.Name)
			}
			if prefix != "" {
				t.Errorf("installed at %s", prefix)
			}
			for _, path := range []string{outside, filepath.Join(r.w.Root, "outside"), filepath.Join(r.w.Root, "gen", "outside")} {
				if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %v", path, err)
				}
			}
		})
	}
}

// Packages with links are as usual as others.
func TestRattlerTakesHonestLinks(t *testing.T) {
	_, r := newChannel(t, condatest.Package{Name: "lib", Version: "1", Files: []condatest.File{
		{Path: "lib/libx.so.1", Data: []byte("x\n")},
		{Path: "lib/libx.so", Link: "libx.so.1"},
		{Path: "share/terminfo/a", Data: []byte("a\n")},
		{Path: "lib/terminfo", Link: "../share/terminfo"},
		{Path: "share/a b\\c", Data: []byte("odd\n")},
	}})
	prefix := install(t, r, plan(t, r, Ask{Conda: []string{"lib"}}))
	for path, want := range map[string]string{"lib/libx.so": "x\n", "lib/terminfo/a": "a\n", "share/a b\\c": "odd\n"} {
		if b, err := os.ReadFile(filepath.Join(prefix, path)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", path, b, err)
		}
	}
}

// Whatever a killed run has left, the next one gives what a first one gives; and what
// was chosen before can be chosen without network.
func TestRattlerKilledAtAnyMoment(t *testing.T) {
	w, r := newChannel(t, condatest.Package{Name: "data", Version: "1", Noarch: "generic"}, condatest.Package{Name: "heavy", Version: "1", Files: []condatest.File{{Path: "share/heavy", Data: noise(4 << 20)}}, Depends: []string{"data"}})
	first := plan(t, r, Ask{Conda: []string{"heavy"}})
	for i := range 5 {
		forge := w.Channels.Channel("conda-forge")
		forge.Packages = append(forge.Packages, condatest.Package{Name: fmt.Sprint("more", i), Version: "1"})
		w.Channels.Set(forge) // so that there is something to write
		r.kill(t, "solve", map[string]any{"channels": []string{"conda-forge"}, "specs": []string{"heavy"}}, i)
		if p, err := r.Resolve(t.Context(), Ask{Conda: []string{"heavy"}, Offline: true}); err != nil {
			t.Fatalf("killed at request %d: without network: %v", i, err)
		} else if p.Version("data") != "1" {
			t.Fatalf("killed at request %d: %+v", i, p)
		}
		r.kill(t, "install", map[string]any{"prefix": filepath.Join(w.Root, "killed", fmt.Sprint(i)), "packages": first.Private}, i%3)
	}
	prefix := install(t, r, first)
	if b, err := os.ReadFile(filepath.Join(prefix, "share/heavy")); err != nil || !bytes.Equal(b, noise(4<<20)) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	for _, part := range []string{"part", "pkgs"} {
		left, err := filepath.Glob(filepath.Join(w.Root, "cache", part, "*"))
		if dots, _ := filepath.Glob(filepath.Join(w.Root, "cache", part, ".new-*")); len(dots) > 0 || err != nil || part == "part" && len(left) > 0 {
			t.Errorf("left in %s: %v %v %v", part, left, dots, err)
		}
	}
}

// kill runs conda.py until its n-th request from now, and kills it there.
func (r *rattler) kill(t *testing.T, verb string, job map[string]any, n int) {
	t.Helper()
	dir := t.TempDir()
	job["cache"], job["mirror"] = filepath.Join(r.w.Root, "cache"), r.w.Mirror
	in := filepath.Join(dir, "job.json")
	b, err := json.Marshal(job)
	if err := errors.Join(err, os.WriteFile(in, b, 0o644)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(r.tool.Python, "-I", filepath.Join(scripts, "conda.py"), verb, in, filepath.Join(dir, "out"))
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + dir}
	before := len(r.w.Channels.Asked())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case <-ended:
			return
		case <-time.After(time.Millisecond):
			if len(r.w.Channels.Asked()) > before+n {
				_ = cmd.Process.Signal(syscall.SIGKILL)
			}
		}
	}
}

// Lists that a killed run left half written are put back from the last whole ones.
func TestRattlerListsAreRestored(t *testing.T) {
	w, r := newChannel(t, condatest.Package{Name: "data", Version: "1", Noarch: "generic"})
	want := plan(t, r, Ask{Conda: []string{"data"}})
	lists := filepath.Join(w.Root, "cache", "repodata")
	names, err := filepath.Glob(filepath.Join(lists, "*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%v %v", names, err)
	}
	for _, name := range names {
		if err := os.Truncate(name, 0); err != nil && !errors.Is(err, syscall.EISDIR) {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(lists+".begun", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := r.Resolve(t.Context(), Ask{Conda: []string{"data"}, Offline: true})
	if err != nil || !bytes.Equal(got.Bytes, want.Bytes) {
		t.Errorf("%s, %v, want %s", got.Bytes, err, want.Bytes)
	}
}
