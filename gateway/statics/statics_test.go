package statics

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// script is n bytes that compress as programs do.
func script(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "function f%d(a,b){return a.x%d+b;}\n", r.IntN(1000), r.IntN(100))
	}
	return b.Bytes()[:n]
}

// environment is a prefix with the files of a Jupyter in it.
type environment struct {
	t   *testing.T
	dir string
}

func (e environment) put(name string, b []byte) {
	e.t.Helper()
	path := filepath.Join(e.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		e.t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		e.t.Fatal(err)
	}
}

// open makes a cache in dir that has done all its work for the environments.
func open(t *testing.T, dir string, es ...environment) *Cache {
	t.Helper()
	c, err := Open(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	run(t, c, es...)
	return c
}

func run(t *testing.T, c *Cache, es ...environment) {
	t.Helper()
	var trees []Tree
	for _, e := range es {
		trees = append(trees, Jupyter(e.dir)...)
	}
	done := make(chan error, 1)
	go func() { done <- c.pass(t.Context(), trees) }()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if ready, all := c.Ready(); ready != all {
		t.Fatalf("%d of %d are ready", ready, all)
	}
}

// ask is what the cache answers, nil when it leaves the request to the server.
func ask(c *Cache, method, target string, header ...string) *http.Response {
	r := httptest.NewRequest(method, "/user/amira/"+target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	if !c.Serve(w, r, strings.TrimPrefix(r.URL.Path, "/user/amira/")) {
		if w.Body.Len() > 0 || len(w.Header()) > 0 {
			panic("something was written before it was left")
		}
		return nil
	}
	return w.Result()
}

func plain(t *testing.T, res *http.Response) []byte {
	t.Helper()
	var r io.Reader = res.Body
	var err error
	switch res.Header.Get("Content-Encoding") {
	case "gzip":
		r, err = gzip.NewReader(res.Body)
	case "br":
		r = brotli.NewReader(res.Body)
	case "zstd":
		r, err = zstd.NewReader(res.Body)
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func lab(t *testing.T) (e environment, main string, content []byte) {
	e, content = environment{t, t.TempDir()}, script(50_000, 1)
	main = "main." + hashesOf(content).xx64 + ".js"
	e.put("share/jupyter/lab/static/"+main, content)
	return e, main, content
}

func TestServe(t *testing.T) {
	e, main, content := lab(t)
	c := open(t, t.TempDir(), e)
	for accept, want := range map[string]string{
		"gzip, deflate":                  "gzip",
		"gzip, deflate, br, zstd":        "br",
		"br;q=0.5, gzip":                 "gzip",
		"br;q=0, zstd;q=0.8, gzip;q=0.8": "zstd",
		"*":                              "br",
		"*;q=0.1, br;q=0":                "zstd",
		"identity, gzip;q=0.5":           "",
		"deflate":                        "",
		"":                               "",
		"gzip;q=nonsense":                "",
		"X-GZIP":                         "gzip",
	} {
		res := ask(c, "GET", "static/lab/"+main+"?v="+hashesOf(content).xx64, "Accept-Encoding", accept)
		if res == nil {
			t.Errorf("%q was left to the server", accept)
			continue
		}
		if got := res.Header.Get("Content-Encoding"); got != want || res.StatusCode != 200 || !bytes.Equal(plain(t, res), content) {
			t.Errorf("%q: %d coded %q, want %q and the same bytes", accept, res.StatusCode, got, want)
		}
		if h := res.Header; h.Get("Cache-Control") != "public, max-age=31536000, immutable" || h.Get("Vary") != "Accept-Encoding" || h.Get("Content-Type") != "application/javascript" || h.Get("Set-Cookie") != "" {
			t.Errorf("%q: %v", accept, h)
		}
	}
}

func TestServe_conditions(t *testing.T) {
	e, main, content := lab(t)
	c := open(t, t.TempDir(), e)
	at := "static/lab/" + main
	first := ask(c, "GET", at, "Accept-Encoding", "gzip")
	tag := first.Header.Get("ETag")
	if res := ask(c, "GET", at, "Accept-Encoding", "gzip", "If-None-Match", `"other", W/`+tag); res.StatusCode != 304 || len(plain(t, res)) != 0 {
		t.Errorf("with its tag: %d", res.StatusCode)
	}
	if res := ask(c, "GET", at, "Accept-Encoding", "gzip", "If-None-Match", `"other"`); res.StatusCode != 200 {
		t.Errorf("with another tag: %d", res.StatusCode)
	}
	if plain := ask(c, "GET", at).Header.Get("ETag"); plain == tag || plain == "" {
		t.Errorf("two codings share the tag %s", tag)
	}
	head := ask(c, "HEAD", at, "Accept-Encoding", "gzip")
	if head.Header.Get("Content-Length") != first.Header.Get("Content-Length") || head.Header.Get("Content-Encoding") != "gzip" || len(head.Header.Get("Content-Length")) == 0 {
		t.Errorf("HEAD: %v, GET: %v", head.Header, first.Header)
	}
	part := ask(c, "GET", at, "Accept-Encoding", "gzip", "Range", "bytes=10-19")
	if got := plain(t, part); part.StatusCode != 206 || !bytes.Equal(got, content[10:20]) {
		t.Errorf("a range: %d %q", part.StatusCode, got)
	}
}

// What is not proven, not public or not asked in the usual way is the server's.
func TestServe_left(t *testing.T) {
	e, main, content := lab(t)
	favicon := script(5000, 2)
	e.put("lib/python3.13/site-packages/jupyter_server/static/favicons/favicon.ico", favicon)
	e.put("share/jupyter/labextensions/x/static/style.js", content)
	e.put("share/jupyter/labextensions/x/static/remoteEntry.0123456789abcdef.js", content)
	e.put("share/jupyter/labextensions/x/static/remoteEntry."+hashesOf(content).xx64[:15]+".js", content)
	e.put("share/jupyter/lab/static/index.html", content)
	e.put("share/jupyter/lab/settings/"+main, content)
	if err := os.Symlink("/etc/passwd", filepath.Join(e.dir, "share/jupyter/lab/static/p."+strings.Repeat("a", 16)+".js")); err != nil {
		t.Fatal(err)
	}
	c := open(t, t.TempDir(), e)
	for _, at := range []string{
		"lab/extensions/x/static/style.js", "lab/extensions/x/static/remoteEntry.0123456789abcdef.js",
		"lab/extensions/x/static/remoteEntry." + hashesOf(content).xx64[:15] + ".js",
		"lab/extensions/x/static/style.js?v=" + hashesOf(favicon).sha512,
		"static/favicons/favicon.ico", "static/favicons/favicon.ico?v=1", "static/lab/index.html", "static/lab/p.aaaaaaaaaaaaaaaa.js",
		"lab/settings/" + main, "static/lab/" + main + "?v=1&x=2", "static/lab/" + main + "?x", "static/lab/x/" + main, main, "",
	} {
		if res := ask(c, "GET", at, "Accept-Encoding", "gzip"); res != nil {
			t.Errorf("%s: %d %v", at, res.StatusCode, res.Header)
		}
	}
	if res := ask(c, "POST", "static/lab/"+main); res != nil {
		t.Errorf("POST: %d", res.StatusCode)
	}
	if res := ask(c, "GET", "static/favicons/favicon.ico?v="+hashesOf(favicon).sha512, "Accept-Encoding", "gzip"); res == nil || !bytes.Equal(plain(t, res), favicon) {
		t.Error("a version that is the content's own was not served")
	}
	if res := ask(nil, "GET", "static/lab/"+main); res != nil {
		t.Error("no cache answers")
	}
}

// Before anything is compressed the server answers those who take a coding.
func TestServe_notReady(t *testing.T) {
	e, main, _ := lab(t)
	c, err := Open(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if res := ask(c, "GET", "static/lab/"+main, "Accept-Encoding", "gzip"); res != nil {
		t.Error("an empty cache answers")
	}
	x, err := scan(t.Context(), Jupyter(e.dir), nil)
	if err != nil {
		t.Fatal(err)
	}
	c.index.Store(x)
	if res := ask(c, "GET", "static/lab/"+main, "Accept-Encoding", "gzip"); res != nil {
		t.Error("what is not compressed yet was served")
	}
}

// An old and a new generation are served side by side, and an old one's files are
// forgotten with it.
func TestGenerations(t *testing.T) {
	one, a, _ := lab(t)
	two := environment{t, t.TempDir()}
	fresh := script(20_000, 7)
	b := "main." + hashesOf(fresh).sha256[:20] + ".js"
	two.put("share/jupyter/lab/static/"+b, fresh)
	dir := t.TempDir()
	c := open(t, dir, one, two)
	for _, at := range []string{a, b} {
		if ask(c, "GET", "static/lab/"+at, "Accept-Encoding", "br") == nil {
			t.Errorf("%s is not served", at)
		}
	}
	files := func() int { es, _ := os.ReadDir(dir); return len(es) }
	if n := files(); n != 6 {
		t.Errorf("%d files are kept, want 6", n)
	}
	run(t, c, two)
	if ask(c, "GET", "static/lab/"+a, "Accept-Encoding", "br") != nil {
		t.Error("a file of a generation that is gone is served")
	}
	if n := files(); n != 3 {
		t.Errorf("%d files are kept, want 3", n)
	}
}

// A restart compresses nothing again, and finds out what a power cut tore.
func TestRestart(t *testing.T) {
	e, main, content := lab(t)
	dir := t.TempDir()
	open(t, dir, e)
	var kept []string
	es, _ := os.ReadDir(dir)
	old := time.Now().Add(-time.Hour)
	for _, x := range es {
		path := filepath.Join(dir, x.Name())
		kept = append(kept, path)
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(kept[0], 100); err != nil {
		t.Fatal(err)
	}
	forged := filepath.Join(dir, filepath.Base(kept[1]))
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(bytes.ToUpper(content))
	_ = w.Close()
	if err := os.WriteFile(forged, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	c := open(t, dir, e)
	if fi, _ := os.Stat(kept[2]); !fi.ModTime().Equal(old) {
		t.Error("a good file was made again")
	}
	for _, k := range []string{"gzip", "br", "zstd"} {
		if res := ask(c, "GET", "static/lab/"+main, "Accept-Encoding", k); res == nil || !bytes.Equal(plain(t, res), content) {
			t.Errorf("%s after a power cut", k)
		}
	}
}

// Run stops soon, in the middle of its work too, and takes what is set meanwhile.
func TestRun(t *testing.T) {
	e, main, _ := lab(t)
	c, err := Open(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	c.Set(nil)
	c.Set(Jupyter(e.dir))
	for {
		if ready, all := c.Ready(); all == 3 && ready == 3 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if ask(c, "GET", "static/lab/"+main, "Accept-Encoding", "gzip") == nil {
		t.Error("not served")
	}
	for i := range 40 {
		big := script(1<<20, uint64(i))
		e.put("share/jupyter/lab/static/b."+hashesOf(big).xx64+".js", big)
	}
	c.Set(Jupyter(e.dir))
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
