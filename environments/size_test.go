package environments

import (
	"os"
	"path/filepath"
	"testing"
)

// What generations and environments share counts once: for base first, then for the
// older one. A tree is looked at once.
func TestMeasureCountsOnce(t *testing.T) {
	s := open(t)
	place(t, filepath.Join(s.Root(), "store/uv/archive-v0/one/big.py"), string(make([]byte, 300_000)))
	m := Manifest{Python: "3.13", Platform: "linux-x86_64"}
	for _, env := range []Name{"arts", "base", "base"} {
		stockedGeneration(t, s, env, m, "store/uv/archive-v0/one/big.py")
	}
	sizes := func() map[string]int64 {
		t.Helper()
		l, err := s.List()
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]int64{}
		for _, e := range l {
			out[string(e.Env)] = e.Bytes
			for _, g := range e.Generations {
				out[string(e.Env)+string(rune('0'+g.Number))] = g.Bytes
			}
		}
		return out
	}
	if got := sizes(); got["base"] != 0 || got["arts"] != 0 {
		t.Errorf("before anybody counted: %v", got)
	}
	if err := s.Measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, _ := taken(t, filepath.Join(s.Root(), "gen"))
	outside, _ := taken(t, filepath.Join(s.Root(), "gen/base/1"))
	got := sizes()
	if got["base1"] != outside || got["base1"] < 300_000 || got["base2"] >= 300_000 || got["base2"] == 0 || got["arts"] >= 300_000 || got["arts"] == 0 {
		t.Errorf("%v", got)
	}
	above := int64(0) // gen and gen/ENV, which are no generation's
	for _, dir := range []string{"gen", "gen/arts", "gen/base"} {
		above += itself(t, filepath.Join(s.Root(), dir))
	}
	above += itself(t, filepath.Join(s.Root(), "gen/arts/.last")) + itself(t, filepath.Join(s.Root(), "gen/base/.last"))
	if sum := got["base"] + got["arts"]; sum != all-above || got["base"] != got["base1"]+got["base2"] {
		t.Errorf("%v is %d of %d", got, sum, all-above)
	}
	s.Guard(func(step string) error { t.Errorf("counted again: %s", step); return nil })
	if err := s.Measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Guard(func(string) error { return nil })

	// A store that was copied is counted anew, and what went counts no more.
	if err := os.Rename(filepath.Join(s.Root(), "gen/base/1"), filepath.Join(s.Root(), "old")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(s.Root(), "gen/base/1"), os.DirFS(filepath.Join(s.Root(), "old"))); err != nil {
		t.Fatal(err)
	}
	if err := s.Measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := sizes(); got["base2"] < 300_000 || got["base1"] < 300_000 {
		t.Errorf("a copy shares nothing: %v", got)
	}
	if err := os.RemoveAll(filepath.Join(s.Root(), "gen/base/1")); err != nil {
		t.Fatal(err)
	}
	if got := sizes(); got["base"] != got["base2"] {
		t.Errorf("what went is counted: %v", got)
	}
}

// itself is what one file or directory takes itself.
func itself(t *testing.T, path string) int64 {
	t.Helper()
	fi, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return new(weights).file(fi)
}
