package enginetest

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/conjuring/conjured/internal/condatest"
)

// Conda runs what an engine for conda packages has to do.
func Conda(t *testing.T, engine func(*testing.T, *World) Engine) {
	w := NewWorld(t, "")
	e := engine(t, w)
	condaPlans(t, w, e)
	t.Run("installs", func(t *testing.T) { condaInstalls(t, w, e) })
	t.Run("lies", func(t *testing.T) { condaLies(t, e) })
	t.Run("offline", func(t *testing.T) { condaOffline(t, w, e) })
	t.Run("changes little", func(t *testing.T) { condaLocked(t, engine) })
	t.Run("network goes", func(t *testing.T) { condaCut(t, engine) })
	t.Run("stops", func(t *testing.T) {
		for _, part := range []string{"repodata.json", "data-1"} {
			w := NewWorld(t, "")
			stops(t, &w.Channels.Network, part, engine(t, w), Ask{Conda: []string{"data"}})
		}
	})
}

// CondaPlans is the part of [Conda] that is done first and in little time: it chooses, and
// installs one plan twice.
func CondaPlans(t *testing.T, engine func(*testing.T, *World) Engine) {
	w := NewWorld(t, "")
	e := engine(t, w)
	condaPlans(t, w, e)
	t.Run("installs", func(t *testing.T) { condaInstalls(t, w, e) })
}

func condaPlans(t *testing.T, w *World, e Engine) {
	t.Run("resolve", func(t *testing.T) { condaResolves(t, w, e) })
	t.Run("channels in their order", func(t *testing.T) { condaChannels(t, e) })
	t.Run("refuses", func(t *testing.T) { condaRefuses(t, e) })
}

func condaResolves(t *testing.T, w *World, e Engine) {
	p := plan(t, e, Ask{Conda: []string{"app"}})
	for name, version := range map[string]string{"app": "1.0", "tinydep": "0.4", "libtiny": "1.3.0", "python": w.Python} {
		if p.Version(name) != version {
			t.Errorf("%s is %q, want %s", name, p.Version(name), version)
		}
	}
	if again := plan(t, e, Ask{Conda: []string{"app"}}); !bytes.Equal(p.Bytes, again.Bytes) || len(p.Bytes) == 0 {
		t.Errorf("the same question was answered differently:\n%s\n%s", p.Bytes, again.Bytes)
	}
	if p := plan(t, e, Ask{Conda: []string{"app", "libtiny=1.2"}}); p.Version("libtiny") != "1.2.0" {
		t.Errorf("libtiny=1.2 gave %s", p.Version("libtiny"))
	}
	if p := plan(t, e, Ask{Conda: []string{"held", "libtiny"}}); p.Version("libtiny") != "1.2.0" {
		t.Errorf("what held constrains gave libtiny %s", p.Version("libtiny"))
	}
}

func condaChannels(t *testing.T, e Engine) {
	both := []string{"conda-forge", "bioconda"}
	if p := plan(t, e, Ask{Channels: both, Conda: []string{"genes"}}); p.Version("libtiny") != "1.3.0" {
		t.Errorf("libtiny of the second channel goes before the first's: %s", p.Version("libtiny"))
	}
	_, err := e.Resolve(t.Context(), Ask{Channels: []string{"conda-forge", "no-such-channel"}, Conda: []string{"data"}})
	fails(t, err, Missing)
}

func condaRefuses(t *testing.T, e Engine) {
	for _, c := range []struct {
		asks  []string
		kind  Kind
		names []string
	}{
		{[]string{"older", "newer"}, Conflict, []string{"older", "newer"}},
		{[]string{"data", "nothere"}, Missing, []string{"nothere"}},
		{[]string{"data", "libtiny=7"}, Missing, []string{"libtiny"}},
		{[]string{"data", "python=9.9"}, Missing, []string{"python"}},
		{[]string{"gone"}, Missing, []string{"gone"}},
		{[]string{"tinydep=0.5"}, Conflict, nil},
	} {
		_, err := e.Resolve(t.Context(), Ask{Conda: c.asks})
		t.Run(strings.Join(c.asks, " "), func(t *testing.T) { fails(t, err, c.kind, c.names...) })
	}
}

func condaInstalls(t *testing.T, w *World, e Engine) {
	p := plan(t, e, Ask{Conda: []string{"app", "data"}})
	first := install(t, e, p)
	site := filepath.Join("lib", "python"+w.Python[:strings.LastIndexByte(w.Python, '.')], "site-packages")
	for path, want := range map[string]string{
		site + "/tinydep.py": "__version__ = \"0.4\"\n", "etc/app.conf": "prefix=" + first + "\n", "share/data": "1\n",
	} {
		if b, err := os.ReadFile(filepath.Join(first, path)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", path, b, err)
		}
	}
	b, err := os.ReadFile(filepath.Join(first, "lib/libtiny.so"))
	want := len("\x7fELF no real one\x00") + len(condatest.Placeholder) + len("/etc/tiny\x00\x00end")
	if err != nil || len(b) != want || !bytes.Contains(b, []byte(first+"/etc/tiny\x00")) || !bytes.HasSuffix(b, []byte("end")) {
		t.Errorf("a prefix in a binary: %d bytes, want %d, %q, %v", len(b), want, b, err)
	}
	if out, err := run(first, "bin/app"); err != nil || out != "app with 0.4\n" {
		t.Errorf("bin/app: %s %v", out, err)
	}
	if b, err := os.ReadFile(filepath.Join(first, "bin/tiny")); err != nil || !strings.HasPrefix(string(b), "#!"+first+"/bin/sh\n# "+first+"\n") {
		t.Errorf("bin/tiny: %s %v", b, err)
	}
	if left := naming(t, first, condatest.Placeholder); len(left) > 0 {
		t.Errorf("the placeholder is left in %v", left)
	}
	same(t, first, install(t, e, p))
}

// Own tells what of a prefix is about the one installation and not about its content.
func Own(path string) bool {
	return slices.Contains([]string{"generation.json", "ok", "lease"}, path) || strings.HasSuffix(path, "/conjured_hot.pth")
}

// naming lists the files that have text in them.
func naming(t *testing.T, prefix, text string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(prefix, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Base(filepath.Dir(path)) == "conda-meta" {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(text)) {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// condaLies installs what is not what it seems. Some of it may be installed, without
// what is bad in it; nothing of it may run or leave the prefix.
func condaLies(t *testing.T, e Engine) {
	os.Remove(Marker)
	t.Cleanup(func() { os.Remove(Marker) })
	for name, kind := range map[string]Kind{"forged": Hash, "torn": "any", "climber": "", "digger": "", "linker": ""} {
		t.Run(name, func(t *testing.T) {
			prefix, err := attempt(t.Context(), e, Ask{Conda: []string{name}})
			switch {
			case kind == "any" && err == nil:
				t.Error("half an archive was installed")
			case kind != "" && kind != "any":
				fails(t, err, kind)
			}
			if _, gone := os.Stat(prefix); err != nil && prefix != "" && gone == nil {
				t.Errorf("a failed installation is at %s", prefix)
			}
			if b, err := os.ReadFile(Marker); err == nil {
				t.Errorf("outside of the prefix: %q", b)
				os.Remove(Marker)
			}
		})
	}
}

func condaOffline(t *testing.T, w *World, e Engine) {
	ask := Ask{Conda: []string{"app", "data"}, Offline: true} // all of it was installed before
	w.Channels.Set(condatest.Channel{Name: "conda-forge"})    // a channel may drop what it had
	w.Offline(true)
	defer w.Offline(false)
	p, err := e.Resolve(t.Context(), ask)
	if err != nil {
		t.Fatalf("what is stored does not suffice: %v", err)
	}
	install(t, e, p)
	_, err = attempt(t.Context(), e, Ask{Conda: []string{"older"}, Offline: true})
	fails(t, err, Network)
}

func condaLocked(t *testing.T, engine func(*testing.T, *World) Engine) {
	w := NewWorld(t, "")
	e := engine(t, w)
	before := plan(t, e, Ask{Conda: []string{"libtiny"}})
	forge := w.Channels.Channel("conda-forge")
	forge.Packages = append(forge.Packages, condatest.Package{Name: "libtiny", Version: "1.4.0"})
	w.Channels.Set(forge)
	if p := plan(t, e, Ask{Conda: []string{"libtiny", "data"}, Locked: before}); p.Version("libtiny") != "1.3.0" || p.Version("data") == "" {
		t.Errorf("a package more changed another: %+v", p.Packages)
	}
	if p := plan(t, e, Ask{Conda: []string{"libtiny"}}); p.Version("libtiny") != "1.4.0" {
		t.Errorf("without anything to keep: %+v", p.Packages)
	}
}

func condaCut(t *testing.T, engine func(*testing.T, *World) Engine) {
	w := NewWorld(t, "")
	e := engine(t, w)
	ask := Ask{Conda: []string{"heavy"}}
	w.Channels.Cut("heavy", 4096) // whoever goes on where it stopped does not get far either
	_, err := attempt(t.Context(), e, ask)
	fails(t, err, Network)
	w.Channels.Cut("", 0)
	if b, err := os.ReadFile(filepath.Join(install(t, e, plan(t, e, ask)), "share/heavy")); err != nil || !bytes.Equal(b, noise(8<<20)) {
		t.Errorf("after the network was back: %d bytes, %v", len(b), err)
	}
}
