package environments

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// storeConda puts packages into the store as conda.py does.
func storeConda(t *testing.T, s *Store, stems ...string) {
	t.Helper()
	dir := filepath.Join(s.Root(), "store/conda/pkgs")
	for _, stem := range stems {
		if err := os.MkdirAll(filepath.Join(dir, stem, "info"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, stem+".lock"), make([]byte, 40), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, ".cache.lock"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

func storedConda(t *testing.T, s *Store) []string {
	t.Helper()
	es, err := os.ReadDir(filepath.Join(s.Root(), "store/conda/pkgs"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range es {
		out = append(out, e.Name())
	}
	slices.Sort(out)
	return out
}

func TestGCForgetsUnusedCondaPackages(t *testing.T) {
	s := open(t)
	n, err := s.begin(Base)
	if err != nil {
		t.Fatal(err)
	}
	m := lockOf()
	g := Generation{Env: Base, Number: n, ID: m.ID(), Manifest: m, State: Ready}
	if err := s.complete(g); err != nil {
		t.Fatal(err)
	}
	chosen := Manifest{Python: "3.13", Platform: "linux-x86_64", Packages: []Package{{Kind: Conda, Name: "chosen", Version: "1", Build: "0", URL: "https://conda.anaconda.org/c/noarch/chosen-1-0.conda", Hashes: m.of(Conda)[0].Hashes}}}
	text, err := json.Marshal(resolution{Text: string(chosen.Canonical())})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Root(), "store/resolved/x.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	storeConda(t, s, "tzdata-2025b-h78e105d_0", "tzdata-2024a-h78e105d_0", "chosen-1-0", ".new-torn-1-0")
	want := []string{".cache.lock", "chosen-1-0", "chosen-1-0.lock", "tzdata-2025b-h78e105d_0", "tzdata-2025b-h78e105d_0.lock"}

	// A generation that is damaged can be made again.
	ok := filepath.Join(s.Root(), g.Path(), "ok")
	if err := os.Rename(ok, ok+".away"); err != nil {
		t.Fatal(err)
	}
	before := storedConda(t, s)
	if _, err := s.Collect(t.Context(), Roots{Known: true}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, storedConda(t, s)); d != "" {
		t.Errorf("with a damaged generation (-before +after):\n%s", d)
	}
	if err := os.Rename(ok+".away", ok); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Collect(t.Context(), Roots{Known: true}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, storedConda(t, s)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
