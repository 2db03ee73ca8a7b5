// Package wheeltest makes Python wheels and a package index for tests.
package wheeltest

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Wheel is a pure-Python wheel to be made.
type Wheel struct {
	Name, Version  string
	Requires       []string          // lines of Requires-Dist
	RequiresPython string            // such as ">=3.9"
	Modules        map[string]string // file name -> source; nil makes NAME.py with __version__
	BrokenHash     bool              // the index announces another hash
	Yanked         bool
}

// File is the wheel's file name.
func (w Wheel) File() string {
	return fmt.Sprintf("%s-%s-py3-none-any.whl", strings.ReplaceAll(w.Name, "-", "_"), w.Version)
}

// Bytes is the wheel, the same every time. The format is that of the binary
// distribution specification at packaging.python.org.
func (w Wheel) Bytes() []byte {
	module := strings.ReplaceAll(w.Name, "-", "_")
	files := map[string]string{module + ".py": fmt.Sprintf("__version__ = %q\n", w.Version)}
	if w.Modules != nil {
		files = w.Modules
	}
	info := fmt.Sprintf("%s-%s.dist-info/", module, w.Version)
	meta := fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", w.Name, w.Version)
	if w.RequiresPython != "" {
		meta += "Requires-Python: " + w.RequiresPython + "\n"
	}
	for _, r := range w.Requires {
		meta += "Requires-Dist: " + r + "\n"
	}
	all := map[string]string{
		info + "METADATA": meta,
		info + "WHEEL":    "Wheel-Version: 1.0\nGenerator: wheeltest\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
	}
	var names []string
	for n, text := range files {
		all[n] = text
	}
	for n := range all {
		names = append(names, n)
	}
	slices.Sort(names)
	record := ""
	for _, n := range names {
		h := sha256.Sum256([]byte(all[n]))
		record += fmt.Sprintf("%s,sha256=%s,%d\n", n, base64.RawURLEncoding.EncodeToString(h[:]), len(all[n]))
	}
	all[info+"RECORD"] = record + info + "RECORD,,\n"
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, n := range append(names, info+"RECORD") {
		f, err := z.Create(n)
		if err == nil {
			_, err = f.Write([]byte(all[n]))
		}
		if err != nil {
			panic(err) // a bytes.Buffer does not fail
		}
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// SHA256 is the hash of Bytes, hex.
func (w Wheel) SHA256() string {
	h := sha256.Sum256(w.Bytes())
	return hex.EncodeToString(h[:])
}

// Index serves wheels by the JSON form of the simple API (PEP 691) below /simple/,
// and the files below /files/.
func Index(wheels ...Wheel) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /simple/{name}/{$}", func(w http.ResponseWriter, r *http.Request) {
		files := []map[string]any{}
		for _, x := range wheels {
			if x.Name != r.PathValue("name") {
				continue
			}
			hash := x.SHA256()
			if x.BrokenHash {
				hash = strings.Repeat("0", 64)
			}
			files = append(files, map[string]any{
				"filename": x.File(), "url": "/files/" + x.File(), "hashes": map[string]string{"sha256": hash},
				"requires-python": x.RequiresPython, "yanked": x.Yanked,
			})
		}
		if len(files) == 0 {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.pypi.simple.v1+json")
		_ = json.NewEncoder(w).Encode(map[string]any{"meta": map[string]string{"api-version": "1.0"}, "name": r.PathValue("name"), "files": files})
	})
	mux.HandleFunc("GET /files/{file}", func(w http.ResponseWriter, r *http.Request) {
		for _, x := range wheels {
			if x.File() == r.PathValue("file") {
				_, _ = w.Write(x.Bytes())
				return
			}
		}
		http.NotFound(w, r)
	})
	return mux
}
