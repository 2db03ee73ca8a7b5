package environments

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// stocked puts one package of each kind into the caches, as the engines do, and gives a
// manifest that has them all. Everything in it is named after name and is old.
func stocked(t *testing.T, s *Store, name string) Manifest {
	t.Helper()
	sum := func(kind string) string { return digest([]byte(name + kind)) }
	rel := filepath.Join("store/wheel", sum("wheel"), name+"-1-py3-none-any.whl")
	m := Manifest{Python: "3.13", Platform: "linux-x86_64", Packages: []Package{
		{Name: name, Version: "1", Hashes: []string{"sha256:" + sum("index"), "sha256:" + sum("another file of it")}},
		{Name: name + "-own", URL: "file://" + s.Mount() + "/" + rel, Hashes: []string{"sha256:" + sum("wheel")}},
		{Kind: Conda, Name: name + "c", Version: "1", Build: "0", URL: "https://conda.anaconda.org/c/noarch/" + name + "c-1-0.conda", Hashes: []string{"sha256:" + sum("conda")}},
		{Kind: Conda, Name: name + "a", Version: "1", Build: "0", URL: "https://conda.anaconda.org/c/noarch/" + name + "a-1-0.conda", Hashes: []string{"sha256:" + sum("archive")}},
	}}
	files := map[string]string{
		rel: name,
		"store/uv/archive-v0/" + name + "/" + name + ".py":     "code of " + name,
		"store/uv/wheels-v8/pypi/" + name + "/1-none.http":     "\xa8" + "Sha256\xd9@" + sum("index") + "\xa0rest",
		"store/uv/wheels-v8/pypi/" + name + "/1-none.msgpack":  "metadata",
		"store/conda/pkgs/" + name + "c-1-0/info/index.json":   "{}",
		"store/conda/pkgs/" + name + "c-1-0.lock":              "\x00\x00\x00\x00\x00\x00\x00\x01" + unhex(t, sum("conda")),
		"store/conda/archives/" + sum("archive") + ".conda":    "archive",
		"store/conda/part/" + sum("archive of "+name) + ".tar": "part",
	}
	for path, data := range files {
		place(t, filepath.Join(s.Root(), path), data)
	}
	if err := os.Symlink("../../../archive-v0/"+name, filepath.Join(s.Root(), "store/uv/wheels-v8/pypi", name, "1-none")); err != nil {
		t.Fatal(err)
	}
	age(t, filepath.Join(s.Root(), "store"))
	return m
}

func unhex(t *testing.T, s string) string {
	t.Helper()
	var b []byte
	if _, err := fmt.Sscanf(s, "%x", &b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func place(t *testing.T, path, data string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(data), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// age makes everything below dir a year old.
func age(t *testing.T, dir string) {
	t.Helper()
	was := time.Now().AddDate(-1, 0, 0)
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type() == fs.ModeSymlink {
			return err
		}
		return os.Chtimes(path, was, was)
	}); err != nil {
		t.Fatal(err)
	}
}

// stockedGeneration completes a generation of m, with one file of its own and one that it
// shares with uv's cache.
func stockedGeneration(t *testing.T, s *Store, env Name, m Manifest, shared string) Generation {
	t.Helper()
	n, err := s.begin(env)
	if err != nil {
		t.Fatal(err)
	}
	g := Generation{Env: env, Number: n, ID: m.ID(), Manifest: m, State: Ready}
	place(t, filepath.Join(s.Root(), g.Path(), "own.py"), strings.Repeat("x", 5000*n))
	if shared != "" {
		err = os.Link(filepath.Join(s.Root(), shared), filepath.Join(s.Root(), g.Path(), "shared.py"))
	}
	if err := errors.Join(err, s.complete(g)); err != nil {
		t.Fatal(err)
	}
	return g
}

// taken is what a tree takes on the disk, and its files' names.
func taken(t *testing.T, root string) (bytes int64, names []string) {
	t.Helper()
	seen := map[uint64]bool{}
	if err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		st := fi.Sys().(*syscall.Stat_t)
		if !seen[st.Ino] {
			bytes += st.Blocks * 512
		}
		seen[st.Ino] = true
		names = append(names, strings.TrimPrefix(path, root))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return bytes, names
}

// What no generation, no remembered answer and no root names goes from every cache; what
// they name stays, so that it can be built without network. A dry run says it beforehand.
func TestCollectEmptiesCaches(t *testing.T) {
	s := open(t)
	var keeps []Manifest
	for _, name := range []string{"used", "tagged"} {
		keeps = append(keeps, stocked(t, s, name))
	}
	old := stocked(t, s, "old")
	stocked(t, s, "never")
	stockedGeneration(t, s, "geo", old, "store/uv/archive-v0/old/old.py") // goes: it is the fourth of three
	for range 3 {
		stockedGeneration(t, s, "geo", keeps[0], "store/uv/archive-v0/used/used.py")
	}
	place(t, filepath.Join(s.Root(), "store/uv/archive-v0/orphan/x.py"), "nobody's")
	place(t, filepath.Join(s.Root(), "store/uv/.tmpAb/x"), "torn")
	place(t, filepath.Join(s.Root(), "gen/geo/.gone-9/x"), "torn")
	place(t, filepath.Join(s.Root(), "store/work/build-1/x"), "torn")
	place(t, filepath.Join(s.Root(), "store/uv/wheels-v8/pypi/odd/1-none.http"), "no hash at all")
	place(t, filepath.Join(s.Root(), "store/uv/archive-v0/odd/x.py"), "who knows")
	if err := os.Symlink("../../../archive-v0/odd", filepath.Join(s.Root(), "store/uv/wheels-v8/pypi/odd/1-none")); err != nil {
		t.Fatal(err)
	}
	age(t, filepath.Join(s.Root(), "store/work"))
	place(t, filepath.Join(s.Root(), "store/work/build-2/x"), "just made")
	b := &Builder{c: Config{Store: s}}
	there := func() {
		t.Helper()
		for _, m := range keeps {
			if l, err := b.Missing(t.Context(), m); err != nil || len(l) != 0 {
				t.Errorf("cannot be built without network any more: %v, %v", l, err)
			}
		}
	}
	there()
	roots := Roots{Manifests: keeps[1:], Known: true, Dry: true}
	before, names := taken(t, s.Root())
	said, err := s.Collect(t.Context(), roots)
	if err != nil {
		t.Fatal(err)
	}
	if _, now := taken(t, s.Root()); !slices.Equal(names, now) {
		t.Error("a dry run removed something")
	}
	roots.Dry = false
	did, err := s.Collect(t.Context(), roots)
	if err != nil {
		t.Fatal(err)
	}
	after, left := taken(t, s.Root())
	var sum int64
	for _, f := range did.Freed {
		sum += f.Bytes
	}
	if d := cmp.Diff(said, did); d != "" || sum != before-after || sum == 0 {
		t.Errorf("freed %d of %d: %+v; the dry run said (-) %s", sum, before-after, did, d)
	}
	var counts []string
	for _, f := range did.Freed {
		counts = append(counts, fmt.Sprint(f.Kind, " ", f.Count))
	}
	want := []string{"generations 1", "conda-packages 8", "wheels 2", "index-packages 3", "scratch 3"}
	if d := cmp.Diff(want, counts); d != "" {
		t.Error(d)
	}
	there()
	for _, name := range left {
		if strings.Contains(name, "never") && !strings.HasSuffix(name, "msgpack") && !strings.HasSuffix(name, "/never") {
			t.Errorf("%s is left", name)
		}
	}
	if again, err := s.Collect(t.Context(), roots); err != nil || len(again.Freed) != 0 {
		t.Errorf("something is left for another time: %+v, %v", again, err)
	}
}

// While nobody knows what the history needs, or a generation is damaged, no archive goes;
// and what was brought a short while ago waits for what is to be built of it.
func TestCollectIsCautious(t *testing.T) {
	s := open(t)
	m := stocked(t, s, "never")
	g := stockedGeneration(t, s, "geo", Manifest{Python: "3.13", Platform: "linux-x86_64"}, "")
	nothing := func(why string, roots Roots) {
		t.Helper()
		if l, err := s.Collect(t.Context(), roots); err != nil || len(l.Freed) != 0 {
			t.Errorf("%s: %+v, %v", why, l, err)
		}
	}
	nothing("a history that cannot be read", Roots{})
	ok := filepath.Join(s.Root(), g.Path(), "ok")
	if err := os.Rename(ok, ok+".away"); err != nil {
		t.Fatal(err)
	}
	nothing("a damaged generation", Roots{Known: true})
	if err := os.Rename(ok+".away", ok); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(s.Root(), "store/conda/part")); err != nil {
		t.Fatal(err)
	}
	nothing("all is needed", Roots{Known: true, Manifests: []Manifest{m}})
	now := time.Now()
	for _, dir := range []string{"store/wheel/*", "store/conda/archives/*"} {
		paths, _ := filepath.Glob(filepath.Join(s.Root(), dir))
		for _, p := range paths {
			if err := os.Chtimes(p, now, now); err != nil {
				t.Fatal(err)
			}
		}
	}
	l, err := s.Collect(t.Context(), Roots{Known: true})
	if kept, mErr := s.holds(m.Packages[1]); err != nil || mErr != nil || !kept || len(l.Freed) != 2 {
		t.Errorf("%+v, %v, %v, own wheel %v", l, err, mErr, kept)
	}
}
