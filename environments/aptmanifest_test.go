package environments

import (
	"strings"
	"testing"
)

func TestParseAptManifest(t *testing.T) {
	sum := strings.Repeat("a", 64)
	m, err := ParseAptManifest([]byte("apt=3.0.3:amd64 - - -\nlibc6=2.41-12:amd64 " + sum + " 2847 pool/g/libc6.deb\nlibc6=2.41-12:i386 - - -\n"))
	if err != nil || len(m.Packages) != 3 {
		t.Fatalf("%+v, %v", m, err)
	}
	if p := m.Packages[1]; p.Kind != Apt || p.Version != "2.41-12" || p.Hashes[0] != "sha256:"+sum || p.Size != 2847 || p.URL != "pool/g/libc6.deb" {
		t.Errorf("%+v", p)
	}
	if p := m.Packages[2]; p.Name != "libc6:i386" || p.Hashes != nil || p.Size != 0 || p.URL != "" {
		t.Errorf("%+v", p)
	}
	for _, bad := range []string{"apt 3.0.3\n", "apt=3:amd64 zz 1 x\n", "$(x)=1:amd64 - - -\n", "apt=1:amd64 - - -"[:10]} {
		if _, err := ParseAptManifest([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
