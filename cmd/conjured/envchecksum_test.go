package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/environments"
)

// env show tells which packages can be no other file.
func TestG1_showTellsOfChecksums(t *testing.T) {
	x := newEnvBox(t)
	x.want("geo", "one==1", "two==1", "three==1")
	sum := func(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }
	x.wants[0].Requirements[0].Hashes = []string{sum("a"), sum("b")}
	x.wants[0].Requirements[1].Hashes = []string{sum("a")}
	g := environments.Generation{Env: "geo", Manifest: environments.Manifest{Packages: []environments.Package{
		{Name: "one", Version: "1", Hashes: []string{sum("b")}},
		{Name: "two", Version: "1", Hashes: []string{sum("a"), sum("c")}}, // made before the line had a checksum
		{Name: "three", Version: "1", Hashes: []string{sum("a")}},
	}}}
	s := x.withChecksums(t.Context(), shownOf(api.Environment{Name: "geo"}, g), g)
	var out bytes.Buffer
	if err := printShown(&out, s); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"one      1        pip, by its checksum\n", "two      1        pip\n", "three    1        pip\n"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("no %q in\n%s", line, out.String())
		}
	}
}
