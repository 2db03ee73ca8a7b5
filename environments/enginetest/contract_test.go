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
