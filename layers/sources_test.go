package layers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadSources(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  sources
	}{
		{"none", nil, sources{"http://deb.debian.org/debian", "http://deb.debian.org/debian-security"}},
		{
			"deb822",
			map[string]string{"sources.list.d/debian.sources": "Types: deb\n# x\nURIs: https://mirror.school/debian/\nSuites: trixie\n\nTypes: deb\nURIs: https://mirror.school/debian-security\n"},
			sources{"https://mirror.school/debian", "https://mirror.school/debian-security"},
		},
		{
			"one line",
			map[string]string{"sources.list": "# deb http://old/debian x main\ndeb-src http://src/debian x main\ndeb [arch=amd64 signed-by=/x] http://m/debian trixie main\n"},
			sources{"http://m/debian", "http://deb.debian.org/debian-security"},
		},
		{
			"others'",
			map[string]string{"sources.list.d/x.list": "deb https://packages.example.org/apt stable main\ndeb cdrom:[Debian]/ trixie main\ndeb file:/srv/debian trixie main\n"},
			sources{"http://deb.debian.org/debian", "http://deb.debian.org/debian-security"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range tc.files {
				if err := writeFile(dir, name, []byte(text)); err != nil {
					t.Fatal(err)
				}
			}
			if got := readSources(dir); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestDress(t *testing.T) {
	root := t.TempDir()
	if err := writeFile(root, "etc/apt/sources.list", []byte("deb http://build/debian trixie main\n")); err != nil {
		t.Fatal(err)
	}
	s := sources{"http://m/debian", "http://m/debian-security"}
	if err := s.dress(root, "trixie"); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(root, "etc/apt/sources.list.d/debian.sources"))
	if err != nil || !strings.Contains(string(data), "URIs: http://m/debian\nSuites: trixie trixie-updates\n") {
		t.Errorf("%s, %v", data, err)
	}
	if _, err := os.Stat(filepath.Join(root, "etc/apt/sources.list")); err == nil {
		t.Error("the old list is still there")
	}
}
