package enginetest

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/conjuring/conjured/internal/condatest"
	"github.com/conjuring/conjured/internal/wheeltest"
)

// World is what an engine has around it.
type World struct {
	Channels *condatest.Server // has conda-forge and bioconda
	Index    *wheeltest.Server
	Mirror   string // where the channels are served: an engine fetches conda-forge below it
	Simple   string // where the index is served, with /simple
	Root     string // an empty directory; the engine keeps everything below it
	Python   string // version of the python package: "3.11.7"
}

// NewWorld makes a world whose engine works below root; "" is a new directory.
func NewWorld(t *testing.T, root string) *World {
	t.Helper()
	w := indexOnly(t, root)
	python, err := condatest.Python{}.Package()
	if err != nil {
		t.Fatal(err)
	}
	w.Python = python.Version
	w.Channels.Set(Forge(python))
	w.Channels.Set(Bio())
	return w
}

// indexOnly is a world whose channels are empty.
func indexOnly(t *testing.T, root string) *World {
	t.Helper()
	if root == "" {
		root = t.TempDir()
	}
	w := &World{Channels: condatest.Serve(), Index: wheeltest.Serve(Wheels()...), Root: root}
	serve := func(h http.Handler) string {
		srv := httptest.NewServer(h)
		t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
		return srv.URL
	}
	w.Mirror, w.Simple = serve(w.Channels), serve(w.Index)+"/simple"
	return w
}

// Offline takes both networks away, or gives them back.
func (w *World) Offline(yes bool) {
	w.Channels.Offline(yes)
	w.Index.Offline(yes)
}

// Marker is what code of a package would make if it ran. No test may find it.
const Marker = "/tmp/conjured-enginetest-code-was-run"

// Forge is the channel conda-forge with this python.
func Forge(python condatest.Package) condatest.Channel {
	prefixed := []condatest.File{
		{Path: "lib/libtiny.so.1", Data: []byte("\x7fELF no real one\x00" + condatest.Placeholder + "/etc/tiny\x00\x00end"), Mode: 0o755},
		{Path: "lib/libtiny.so", Link: "libtiny.so.1"},
		{Path: "bin/tiny", Data: []byte("#!" + condatest.Placeholder + "/bin/sh\n# " + condatest.Placeholder + "\necho tiny\n"), Mode: 0o755},
	}
	app := append(condatest.Module("app", "1.0", "import tinydep\n\n\ndef main():\n    print(\"app with\", tinydep.__version__)\n"),
		condatest.File{Path: "etc/app.conf", Data: []byte("prefix=" + condatest.Placeholder + "\n")})
	py := func(p condatest.Package) condatest.Package {
		p.Noarch = "python"
		p.Depends = append(p.Depends, "python >=3.9")
		return p
	}
	evil := func(name string, files []condatest.File, more ...condatest.File) condatest.Package {
		return condatest.Package{Name: name, Version: "1", Noarch: "generic", Files: files, Unlisted: more}
	}
	return condatest.Channel{Name: "conda-forge", Packages: []condatest.Package{
		python,
		{Name: "libtiny", Version: "1.2.0", Files: prefixed},
		{Name: "libtiny", Version: "1.3.0", Files: prefixed, Bz2: true},
		py(condatest.Package{Name: "tinydep", Version: "0.4"}),
		py(condatest.Package{Name: "tinydep", Version: "0.5", Depends: []string{"python >=3.99"}}),
		py(condatest.Package{Name: "app", Version: "1.0", Depends: []string{"tinydep", "libtiny >=1.2,<2"}, EntryPoints: []string{"app = app:main"}, Files: app}),
		{Name: "data", Version: "1", Noarch: "generic"},
		{Name: "older", Version: "1", Depends: []string{"libtiny <1.3"}},
		{Name: "newer", Version: "1", Depends: []string{"libtiny >=1.3"}},
		{Name: "held", Version: "1", Constrains: []string{"libtiny <1.3"}},
		{Name: "forged", Version: "1", BrokenHash: true},
		{Name: "torn", Version: "1", Truncated: true},
		{Name: "gone", Version: "1", Yanked: true},
		{Name: "heavy", Version: "1", Files: []condatest.File{{Path: "share/heavy", Data: noise(8 << 20)}}},
		evil("climber", []condatest.File{{Path: "share/fine", Data: []byte("fine\n")}, {Path: "../../../../../../../../tmp/conjured-enginetest-code-was-run", Data: []byte("climbed\n")}}),
		evil("digger", []condatest.File{{Path: "share/hole", Link: "/tmp"}}, condatest.File{Path: "share/hole/conjured-enginetest-code-was-run", Data: []byte("dug\n")}),
		evil("linker", []condatest.File{
			{Path: "bin/.linker-post-link.sh", Data: []byte("#!/bin/sh\ntouch " + Marker + "\n"), Mode: 0o755},
			{Path: "bin/.linker-pre-link.sh", Data: []byte("#!/bin/sh\ntouch " + Marker + "\n"), Mode: 0o755},
		}),
	}}
}

// Bio is the channel bioconda: it has a libtiny too, which conda-forge goes before.
func Bio() condatest.Channel {
	return condatest.Channel{Name: "bioconda", Packages: []condatest.Package{
		{Name: "libtiny", Version: "9.0"}, {Name: "genes", Version: "1", Depends: []string{"libtiny >=1.2"}},
	}}
}

// Wheels is what the index has.
func Wheels() []wheeltest.Dist {
	return []wheeltest.Dist{
		wheeltest.Wheel{Name: "one", Version: "1"},
		wheeltest.Wheel{Name: "two", Version: "1", Requires: []string{"one"}},
		wheeltest.Wheel{Name: "needs-old", Version: "1", Requires: []string{"many<2"}},
		wheeltest.Wheel{Name: "needs-new", Version: "1", Requires: []string{"many>=2"}},
		wheeltest.Wheel{Name: "many", Version: "1", Files: 250},
		wheeltest.Wheel{Name: "many", Version: "2", Files: 250},
		wheeltest.Wheel{Name: "My.Pack_Age", Version: "1", EntryPoints: map[string][]string{"console_scripts": {"say-it = my_pack_age:say"}}, Modules: map[string]string{
			"my_pack_age.py": "def say():\n    print(\"said\")\n",
		}},
		wheeltest.Wheel{Name: "wants-it", Version: "1", Requires: []string{"my_pack.age"}},
		wheeltest.Wheel{Name: "picky", Version: "1"},
		wheeltest.Wheel{Name: "picky", Version: "2", RequiresPython: ">=3.99"},
		wheeltest.Wheel{Name: "taken-back", Version: "1"},
		wheeltest.Wheel{Name: "taken-back", Version: "2", Yanked: true},
		wheeltest.Wheel{Name: "forged-wheel", Version: "1", BrokenHash: true},
		wheeltest.Wheel{Name: "elsewhere", Version: "1", Tag: "cp39-cp39-win_amd64"},
		wheeltest.Wheel{Name: "large", Version: "1", Bulk: 8 << 20},
		wheeltest.Wheel{Name: "tinydep", Version: "7"}, // conda has it too
		wheeltest.Wheel{Name: "uses-tinydep", Version: "1", Requires: []string{"tinydep"}},
		wheeltest.Wheel{Name: "clashes", Version: "1", Requires: []string{"tinydep>=7"}},
		wheeltest.Sdist{Name: "source-only", Version: "1"},
	}
}
