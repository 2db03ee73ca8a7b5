package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/chromedp/chromedp"
	"github.com/klauspost/compress/zstd"

	"github.com/conjuring/conjured/gateway/statics"
	"github.com/conjuring/conjured/internal/needs"
)

// The targets for a page of Lab, in bytes over the wire. Stock JupyterHub: 5,360,000
// and 232,000.
const (
	firstPage  = 1_400_000
	secondPage = 30_000
)

// TestLab is Lab in a real browser: what it costs on the air, and what a student is
// told in it.
func TestLab(t *testing.T) {
	needs.All(t, needs.Docker(), needs.Root(), needs.Chromium(), needs.Debootstrap())
	c := newClass(t, copyFolder(t, "testdata/class"))
	c.start()
	c.waitOpen(10 * time.Minute)
	l := &lesson{class: c}
	l.amira = newStudent(c.url, "amira", "blue bicycle 12")
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	if err := errors.Join(l.amira.login(ctx), l.amira.spawn(ctx)); err != nil {
		t.Fatal(err)
	}
	pressed := func(coding string) int {
		found, _ := filepath.Glob(filepath.Join(c.state, "cache", "statics", "*."+coding))
		return len(found)
	}
	c.eventually(5*time.Minute, "the files are compressed", func() bool {
		return pressed("zstd") > 0 && pressed("zstd") == pressed("gzip") && pressed("br") == pressed("gzip")
	})
	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"every file is the server's own", l.sameFiles},
		{"a page over plain HTTP", func(t *testing.T) { l.weigh(t, strings.Replace(c.url, "127.0.0.1", "class.test", 1), "gzip") }},
		{"a page where brotli is taken", func(t *testing.T) { l.weigh(t, c.url, "br") }},
		{"a student is told, and starts the server again", l.told},
	} {
		t.Run(step.name, func(t *testing.T) { c.t = t; step.do(t) })
	}
	c.t = t
}

// sameFiles compares every public file of the generation as the front door gives it
// with what the student's own server answers.
func (l *lesson) sameFiles(t *testing.T) {
	place, err := newPlace(l.class.state)
	if err != nil {
		t.Fatal(err)
	}
	sockets, _ := filepath.Glob(filepath.Join(place.Run, "servers", "*", "s.sock"))
	prefixes, _ := filepath.Glob(filepath.Join(l.class.state, "env", "gen", "base", "*", "share"))
	if len(sockets) != 1 || len(prefixes) != 1 {
		t.Fatalf("servers: %v, generations: %v", sockets, prefixes)
	}
	server := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", sockets[0])
	}}
	defer server.CloseIdleConnections()
	all, ours := 0, 0
	for _, tree := range statics.Jupyter(filepath.Dir(prefixes[0])) {
		err := fs.WalkDir(os.DirFS(tree.Dir), ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || all > 3000 {
				return err
			}
			at := "/user/amira/" + path.Join(tree.At, name)
			all++
			if l.sameFile(t, server, at, filepath.Join(tree.Dir, name)) {
				ours++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of %d files come from the cache", ours, all)
	if ours < 500 {
		t.Errorf("only %d of %d files come from the cache", ours, all)
	}
}

// sameFile tells whether the front door answered itself. What the server gives to
// nobody without a login (Notebook's bundles) is compared with the file it would give.
func (l *lesson) sameFile(t *testing.T, server http.RoundTripper, at, onDisk string) (ours bool) {
	t.Helper()
	want, body := l.fetch(t, server, "http://localhost"+at, "identity")
	guarded := want.StatusCode == http.StatusForbidden
	if guarded {
		var err error
		if body, err = os.ReadFile(onDisk); err != nil {
			t.Fatal(err)
		}
	}
	for _, coding := range []string{"gzip", "br", "zstd", "identity"} {
		got, b := l.fetch(t, http.DefaultTransport, l.class.url+at, coding)
		if guarded && got.StatusCode == http.StatusForbidden {
			continue // the server's own answer
		}
		if guarded {
			want.StatusCode, want.Header = http.StatusOK, got.Header
		}
		if got.StatusCode != want.StatusCode || !bytes.Equal(b, body) {
			t.Errorf("%s in %s: %d and %d bytes, the server says %d and %d", at, coding, got.StatusCode, len(b), want.StatusCode, len(body))
		}
		for _, name := range []string{"Content-Type", "X-Content-Type-Options", "Content-Security-Policy"} {
			if got.Header.Get(name) != want.Header.Get(name) {
				t.Errorf("%s: %s %q, the server says %q", at, name, got.Header.Get(name), want.Header.Get(name))
			}
		}
		if got.Header.Get("Server") == "" {
			ours = true
			if cached := got.Header.Get("Cache-Control"); !strings.Contains(cached, "immutable") || len(got.Header["Set-Cookie"]) > 0 {
				t.Errorf("%s: Cache-Control %q, cookies %d", at, cached, len(got.Header["Set-Cookie"]))
			}
		}
	}
	return ours
}

// fetch is an answer, and its body decoded.
func (l *lesson) fetch(t *testing.T, via http.RoundTripper, url, accept string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Encoding", accept)
	res, err := via.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var from io.Reader = res.Body
	switch res.Header.Get("Content-Encoding") {
	case "gzip":
		from, err = gzip.NewReader(res.Body)
	case "br":
		from = brotli.NewReader(res.Body)
	case "zstd":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(res.Body); err == nil {
			defer d.Close()
			from = d
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return res, b
}

const labOpen = "document.querySelector('.jp-Launcher') && !document.querySelector('#jupyterlab-splash') && document.querySelector('.jp-DirListing-item')"

// weigh opens Lab in a browser that was never here, and again.
func (l *lesson) weigh(t *testing.T, url, coding string) {
	b := newBrowser(t)
	b.open(url + "/hub/login?next=/hub/home")
	b.login("amira", "blue bicycle 12")
	b.until(2*time.Minute, "the hub's home", "document.querySelector('#stop')")
	tr := watchTraffic(t, b)
	tr.settled(t) // the hub's own page
	tr.reset()
	b.open(url + "/user/amira/lab")
	b.until(4*time.Minute, "Lab", labOpen)
	n, first := tr.settled(t)
	t.Logf("first visit: %d requests, %d bytes\n%s", n, first, tr.list())
	if tr.coded(coding) < 40 {
		t.Errorf("only %d answers are coded %s", tr.coded(coding), coding)
	}
	for range 2 { // the first time the browser learns what it may keep
		tr.reset()
		b.within(2*time.Minute, "reload", chromedp.Reload())
		b.until(4*time.Minute, "Lab again", labOpen)
		tr.settled(t)
	}
	n, second := tr.settled(t)
	t.Logf("reload: %d requests, %d bytes\n%s", n, second, tr.list())
	if first > firstPage {
		t.Errorf("the first visit took %d bytes, want %d at most", first, firstPage)
	}
	if second > secondPage {
		t.Errorf("a reload took %d bytes, want %d at most", second, secondPage)
	}
}

// told ends a student's server, with Lab open.
func (l *lesson) told(t *testing.T) {
	b := newBrowser(t)
	b.open(l.class.url + "/hub/login?next=/user/amira/lab")
	b.login("amira", "blue bicycle 12")
	b.until(4*time.Minute, "Lab", labOpen)
	id := l.class.containerIDs(t, "server")
	if out, err := exec.Command("docker", "kill", id).CombinedOutput(); err != nil {
		t.Fatalf("docker kill: %v %s", err, out)
	}
	b.see(2*time.Minute, "Your server was stopped")
	b.shot("lab-stopped")
	b.press("What now?")
	b.see(10*time.Second, "hat you saved is in your home")
	b.shot("lab-stopped-more")
	b.press("OK")
	b.press("Start it again")
	b.see(4*time.Minute, "Your server runs again")
	b.shot("lab-again")
	b.phone()
	b.shot("lab-again-phone")
}

// press clicks the button with this text.
func (b *browser) press(text string) {
	b.t.Helper()
	b.until(10*time.Second, "press "+text, fmt.Sprintf(
		`(() => { const e = [...document.querySelectorAll('button')].find(e => e.innerText.trim() === %q); e?.click(); return e })()`, text))
}
