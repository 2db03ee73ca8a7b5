package main

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/conjuring/conjured/internal/gitenvtest"
	"github.com/conjuring/conjured/internal/wheeltest"
)

// openIndex serves what is only source code beside everything that PyPI has, and gives
// the index's address.
func (p *week) openIndex(t *testing.T) string {
	own := wheeltest.Serve()
	pypi := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "https", Host: "pypi.org"})
	}}
	s := onBridge(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "oldtimer") {
			own.ServeHTTP(w, r)
			return
		}
		pypi.ServeHTTP(w, r)
	}))
	own.Set(wheeltest.Sdist{Name: "oldtimer", Version: "1.0", Backend: fmt.Sprintf(calls, strings.TrimPrefix(s.URL, "http://"))})
	return s.URL + "/simple"
}

// calls has the build of a package try to reach an address that its index is at, and the
// package say whether it did.
const calls = `import socket
try:
    socket.create_connection(%q.split(":"), timeout=3).close()
    reached = True
except OSError:
    reached = False
with open(NAME + ".py", "a") as f:
    f.write("Reached = %%r\n" %% reached)
`

// source is refused, and built once without a network where the folder allows it.
func (p *week) source(t *testing.T) {
	p.class.write("environment-source.yml", "channels:\n  - conda-forge\ndependencies:\n  - python\n  - pip:\n    - oldtimer\n")
	said := p.apply(t, 3)
	if !strings.Contains(said, "environment-source.yml:6") || !strings.Contains(said, "sdists: allow") {
		t.Errorf("what to do is not said:\n%s", said)
	}
	p.class.write("conjured.yaml", "class: Room 12\nsdists: allow\n")
	p.apply(t, 0)
	if out, err := p.runOf(t, p.amira, "source", "import oldtimer; print(oldtimer.__version__, oldtimer.Reached)"); err != nil || out != "1.0 False\n" {
		t.Errorf("%q, %v", out, err)
	}
}

// oldTool takes over a repository of conda-gitenv by the command line, uses it, and
// writes one that the old tool's own checks pass on.
func (p *week) oldTool(t *testing.T) {
	old := gitenvtest.Init(t)
	old.Spec("atlas", "channels:\n  - conda-forge\nenv:\n  - python\n  - geopandas\n")
	var tags []string
	for _, version := range []string{"1.1", "1.2"} {
		old.When = old.When.Add(24 * time.Hour)
		old.Resolve("atlas", "noarch/geopandas-"+version+"-py_0", "python-"+p.python+"-0_real", "noarch/shapely-2.1-py_0")
		tags = append(tags, old.Autotag()...)
		old.Autolabel(tags[len(tags)-1])
	}
	before := old.Deploy()
	p.env(t, "import-gitenv", old.Dir)
	if got := p.names(t, p.ben); !slices.Contains(got, "atlas") {
		t.Errorf("ben sees %v", got)
	}
	const version = "import geopandas; print(geopandas.__version__)"
	if out, err := p.runOf(t, p.amira, "atlas", version); err != nil || out != "1.1\n" {
		t.Errorf("a kernel of current has %q, %v", out, err)
	}
	if said := p.env(t, "diff", "atlas"); !strings.Contains(said, "geopandas") || !strings.Contains(said, tags[1]) {
		t.Errorf("diff: %s", said)
	}
	p.env(t, "promote", "atlas")
	if out, err := p.runOf(t, p.amira, "atlas", version); err != nil || out != "1.2\n" {
		t.Errorf("after promote a kernel has %q, %v", out, err)
	}
	to := filepath.Join(t.TempDir(), "exported.git")
	p.env(t, "export-gitenv", to)
	back := gitenvtest.Clone(t, to)
	got := back.Deploy()
	if got["atlas/current"] != before["atlas/next"] || got["atlas/previous"] != before["atlas/current"] || got["geo/current"] == "" {
		t.Errorf("the old tool would deploy %v, and before %v", got, before)
	}
	if again := back.Autotag(); len(again) > 0 {
		t.Errorf("the old tool would tag %v once more", again)
	}
}
