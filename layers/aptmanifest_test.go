package layers_test

import (
	"regexp"
	"testing"
)

// Every package that the image got from a mirror is named with the hash of its file.
func TestAptManifest(t *testing.T) {
	b, _, r := built(t)
	text, err := b.AptManifest(t.Context(), r.System)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"git", "tini", "python3-minimal"} {
		if !regexp.MustCompile(`(?m)^` + name + `=[^ ]+:[a-z0-9]+ [0-9a-f]{64} [1-9][0-9]* pool/[^ ]+\.deb$`).Match(text) {
			t.Errorf("%s is not named with its hash", name)
		}
	}
	if _, err := b.AptManifest(t.Context(), r.Base); err == nil {
		t.Error("an image without a manifest gave one")
	}
}
