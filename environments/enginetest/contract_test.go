package enginetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/internal/condatest"
)

// These tests are the contract with py-rattler, whose interface may change with every
// version: what conda.py relies on, and what it does so that it need not rely on it.

func newChannel(t *testing.T, packages ...condatest.Package) (*World, *rattler) {
	t.Helper()
	w := &World{Channels: condatest.Serve(condatest.Channel{Name: "conda-forge", Packages: packages}), Root: t.TempDir()}
	srv := httptest.NewServer(w.Channels)
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	w.Mirror = srv.URL
	return w, newRattler(t, w).(*rattler)
}

// The tests, the tools and the class image have one version.
func TestRattlerVersion(t *testing.T) {
	lock, err := os.ReadFile("../../layers/lock/rattler.txt")
	if err != nil || !bytes.Contains(lock, []byte("\npy-rattler=="+RattlerVersion+" ")) {
		t.Errorf("layers/lock/rattler.txt has not py-rattler==%s: %v", RattlerVersion, err)
	}
	out, err := exec.Command(RealTools(t).Python, "-I", "-c", "import importlib.metadata as m; print(m.version('py-rattler'))").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != RattlerVersion {
		t.Errorf("py-rattler here is %s, want %s: %v", out, RattlerVersion, err)
	}
}

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

// What was unpacked before something failed is not done again.
func TestRattlerKeepsWhatIsDone(t *testing.T) {
	w, r := newChannel(t, condatest.Package{Name: "data", Version: "1", Noarch: "generic"}, condatest.Package{Name: "forged", Version: "1", BrokenHash: true})
	p := plan(t, r, Ask{Conda: []string{"data", "forged"}})
	_, err := r.Install(t.Context(), p)
	fails(t, err, Hash, "forged")
	before := w.Channels.Downloads()
	_, err = r.Install(t.Context(), p)
	fails(t, err, Hash, "forged")
	if n := w.Channels.Downloads() - before; n != 1 {
		t.Errorf("%d packages were fetched again, want the forged one only", n)
	}
}

// conda-forge's lists come in shards, one file for each package: what is made of them has
// to hold as with whole lists.
func TestRattlerShards(t *testing.T) {
	dir := t.TempDir()
	if err := condatest.Write(dir, condatest.Channel{Name: "conda-forge", Packages: []condatest.Package{
		{Name: "data", Version: "1", Noarch: "generic"}, {Name: "tiny", Version: "1", Depends: []string{"data"}}, {Name: "other", Version: "1"},
	}}); err != nil {
		t.Fatal(err)
	}
	index := exec.Command(RealTools(t).Python, "-I", "-c", `import asyncio, os, sys
from rattler.index import index_fs
asyncio.run(index_fs(sys.argv[1], write_zst=False, write_shards=True, force=True))
os._exit(0)  # its threads do not survive an orderly end`, filepath.Join(dir, "conda-forge"))
	if out, err := index.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	srv := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(srv.Close)
	w := &World{Root: t.TempDir(), Mirror: srv.URL}
	r := newRattler(t, w).(*rattler)
	first := plan(t, r, Ask{Conda: []string{"tiny"}})
	if first.Version("data") != "1" || !bytes.Contains(first.Bytes, []byte(`"conda-forge/linux-64": "`)) {
		t.Errorf("%s", first.Bytes)
	}
	if err := os.RemoveAll(filepath.Join(dir, "conda-forge/linux-64/repodata.json")); err != nil { // nobody needs it
		t.Fatal(err)
	}
	again := plan(t, r, Ask{Conda: []string{"tiny"}, Locked: first})
	srv.Close()
	lists, err := filepath.Glob(filepath.Join(w.Root, "cache/repodata/*.shards-cache-v1"))
	if err != nil || len(lists) != 2 {
		t.Fatalf("%v %v", lists, err)
	}
	for _, cut := range []bool{false, true} { // also when a killed run has left half of them
		if cut {
			if err := errors.Join(os.Truncate(lists[0], 20), os.WriteFile(filepath.Join(w.Root, "cache/repodata.begun"), nil, 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		offline, err := r.Resolve(t.Context(), Ask{Conda: []string{"tiny"}, Offline: true})
		if err != nil || !bytes.Equal(offline.Bytes, first.Bytes) || !bytes.Equal(again.Bytes, first.Bytes) {
			t.Errorf("%v\n%s\n%s\n%s", err, first.Bytes, again.Bytes, offline.Bytes)
		}
	}
	_, err = r.Resolve(t.Context(), Ask{Conda: []string{"other"}, Offline: true})
	fails(t, err, Network)
}

// A file of the store that changed is found when it is looked for, and fetched again.
func TestRattlerDamagedStore(t *testing.T) {
	w, r := newChannel(t, condatest.Package{Name: "data", Version: "1", Noarch: "generic"})
	p := plan(t, r, Ask{Conda: []string{"data"}})
	install(t, r, p)
	if err := os.WriteFile(filepath.Join(w.Root, "cache/pkgs/data-1-h0_0/share/data"), []byte("2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	job := map[string]any{"prefix": filepath.Join(w.Root, "gen/checked"), "packages": p.Private, "check": true}
	if _, err := r.run(t.Context(), "install", job); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(w.Root, "gen/checked/share/data")); err != nil || string(b) != "1\n" {
		t.Errorf("%q, %v", b, err)
	}
}

// Archives that were put aside make an environment on a box without network.
func TestRattlerArchivesTravel(t *testing.T) {
	w, r := newChannel(t, condatest.Package{Name: "data", Version: "1", Noarch: "generic"}, condatest.Package{Name: "old", Version: "1", Bz2: true})
	p := plan(t, r, Ask{Conda: []string{"data", "old"}})
	aside := filepath.Join(w.Root, "aside")
	b, err := r.run(t.Context(), "fetch", map[string]any{"packages": p.Private, "archives": aside})
	if err != nil {
		t.Fatal(err)
	}
	var fetched struct{ Files, MD5 map[string]string }
	if err := json.Unmarshal(b, &fetched); err != nil || len(fetched.Files) != 2 || len(fetched.MD5) != 2 {
		t.Fatalf("%s %v", b, err)
	}
	other, away := newChannel(t)
	other.Channels.Offline(true)
	var missing struct{ Missing []string }
	if b, err = away.run(t.Context(), "missing", map[string]any{"packages": p.Private}); err != nil || json.Unmarshal(b, &missing) != nil || len(missing.Missing) != 2 {
		t.Errorf("missing: %s %v", b, err)
	}
	_, err = away.Install(t.Context(), p)
	fails(t, err, Network)
	if err := os.CopyFS(filepath.Join(other.Root, "cache/archives"), os.DirFS(aside)); err != nil {
		t.Fatal(err)
	}
	for _, offline := range []bool{true, false} {
		if _, err := away.run(t.Context(), "install", map[string]any{"prefix": filepath.Join(other.Root, fmt.Sprint(offline)), "packages": p.Private, "offline": offline}); err != nil {
			t.Error(err)
		}
	}
	// The list for old clients has the md5 of the archives that were fetched.
	m := environments.Manifest{Platform: "linux-x86_64"}
	for sum, name := range fetched.Files {
		m.Packages = append(m.Packages, environments.Package{Kind: environments.Conda, Name: name, URL: "https://conda.anaconda.org/c/noarch/" + name, Hashes: []string{"sha256:" + sum}})
	}
	if list, err := m.ExplicitMD5(fetched.MD5); err != nil || strings.Count(string(list), "\n") != 4 {
		t.Errorf("%s %v", list, err)
	}
}

// What is half there is not fetched again.
func TestRattlerContinues(t *testing.T) {
	w, r := newChannel(t, condatest.Package{Name: "heavy", Version: "1", Files: []condatest.File{{Path: "share/heavy", Data: noise(4 << 20)}}})
	p := plan(t, r, Ask{Conda: []string{"heavy"}})
	w.Channels.Cut("heavy", 1<<20) // each try gets a megabyte further: three tries are too few
	_, err := r.Install(t.Context(), p)
	fails(t, err, Network)
	part, err := filepath.Glob(filepath.Join(w.Root, "cache/part/*.conda"))
	if err != nil || len(part) != 1 {
		t.Fatalf("%v %v", part, err)
	}
	if fi, err := os.Stat(part[0]); err != nil || fi.Size() <= 1<<20 {
		t.Errorf("after three tries: %v %v", fi.Size(), err)
	}
	install(t, r, p) // still cut: what is there and three megabytes more suffice
}

// The prefix and the answers name the channel's own address, whatever it came by.
func TestRattlerNamesNoMirror(t *testing.T) {
	w, r := newChannel(t, condatest.Package{Name: "data", Version: "1", Noarch: "generic"})
	p := plan(t, r, Ask{Conda: []string{"data"}})
	prefix := install(t, r, p)
	for name := range Tree(t, prefix) {
		if b, err := os.ReadFile(filepath.Join(prefix, name)); err == nil && bytes.Contains(b, []byte(w.Mirror)) {
			t.Errorf("%s names the mirror", name)
		}
	}
	if bytes.Contains(p.Bytes, []byte(w.Mirror)) || !bytes.Contains(p.Bytes, []byte(`"conda-forge/noarch"`)) || !bytes.Contains(p.Bytes, []byte(`"license": "BSD-3-Clause"`)) {
		t.Errorf("%s", p.Bytes)
	}
	if _, err := os.Stat(filepath.Join(prefix, "CACHEDIR.TAG")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("backups would leave the generation out: %v", err)
	}
	fi, err := os.Stat(filepath.Join(prefix, "share/data"))
	if err != nil || fi.Sys().(*syscall.Stat_t).Nlink != 2 {
		t.Errorf("not a link into the store: %v %v", fi, err)
	}
}

// The proxy that the environment names is used for lists and for archives.
func TestRattlerByProxy(t *testing.T) {
	w, r := newChannel(t, condatest.Package{Name: "data", Version: "1", Noarch: "generic"})
	var mu sync.Mutex
	var hosts []string
	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, q *http.Request) {
		mu.Lock()
		hosts = append(hosts, q.URL.Host)
		mu.Unlock()
		w.Channels.ServeHTTP(rw, q)
	}))
	t.Cleanup(proxy.Close)
	w.Mirror = "http://channels.test"
	r.env = []string{"http_proxy=" + proxy.URL, "HTTP_PROXY=" + proxy.URL}
	install(t, r, plan(t, r, Ask{Conda: []string{"data"}}))
	mu.Lock()
	defer mu.Unlock()
	if len(hosts) < 4 || slices.ContainsFunc(hosts, func(h string) bool { return h != "channels.test" }) {
		t.Errorf("the proxy was asked for %v", hosts)
	}
}

// A choice is the same on every box: no package for this processor only, and none newer
// than what is asked for.
func TestRattlerChoosesForEveryBox(t *testing.T) {
	_, r := newChannel(t,
		condatest.Package{Name: "fast", Version: "1", Depends: []string{"__archspec 1 x86_64"}},
		condatest.Package{Name: "fast", Version: "2", Depends: []string{"__archspec 1 x86_64_v3"}},
		condatest.Package{Name: "far", Version: "1", Depends: []string{"__glibc >=99"}},
		condatest.Package{Name: "dated", Version: "1", Timestamp: 1700000000000},
		condatest.Package{Name: "dated", Version: "2", Timestamp: 1800000000000})
	if p := plan(t, r, Ask{Conda: []string{"fast", "dated"}}); p.Version("fast") != "1" || p.Version("dated") != "2" {
		t.Errorf("%+v", p.Packages)
	}
	_, err := r.Resolve(t.Context(), Ask{Conda: []string{"far"}})
	fails(t, err, Conflict, "far")
	b, err := r.run(t.Context(), "solve", map[string]any{"channels": []string{"conda-forge"}, "specs": []string{"dated"}, "exclude_newer": "2024-01-01T00:00:00+00:00"})
	if err != nil || !bytes.Contains(b, []byte(`"version": "1"`)) {
		t.Errorf("%s %v", b, err)
	}
}

// A choice that takes too long is given up, and is not taken for one that does not exist.
func TestRattlerGivesUp(t *testing.T) {
	w, r := newChannel(t, condatest.Package{Name: "data", Version: "1", Noarch: "generic"}, condatest.Package{Name: "more", Version: "1", Depends: []string{"data"}})
	cmd := exec.Command(r.tool.Python, "-I", "-c", `import asyncio, os, sys
sys.path.insert(0, sys.argv[1])
import condasolve as c
c.SOLVING = 0.000001
try:
    asyncio.run(c.Solver(c.Ask(channels=["conda-forge"], specs=["more"], cache=sys.argv[2], mirror=sys.argv[3])).answer())
except c.Failure as e:
    print("failure:", e.fields["kind"], e.fields["message"], flush=True)
os._exit(0)`, scripts, filepath.Join(w.Root, "cache"), w.Mirror)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "failure: other choosing versions took longer") {
		t.Errorf("%s %v", out, err)
	}
}

// rattler reads the explicit lists that are written.
func TestRattlerReadsExplicit(t *testing.T) {
	m := environments.Manifest{Platform: "linux-x86_64", Packages: []environments.Package{{
		Kind: environments.Conda, Name: "data", Version: "1", Build: "0",
		URL: "https://conda.anaconda.org/conda-forge/noarch/data-1-0.conda", Hashes: []string{"sha256:" + strings.Repeat("0", 64)},
	}}}
	cmd := exec.Command(RealTools(t).Python, "-I", "-c", `import sys
from rattler.explicit_environment import ExplicitEnvironmentSpec as E
e = E.from_str(sys.stdin.read())
print(e.platform, *[p.url for p in e.packages])`)
	cmd.Stdin = bytes.NewReader(m.Explicit())
	out, err := cmd.CombinedOutput()
	want := "linux-64 " + m.Packages[0].URL + "#sha256:" + strings.Repeat("0", 64) + "\n"
	if err != nil || string(out) != want {
		t.Errorf("%s %v, want %s", out, err, want)
	}
}
