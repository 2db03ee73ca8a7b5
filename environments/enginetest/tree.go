package enginetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// noise is bytes that cannot be compressed, the same every time.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

// inPrefix is how conda's records, and RECORD, note the hash of a file that names the prefix.
var inPrefix = regexp.MustCompile(`"sha256(_in_prefix)?": *"[0-9a-f]*"|(?m)(\.\./bin/[^,\n]*),sha256=[^,]*,\d+`)

// Tree is the content of a prefix, by path: kind, mode and hash of every file. Where a
// file names the prefix, or one of the roots, another one of the same length gives the same.
func Tree(t *testing.T, prefix string, roots ...string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(prefix, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(prefix, path)
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			out[name] = fmt.Sprint("directory ", info.Mode())
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			out[name] = "link " + strings.ReplaceAll(to, prefix, "PREFIX")
			return err
		default:
			b, err := os.ReadFile(path)
			b = bytes.ReplaceAll(b, []byte(prefix), []byte("PREFIX"))
			for _, r := range roots {
				b = bytes.ReplaceAll(b, []byte(r), []byte("ROOT"))
			}
			if d.Name() == "RECORD" || strings.HasPrefix(name, "conda-meta/") {
				b = inPrefix.ReplaceAll(b, []byte("$2"))
			}
			h := sha256.Sum256(b)
			out[name] = fmt.Sprint("file ", info.Mode(), " ", hex.EncodeToString(h[:8]))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Differ lists what is not the same in two trees, without what own says is the
// generation's own.
func Differ(a, b map[string]string, own func(path string) bool) []string {
	var out []string
	for name, x := range a {
		if y := b[name]; x != y && !own(name) {
			out = append(out, fmt.Sprintf("%s: %s, %s", name, x, y))
		}
	}
	for name, y := range b {
		if _, both := a[name]; !both && !own(name) {
			out = append(out, fmt.Sprintf("%s: only in the second: %s", name, y))
		}
	}
	slices.Sort(out)
	return out
}
