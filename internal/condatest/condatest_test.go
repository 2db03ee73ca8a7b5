package condatest

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func TestSameBytes(t *testing.T) {
	p := Package{Name: "tiny", Version: "1.0", Files: []File{
		{Path: "lib/b.so", Data: []byte("\x7fELF\x00" + Placeholder + "/lib\x00")},
		{Path: "bin/a", Data: []byte("#!" + Placeholder + "/bin/sh\n"), Mode: 0o755},
		{Path: "lib/a.so", Link: "b.so"},
	}}
	if !bytes.Equal(p.Bytes(), p.Bytes()) {
		t.Error("packed twice is not the same bytes")
	}
	z, err := zip.NewReader(bytes.NewReader(p.Bytes()), int64(len(p.Bytes())))
	if err != nil || len(z.File) != 3 {
		t.Fatalf("%v, %v", z, err)
	}
	for _, f := range z.File {
		if f.Method != zip.Store || f.Flags&8 != 0 {
			t.Errorf("%s is compressed, or its length comes after it: conda's installers want it stored", f.Name)
		}
	}
	info := string(p.info()[3].Data)
	for path, mode := range map[string]string{"bin/a": "text", "lib/b.so": "binary"} {
		if got := p.files()[map[string]int{"bin/a": 0, "lib/b.so": 2}[path]].mode(); got != mode {
			t.Errorf("%s is announced as %q in %s", path, got, info)
		}
	}
}

func get(t *testing.T, url string) (int, []byte, error) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		return 0, nil, err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return r.StatusCode, b, err
}

func TestServer(t *testing.T) {
	gone := Package{Name: "gone", Version: "1", Noarch: "python", Yanked: true}
	here := Package{Name: "here", Version: "1"}
	s := Serve(Channel{Name: "conda-forge", Packages: []Package{gone, here}}, Channel{Name: "other/label/rc"})
	srv := httptest.NewServer(s)
	defer srv.Close()

	for path, want := range map[string]int{
		"/conda-forge/linux-64/repodata_shards.msgpack.zst": 404, "/conda-forge/linux-64/" + here.File(): 200,
		"/conda-forge/noarch/" + gone.File(): 200, "/other/label/rc/noarch/repodata.json": 200, "/nothere/noarch/repodata.json": 404,
	} {
		if code, _, err := get(t, srv.URL+path); code != want || err != nil {
			t.Errorf("%s: %d, %v", path, code, err)
		}
	}
	_, b, _ := get(t, srv.URL+"/conda-forge/noarch/repodata.json.zst")
	r, _ := zstd.NewReader(nil)
	defer r.Close()
	b, err := r.DecodeAll(b, nil)
	var index struct {
		Packages map[string]any `json:"packages.conda"`
		Removed  []string
	}
	if err != nil || json.Unmarshal(b, &index) != nil || len(index.Packages) != 0 || len(index.Removed) != 1 {
		t.Errorf("%s, %v", b, err)
	}
	if s.Downloads() != 2 {
		t.Errorf("%d downloads: %v", s.Downloads(), s.Asked())
	}

	s.Cut(here.File(), 100)
	if _, b, err := get(t, srv.URL+"/conda-forge/linux-64/"+here.File()); err == nil || len(b) > 100 {
		t.Errorf("a cut file: %d bytes, %v", len(b), err)
	}
	s.Cut("", 0)
	s.Offline(true)
	if _, _, err := get(t, srv.URL+"/conda-forge/linux-64/repodata.json"); err == nil {
		t.Error("offline answered")
	}
	s.Offline(false)
	s.Set(Channel{Name: "conda-forge"})
	if code, _, _ := get(t, srv.URL+"/conda-forge/linux-64/"+here.File()); code != 404 {
		t.Errorf("a package that was taken away: %d", code)
	}
}
