package dockertest

import (
	"archive/tar"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// Tree is the root file system of an image as small as can be in which a shell script
// runs (3 MB), as a tar archive: this machine's shell, a few programs and what they are
// linked with. extra are further files.
func Tree(t testing.TB, extra map[string]string) *bytes.Buffer {
	t.Helper()
	files := map[string]string{}
	for name, from := range map[string]string{"bin/sh": "dash", "bin/cat": "cat", "bin/chmod": "chmod", "bin/mkdir": "mkdir", "bin/sleep": "sleep"} {
		path, err := exec.LookPath(from)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = path
		linked, err := exec.Command("ldd", path).Output()
		if err != nil {
			t.Fatalf("ldd %s: %v", path, err)
		}
		for _, m := range regexp.MustCompile(`(/lib\S+) \(0x`).FindAllStringSubmatch(string(linked), -1) {
			files[m[1][1:]] = m[1]
		}
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	put := func(name string, data []byte) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp", Mode: 0o1777}); err != nil {
		t.Fatal(err)
	}
	for name, path := range files {
		data, err := os.ReadFile(filepath.Clean(path))
		if err != nil {
			t.Fatal(err)
		}
		put(name, data)
	}
	for name, text := range extra {
		put(name, []byte(text))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &buf
}
