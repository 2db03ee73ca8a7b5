package enginetest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/conjuring/conjured/internal/wheeltest"
)

// Pip runs what an engine for an index's packages has to do.
func Pip(t *testing.T, engine func(*testing.T, *World) Engine) {
	w := indexOnly(t, "")
	e := engine(t, w)
	t.Run("resolve", func(t *testing.T) { pipResolves(t, e) })
	t.Run("refuses", func(t *testing.T) { pipRefuses(t, e) })
	t.Run("installs", func(t *testing.T) { pipInstalls(t, e) })
	t.Run("lies", func(t *testing.T) { pipLies(t, w, e) })
	t.Run("offline", func(t *testing.T) { pipOffline(t, w, e) })
	t.Run("changes little", func(t *testing.T) { pipLocked(t, engine) })
	t.Run("network goes", func(t *testing.T) { pipCut(t, engine) })
	t.Run("stops", func(t *testing.T) {
		for _, part := range []string{"simple/one", "files/one"} {
			w := indexOnly(t, "")
			stops(t, &w.Index.Network, part, engine(t, w), Ask{Pip: []string{"one"}})
		}
	})
}

func pipResolves(t *testing.T, e Engine) {
	for _, c := range []struct {
		asks []string
		want map[string]string
	}{
		{[]string{"two"}, map[string]string{"two": "1", "one": "1"}},
		{[]string{"wants-it", "my-pack-age"}, map[string]string{"wants-it": "1", "my-pack-age": "1"}}, // one package, three spellings
		{[]string{"picky"}, map[string]string{"picky": "1"}},                                          // the newest is for another Python
		{[]string{"taken-back"}, map[string]string{"taken-back": "1"}},                                // the newest was withdrawn
		{[]string{"needs-old", "many"}, map[string]string{"many": "1", "needs-old": "1"}},
	} {
		p := plan(t, e, Ask{Pip: c.asks})
		if len(p.Packages) != len(c.want) {
			t.Errorf("%v gave %+v", c.asks, p.Packages)
		}
		for name, version := range c.want {
			if p.Version(name) != version {
				t.Errorf("%v: %s is %q, want %s", c.asks, name, p.Version(name), version)
			}
		}
		if again := plan(t, e, Ask{Pip: c.asks}); !bytes.Equal(p.Bytes, again.Bytes) || len(p.Bytes) == 0 {
			t.Errorf("the same question was answered differently:\n%s\n%s", p.Bytes, again.Bytes)
		}
	}
}

func pipRefuses(t *testing.T, e Engine) {
	for _, c := range []struct {
		asks  []string
		kind  Kind
		names []string
	}{
		{[]string{"needs-old", "needs-new"}, Conflict, []string{"needs-old", "needs-new"}},
		{[]string{"one", "nothere"}, Missing, []string{"nothere"}},
		{[]string{"two", "one==9"}, Missing, []string{"one"}},
		{[]string{"one", "elsewhere"}, NoWheel, []string{"elsewhere"}},
		{[]string{"one", "source-only"}, NoWheel, []string{"source-only"}},
		{[]string{"one", "picky==2"}, Conflict, []string{"picky"}},
	} {
		_, err := e.Resolve(t.Context(), Ask{Pip: c.asks})
		t.Run(strings.Join(c.asks, " "), func(t *testing.T) { fails(t, err, c.kind, c.names...) })
	}
}

func pipInstalls(t *testing.T, e Engine) {
	p := plan(t, e, Ask{Pip: []string{"wants-it", "my-pack-age", "many", "two"}})
	first, second := install(t, e, p), install(t, e, p)
	if out, err := run(first, "bin/say-it"); err != nil || out != "said\n" {
		t.Errorf("%s %v", out, err)
	}
	if n, _ := filepath.Glob(filepath.Join(first, "lib/python*/site-packages/many_data/*/*.txt")); len(n) != 250 {
		t.Errorf("%d files of many", len(n))
	}
	if n, _ := filepath.Glob(filepath.Join(first, "lib/python*/site-packages/__pycache__/one.*.pyc")); len(n) != 1 {
		t.Errorf("bytecode of one: %v", n)
	}
	same(t, first, second)
}

// same checks that two installations of one plan are the same, bytecode included.
func same(t *testing.T, first, second string, roots ...string) {
	t.Helper()
	if first == second {
		t.Fatal("installed twice in one place")
	}
	if len(first) != len(second) {
		t.Fatalf("%s and %s are not of one length: what names its prefix cannot be compared", first, second)
	}
	if d := Differ(Tree(t, first, roots...), Tree(t, second, roots...), Own); len(d) > 0 {
		t.Errorf("two installations of one plan differ:\n%s", strings.Join(d, "\n"))
	}
}

func pipLies(t *testing.T, w *World, e Engine) {
	_, err := attempt(t.Context(), e, Ask{Pip: []string{"forged-wheel"}})
	fails(t, err, Hash, "forged-wheel")

	// What the index has changed since the plan was made is not what was planned.
	changed := wheeltest.Wheel{Name: "large", Version: "1", Bulk: 1 << 20}
	p := plan(t, e, Ask{Pip: []string{"large"}})
	w.Index.Forge(changed.File(), changed.Bytes())
	_, err = e.Install(t.Context(), p)
	fails(t, err, Hash, "large")
}

func pipOffline(t *testing.T, w *World, e Engine) {
	w.Offline(true)
	defer w.Offline(false)
	p, err := e.Resolve(t.Context(), Ask{Pip: []string{"one", "my-pack-age"}, Offline: true}) // installed before
	if err != nil {
		t.Fatalf("what is stored does not suffice: %v", err)
	}
	install(t, e, p)
	_, err = attempt(t.Context(), e, Ask{Pip: []string{"clashes"}, Offline: true})
	fails(t, err, Network)
}

func pipLocked(t *testing.T, engine func(*testing.T, *World) Engine) {
	w := indexOnly(t, "")
	e := engine(t, w)
	before := plan(t, e, Ask{Pip: []string{"one"}})
	w.Index.Set(wheeltest.Wheel{Name: "one", Version: "1.1"})
	if p := plan(t, e, Ask{Pip: []string{"one", "picky"}, Locked: before}); p.Version("one") != "1" || p.Version("picky") == "" {
		t.Errorf("a package more changed another: %+v", p.Packages)
	}
}

func pipCut(t *testing.T, engine func(*testing.T, *World) Engine) {
	w := indexOnly(t, "")
	e := engine(t, w)
	p := plan(t, e, Ask{Pip: []string{"large"}})
	w.Index.Cut("large", 4096)
	_, err := e.Install(t.Context(), p)
	fails(t, err, Network)
	w.Index.Cut("", 0)
	found, _ := filepath.Glob(filepath.Join(install(t, e, p), "lib/python*/site-packages/large_data/bulk.bin"))
	if len(found) != 1 {
		t.Fatalf("after the network was back: %v", found)
	}
	if b, err := os.ReadFile(found[0]); err != nil || len(b) != 8<<20 {
		t.Errorf("after the network was back: %d bytes, %v", len(b), err)
	}
}
