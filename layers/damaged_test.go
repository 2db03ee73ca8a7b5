package layers_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/internal/dockertest"
	"github.com/conjuring/conjured/internal/needs"
	"github.com/conjuring/conjured/layers"
	"github.com/conjuring/conjured/progress"
)

// tiny is a class image in which everything that is looked for is a stub.
const tiny = `FROM base AS core
ARG GROUP_ID
COPY layers/image/stub /stub
RUN sh /stub
RUN echo core > /core.txt
FROM core AS system
COPY --from=custom apt.txt /apt.txt
RUN cat /apt.txt > /system.txt
`

const stub = `set -e
mkdir -p /opt/conjured/hub/bin /opt/conjured/lab/bin /opt/conjured/rattler/bin /opt/conjured/bin
for f in opt/conjured/hub/bin/jupyterhub opt/conjured/lab/bin/jupyter-lab opt/conjured/lab/bin/python opt/conjured/rattler/bin/python \
	opt/conjured/bin/uv opt/conjured/bin/launch conda.sh bin/git bin/flock; do
	echo '#!/bin/sh' > /$f
	chmod 755 /$f
done
`

// store is a Docker Engine of the test's own with a small class in it.
type store struct {
	*dockertest.Engine
	t    *testing.T
	e    *engine.Engine
	b    *layers.Builder
	in   layers.Inputs
	heal layers.Result // of the newest build
}

func newStore(t *testing.T) *store {
	needs.All(t, needs.Docker(), needs.Root())
	s := &store{Engine: dockertest.New(t), t: t, in: layers.Inputs{AptPackages: []layers.Package{{Name: "hello"}}}}
	var err error
	if s.e, err = engine.Connect(t.Context(), engine.Config{Host: s.Host, Instance: "0000da3a"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.e.Close() })
	if _, err := s.e.Import(t.Context(), dockertest.Tree(t, map[string]string{"usr/bin/apt-get": "#!/bin/sh\n"}), "debian:trixie", nil); err != nil {
		t.Fatal(err)
	}
	s.b, err = layers.New(layers.Config{
		Engine: s.e, Repository: "conjured-test/tiny", Dir: t.TempDir(), Launcher: []byte("launch"),
		Files: fstest.MapFS{"Dockerfile": {Data: []byte(tiny)}, "layers/image/stub": {Data: []byte(stub)}, "layers/lock/none": {Data: []byte("-")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.build()
	return s
}

func (s *store) build() (mended bool) {
	s.t.Helper()
	r, err := s.b.Build(s.t.Context(), s.in, progress.Discard)
	if err != nil {
		s.t.Fatal(err)
	}
	s.heal = r
	return len(r.Notices) == 1 && r.Notices[0].Code == "docker-mended"
}

// dir is the directory of the layer of an image that holds a file.
func (s *store) dir(image, file string) string {
	s.t.Helper()
	out, err := s.Docker("image", "inspect", "-f", "{{.GraphDriver.Data.UpperDir}}:{{.GraphDriver.Data.LowerDir}}", image)
	if err != nil {
		s.t.Fatal(out)
	}
	for _, dir := range strings.Split(strings.TrimSpace(out), ":") {
		if _, err := os.Stat(filepath.Join(dir, file)); err == nil {
			return filepath.Dir(dir)
		}
	}
	s.t.Fatalf("no layer of %s has %s", image, file)
	return ""
}

// Docker's store loses parts of a class's images, each in the way that was met or that a
// power cut can cause. The class is built again, works, and what runs goes on.
func TestDamagedStore(t *testing.T) {
	s := newStore(t)
	out, err := s.Docker("run", "-d", "--network", "none", s.heal.Core, "/bin/sh", "-c", "while sleep 1; do cat /core.txt > /tmp/alive; done")
	if err != nil {
		t.Fatal(out)
	}
	running, base := strings.TrimSpace(out), s.heal.Base
	for _, c := range []struct {
		name   string
		doubt  bool // Docker reads the image as if nothing were
		damage func() error
	}{
		{"the directory of system's layer is gone", false, func() error { return os.RemoveAll(s.dir(s.heal.System, "system.txt")) }},
		{"core's layer has lost its link", true, func() error { return os.Remove(filepath.Join(s.dir(s.heal.Core, "core.txt"), "link")) }},
		{"a program of core is empty", true, func() error {
			const hub = "opt/conjured/hub/bin/jupyterhub"
			return os.Truncate(filepath.Join(s.dir(s.heal.Core, hub), "diff", hub), 0)
		}},
		{"the records of core's layers are empty", false, func() error { return s.emptyRecords(filepath.Base(s.dir(s.heal.Core, "core.txt"))) }},
	} {
		start := time.Now()
		if err := c.damage(); err != nil {
			t.Fatal(err)
		}
		s.in.Doubt = c.doubt
		if !s.build() {
			t.Errorf("%s: nothing was mended: %+v", c.name, s.heal)
		}
		if len(s.heal.Built) == 0 || s.heal.Base != base { // which is sound, and may not be to be had again
			t.Errorf("%s: built %v; base %s, was %s", c.name, s.heal.Built, s.heal.Base, base)
		}
		if got, err := s.Docker("run", "--rm", "--network", "none", s.heal.System, "/bin/cat", "/core.txt", "/system.txt"); err != nil || got != "core\nhello\n" {
			t.Errorf("%s: afterwards %q, %v", c.name, got, err)
		}
		t.Logf("%s: %v", c.name, time.Since(start).Round(time.Millisecond))
	}
	s.in.Doubt = true
	if s.build() || len(s.heal.Built) > 0 {
		t.Errorf("what is sound was mended: %+v", s.heal)
	}
	if got, err := s.Docker("inspect", "-f", "{{.State.Running}}", running); err != nil || got != "true\n" {
		t.Errorf("what ran: %q, %v", got, err)
	}
	nameless := func() string {
		out, err := s.Docker("images", "-q", "--filter", "dangling=true")
		if err != nil {
			t.Fatal(out)
		}
		return strings.TrimSpace(out)
	}
	for _, want := range []bool{true, false} { // as long as a container uses it
		if _, err := s.b.GC(t.Context(), []string{s.heal.System}); err != nil {
			t.Fatal(err)
		}
		if left := nameless(); (left != "") != want {
			t.Errorf("images without a name: %q, want some: %v", left, want)
		}
		if out, err := s.Docker("rm", "-f", running); err != nil {
			t.Fatal(out)
		}
	}
}

// emptyRecords empties what Docker has written down of the layer in a directory, as a
// power cut does, and starts it again.
func (s *store) emptyRecords(dir string) error {
	ids, err := filepath.Glob(filepath.Join(s.Data, "image/overlay2/layerdb/sha256/*/cache-id"))
	if err != nil {
		return err
	}
	for _, f := range ids {
		if id, err := os.ReadFile(f); err != nil || string(id) != dir {
			continue
		}
		s.Kill()
		for _, name := range []string{"cache-id", "diff", "size"} {
			if err := os.Truncate(filepath.Join(filepath.Dir(f), name), 0); err != nil {
				return err
			}
		}
		s.Start()
		return nil
	}
	return errors.New("no record of that layer")
}
