package environments

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/conjuring/conjured/internal/condatest"
	"github.com/conjuring/conjured/internal/wheeltest"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// summed is lines of which some have checksums behind them.
func summed(lines ...string) []Requirement {
	out := asks(lines...)
	for i, r := range out {
		f := strings.Fields(r.Spec)
		out[i].Name, out[i].Spec = regexp.MustCompile(`^[a-z]+`).FindString(f[0]), f[0]
		out[i].Hashes = append(out[i].Hashes, f[1:]...)
	}
	return out
}

func hashesOf(m Manifest, name string) []string {
	p, _ := m.Find(name)
	return p.Hashes
}

// Only files with the checksums of the lines are installed: there are two of one release,
// and the one that uv would rather have is not the one that is meant.
func TestChecksums_pip(t *testing.T) {
	plain := wheeltest.Wheel{Name: "one", Version: "1", Modules: map[string]string{"one.py": "which = 'plain'\n"}}
	tag := "py3-none-linux_" + map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	better := wheeltest.Wheel{Name: "one", Version: "1", Tag: tag, Modules: map[string]string{"one.py": "which = 'better'\n"}}
	archive := sha256.Sum256(wheeltest.Sdist{Name: "one", Version: "1"}.Bytes())
	two := wheeltest.Wheel{Name: "two", Version: "1", Requires: []string{"one"}}
	source := wheeltest.Sdist{Name: "one", Version: "1"}
	index := wheeltest.Serve(plain, better, two, source)
	srv := httptest.NewServer(index)
	defer srv.Close()
	x := newBox(t, t.TempDir(), srv.URL+"/simple", "none")
	a, b, c := "sha256:"+plain.SHA256(), "sha256:"+better.SHA256(), "sha256:"+two.SHA256()
	nobody := "sha256:" + strings.Repeat("e", 64)
	spec := func(lines ...string) Spec { return Spec{Env: Base, Image: "host", Requirements: summed(lines...)} }
	which := func(g Generation) string {
		out, err := exec.Command(filepath.Join(x.store.Root(), g.Path(), "bin/python"), "-c", "import one; print(one.which)").CombinedOutput()
		if err != nil {
			t.Errorf("%s", out)
		}
		return strings.TrimSpace(string(out))
	}

	free := x.use(t, spec("two", "one==1"))
	if got := which(free); got != "better" || len(hashesOf(free.Manifest, "one")) != 3 {
		t.Fatalf("uv takes %s of %v", got, hashesOf(free.Manifest, "one"))
	}
	// Some lines only: the others come as they did.
	one := x.use(t, spec("two", "one==1 "+a))
	if got := which(one); got != "plain" || !slices.Equal(hashesOf(one.Manifest, "one"), []string{a}) || !slices.Equal(hashesOf(one.Manifest, "two"), hashesOf(free.Manifest, "two")) {
		t.Errorf("%s, %s", got, one.Manifest.Canonical())
	}
	if c := Diff(free.Manifest, one.Manifest).Class(); c != None {
		t.Errorf("only the file changed, and that is %s", c)
	}
	// Another checksum that fits as well, or none: what is there is what is asked for.
	for _, lines := range [][]string{{"two", "one==1 " + a + " " + nobody}, {"two " + c, "one==1 " + a + " " + b}, {"two", "one==1.0 " + a}} {
		made, err := x.b.Make(t.Context(), spec(lines...), progress.Discard)
		if err != nil || made.New || made.Generation.Number != one.Number {
			t.Errorf("%q: %+v %v", lines, made, err)
		}
	}
	// The other file of the same version, whatever the class had before.
	other := x.use(t, spec("two", "one==1 "+b))
	if got := which(other); got != "better" {
		t.Errorf("%s", got)
	}

	for what, bad := range map[string]struct {
		lines []string
		code  string
		says  string
	}{
		"nobody's":     {[]string{"two", "one==1 " + nobody}, "environment-hash-other", "expected sha256 eeeeeeeeeeeeeeee..., there is sha256"},
		"contradicted": {[]string{"one==1 " + a, "one==1 " + b}, "environment-hash-other", "different checksums"},
		"no kind":      {[]string{"two", "one==1 sha512:" + strings.Repeat("e", 128)}, "environment-hash-kind", "sha512"},
		"the source's": {[]string{"two", "one==1 sha256:" + hex.EncodeToString(archive[:])}, "environment-hash", "source code or for other computers"},
	} {
		_, err := x.b.Make(t.Context(), spec(bad.lines...), progress.Discard)
		l := notice.For(err)
		if len(l) != 1 || l[0].Code != bad.code || l[0].Line != 2 || l[0].File != "requirements.txt" || !strings.Contains(l[0].What, bad.says) || l[0].Means != unchanged {
			t.Errorf("%s: %+v", what, l)
		}
	}

	// What comes along has to have one as well where that is asked for.
	strict := spec("two " + c)
	strict.Strict = true
	_, err := x.b.Make(t.Context(), strict, progress.Discard)
	if l := notice.For(err); len(l) != 1 || l[0].Code != "environment-hash-missing" || !strings.Contains(l[0].What, "one is needed") {
		t.Errorf("strict: %+v", l)
	}

	// The bytes change upstream, with and without a word of it in the index.
	forged := plain
	forged.Modules = map[string]string{"one.py": "which = 'forged'\n"}
	x = newBox(t, t.TempDir(), srv.URL+"/simple", "none")
	index.Forge(plain.File(), forged.Bytes())
	_, err = x.b.Make(t.Context(), spec("one==1 "+a), progress.Discard)
	if l := notice.For(err); len(l) != 1 || l[0].Code != "environment-hash" {
		t.Errorf("forged: %+v", l)
	}
	index.Set(forged)
	x = newBox(t, t.TempDir(), srv.URL+"/simple", "none") // what was announced is remembered for a while
	_, err = x.b.Make(t.Context(), spec("one==1 "+a), progress.Discard)
	if l := notice.For(err); len(l) != 1 || l[0].Code != "environment-hash-other" || l[0].Line != 1 {
		t.Errorf("changed: %+v", l)
	}
	if gs, err := x.store.Generations(Base); err != nil || len(gs) != 0 {
		t.Errorf("%+v %v", gs, err)
	}
}

// An archive of conda has to be the one that a list means, by sha256 or md5.
func TestChecksums_conda(t *testing.T) {
	geo := condatest.Package{Name: "geo", Version: "1.0", Noarch: "generic"}
	liar := condatest.Package{Name: "liar", Version: "1", Noarch: "generic", MD5: strings.Repeat("e", 32)}
	x := newCondaBox(t, "http://127.0.0.1:9/simple", geo, liar)
	spec := func(hash string) Spec {
		s := Spec{Env: Base, Image: "host", Channels: []string{"conda-forge"}, Conda: condaAsks("geo=1.0", "python")}
		s.Conda[0].Hash = hash
		return s
	}
	archive := sha256.Sum256(geo.Bytes())
	right, old := hex.EncodeToString(archive[:]), fmt.Sprintf("%x", md5.Sum(geo.Bytes()))
	free := x.use(t, spec(""))
	for _, hash := range []string{"sha256:" + right, "md5:" + old} {
		if made, err := x.b.Make(t.Context(), spec(hash), progress.Discard); err != nil || made.New || made.Generation.Number != free.Number {
			t.Errorf("%s: %+v %v", hash, made, err)
		}
	}
	for hash, code := range map[string]string{
		"sha256:" + strings.Repeat("e", 64): "environment-hash-other", "md5:" + strings.Repeat("e", 32): "environment-hash-other", "sha512:" + strings.Repeat("e", 128): "environment-hash-kind",
	} {
		_, err := x.b.Make(t.Context(), spec(hash), progress.Discard)
		l := notice.For(err)
		if len(l) != 1 || l[0].Code != code || l[0].File != "environment.yml" || l[0].Line != 3 || !strings.Contains(l[0].What, "geo=1.0=") {
			t.Errorf("%s: %+v", hash, l)
		}
	}
	// A channel that announces the md5 that is wanted, for another file.
	s := spec("")
	s.Conda = append(s.Conda, CondaRequirement{Spec: "liar", File: "environment.yml", Line: 5, Hash: "md5:" + liar.MD5})
	_, err := x.b.Make(t.Context(), s, progress.Discard)
	if l := notice.For(err); len(l) != 1 || l[0].Code != "environment-hash" || l[0].Line != 5 {
		t.Errorf("a channel that lies: %+v", l)
	}
	if gs, err := x.store.Generations(Base); err != nil || len(gs) != 1 {
		t.Errorf("%+v %v", gs, err)
	}
}

// Unfinished versions come where they are asked for. What builds from source builds only
// the source that the line means. A line with a checksum for what conda brings is refused.
func TestChecksums_besides(t *testing.T) {
	source := wheeltest.Sdist{Name: "built", Version: "1"}
	srv := httptest.NewServer(wheeltest.Serve(
		wheeltest.Wheel{Name: "one", Version: "1"}, wheeltest.Wheel{Name: "one", Version: "2rc1"}, source, wheeltest.Wheel{Name: "geo", Version: "1.0"},
	))
	defer srv.Close()
	x := newCondaBox(t, srv.URL+"/simple", condatest.Package{Name: "geo", Version: "1.0", Noarch: "python", Depends: []string{"python"}})
	s := Spec{Env: Base, Image: "host", Requirements: asks("one"), Pre: true}
	if m, _, err := x.b.Resolve(t.Context(), s, ResolveOptions{}, progress.Discard); err != nil || len(m.Packages) != 1 || m.Packages[0].Version != "2rc1" {
		t.Errorf("--pre: %+v %v", m, err)
	}

	archive := sha256.Sum256(source.Bytes())
	for hash, want := range map[string]int{hex.EncodeToString(archive[:]): 1, strings.Repeat("e", 64): 0} {
		m, _, err := x.b.Resolve(t.Context(), Spec{Env: Base, Image: "host", Requirements: summed("built==1 sha256:" + hash), AllowBuild: true}, ResolveOptions{}, progress.Discard)
		l := notice.For(err)
		if len(m.Packages) != want || want == 0 && (len(l) != 1 || l[0].Code != "environment-hash-other" || l[0].Line != 1) {
			t.Errorf("source %s: %+v %v", hash, m, l)
		}
	}

	both := Spec{Env: Base, Image: "host", Channels: []string{"conda-forge"}, Conda: condaAsks("geo"), Requirements: summed("geo==1.0 sha256:" + strings.Repeat("e", 64))}
	_, _, err := x.b.Resolve(t.Context(), both, ResolveOptions{}, progress.Discard)
	if l := notice.For(err); len(l) != 1 || l[0].Code != "environment-hash-conda" || l[0].Line != 1 {
		t.Errorf("%+v", l)
	}
}

// Which lines count for a version, and what they leave of its files.
func TestChecksums_allowed(t *testing.T) {
	for what, c := range map[string]struct {
		lines   []string
		version string
		want    string // of the files a, b and c
	}{
		"none":                 {[]string{"x==1"}, "1", "any"},
		"another version":      {[]string{"x==2 a"}, "1", "any"},
		"the same, written so": {[]string{"x==1.0 a b"}, "1", "a b"},
		"a range":              {[]string{"x>=1 b"}, "1.5", "b"},
		"all of a series":      {[]string{"x==1.* c"}, "1.5", "c"},
		"both":                 {[]string{"x==1 a b", "x b c"}, "1", "b"},
		"nothing in common":    {[]string{"x==1 a", "x==1 b"}, "1", ""},
		"one of conditions":    {[]string{"x==1;os_name=='nt' a", "x==1;os_name=='posix' b"}, "1", "a b"},
		"a condition besides":  {[]string{"x==1 a b", "x==1;os_name=='nt' c"}, "1", "a b"},
		"not listed":           {[]string{"x==1 d"}, "1", ""},
	} {
		s := Spec{Requirements: summed(c.lines...)}
		m := Manifest{Packages: []Package{{Name: "x", Version: c.version, Hashes: []string{"a", "b", "c"}}}}
		got, err := s.keepTo(m, nil)
		left := strings.Join(got.Packages[0].Hashes, " ")
		if c.want == "any" {
			c.want = "a b c"
		}
		if left != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s: %q %v, want %q", what, left, err, c.want)
		}
		if len(m.Packages[0].Hashes) != 3 {
			t.Errorf("%s: the manifest that was given changed", what)
		}
	}
}

// A kernel's own packages are known by the class's lock; one of them that a line has a
// checksum for is only the file that it means, also when the class has another one.
func TestChecksums_kernel(t *testing.T) {
	kernel := wheeltest.Wheel{Name: "ipykernel", Version: "1", Requires: []string{"comm"}}
	plain := wheeltest.Wheel{Name: "comm", Version: "2"}
	older := wheeltest.Wheel{Name: "comm", Version: "2", Tag: "py2.py3-none-any"}
	srv := httptest.NewServer(wheeltest.Serve(kernel, plain, older))
	defer srv.Close()
	x := newBox(t, t.TempDir(), srv.URL+"/simple", "none")
	a, b := "sha256:"+plain.SHA256(), "sha256:"+older.SHA256()
	x.b.c.LabLock = []byte("comm==2 \\\n    --hash=" + a + " \\\n    --hash=" + b + "\nipykernel==1 \\\n    --hash=sha256:" + kernel.SHA256() + "\n")
	for _, hash := range []string{a, b} {
		m, _, err := x.b.Resolve(t.Context(), Spec{Env: "geo", Image: "host", Requirements: summed("comm==2 " + hash), Strict: true}, ResolveOptions{}, progress.Discard)
		if got := hashesOf(m, "comm"); err != nil || len(m.Packages) != 2 || !slices.Equal(got, []string{hash}) {
			t.Errorf("%v %v", got, notice.For(err))
		}
	}
	m, _, err := x.b.Resolve(t.Context(), Spec{Env: Base, Image: "host", Core: x.b.c.LabLock, Requirements: summed("comm==2 " + b)}, ResolveOptions{}, progress.Discard)
	if got := hashesOf(m, "comm"); err != nil || !slices.Equal(got, []string{b}) || len(hashesOf(m, "ipykernel")) != 1 {
		t.Errorf("%v %v", got, notice.For(err))
	}
}
