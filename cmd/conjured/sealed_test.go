package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/conjuring/conjured/environments"
)

// latest counts as complete only while the labels point where they did when it was made:
// also when the power went right after one of them moved.
func TestSealedKey(t *testing.T) {
	p := place{State: t.TempDir()}
	store, err := environments.Open(p.join("env"), "")
	if err != nil {
		t.Fatal(err)
	}
	b := &box{place: p, store: store}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := 1; n <= 2; n++ {
		dir := p.join("env", "gen", "base", fmt.Sprint(n))
		must(os.MkdirAll(dir, 0o755))
		m := environments.Manifest{Python: "3.13", Platform: "linux-x86_64", Packages: []environments.Package{{Name: "one", Version: fmt.Sprint(n)}}}
		meta, err := json.Marshal(environments.Generation{Env: environments.Base, Number: n, ID: m.ID()})
		must(err)
		sum := sha256.Sum256(meta)
		for name, data := range map[string][]byte{"manifest.txt": m.Canonical(), "generation.json": meta, "ok": []byte(hex.EncodeToString(sum[:])), "lease": nil} {
			must(os.WriteFile(filepath.Join(dir, name), data, 0o644))
		}
	}
	use := func(n int) environments.Sealed {
		t.Helper()
		g, err := store.Generation(environments.Base, n)
		must(err)
		must(store.Flip(environments.Current, g))
		s, err := store.Sealed()
		must(err)
		return s
	}
	must(writeFile(p.join("sealed"), []byte("image+packages+kernels "+use(1).ID), 0o600))
	if got := b.sealedKey(); got != "image+packages+kernels" {
		t.Errorf("latest is complete for %q", got)
	}
	use(2)
	if got := b.sealedKey(); got != "" {
		t.Errorf("after a move latest is still complete for %q", got)
	}
	must(writeFile(p.join("sealed"), []byte("image+packages"), 0o600)) // of an older version
	if got := b.sealedKey(); got != "" {
		t.Errorf("an old word counts for %q", got)
	}
}
