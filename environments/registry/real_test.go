package registry

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/enginetest"
	"github.com/conjuring/conjured/environments/history"
	"github.com/conjuring/conjured/internal/condatest"
	"github.com/conjuring/conjured/internal/wheeltest"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// onHost runs commands on this machine: the store is at the same path for them.
type onHost struct {
	mu   sync.Mutex
	runs int
}

func (h *onHost) Run(ctx context.Context, c environments.Command) (int, error) {
	h.mu.Lock()
	h.runs++
	h.mu.Unlock()
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Env = append([]string{"PATH=/usr/local/bin:/usr/bin:/bin"}, c.Env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Input, c.Output, c.Output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err := cmd.Run()
	var x *exec.ExitError
	if errors.As(err, &x) {
		return x.ExitCode(), nil
	}
	return 0, err
}

// realBox is a box whose generations a real Builder makes with uv, from an index.
func realBox(t *testing.T, index, mirror string) (*box, *onHost) {
	t.Helper()
	tools, run := enginetest.RealTools(t), &onHost{}
	b := newBox(t, func(c *Config) {
		store, err := environments.Open(filepath.Join(t.TempDir(), "env"), "")
		if err == nil { // the same path for those who build
			store, err = environments.Open(store.Root(), store.Root())
		}
		if err != nil {
			t.Fatal(err)
		}
		c.Store = store
		c.Builder, err = environments.New(environments.Config{
			Store: store, Runner: run, UV: tools.UV, Python: tools.Python, Lab: "none", Index: index,
			Rattler: tools.Python, CondaMirror: mirror, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Read = func(_ context.Context, env environments.Name, _ []history.File) (environments.Spec, error) {
			return environments.Spec{Env: env, Image: "host", Channels: []string{"conda-forge"}, Conda: []environments.CondaRequirement{{Spec: "geo"}}}, nil
		}
	})
	b.store = b.c.Store
	return b, run
}

// The life of an environment with real packages: added to, gone back from, built again
// without network, taken from a tag, and told what is missing.
func TestRealBuilder(t *testing.T) {
	srv := httptest.NewServer(wheeltest.Index(wheeltest.Wheel{Name: "one", Version: "1"}, wheeltest.Wheel{Name: "two", Version: "1"}, wheeltest.Wheel{Name: "three", Version: "1"}))
	defer srv.Close()
	b, run := realBox(t, srv.URL+"/simple", "")
	first := b.want("base", "one")
	if first.Did != Promoted || first.Tag == "" {
		t.Fatalf("%+v", first)
	}
	second := b.want("base", "one", "two")
	if second.Did != Promoted || second.Changes.Class() != environments.AddOnly || second.Sentence != "Base gets the new package two; nothing else changes" {
		t.Errorf("%+v", second)
	}
	if m := b.moves[1]; !m.To.Alone || !slices.Equal(m.Heated.Packages, []string{"two"}) || !slices.Equal(m.Heated.Generations, []int{1}) {
		t.Errorf("running kernels did not get what was added: %+v", m.Heated)
	}
	b.labels("base", map[string]int{"current": 2, "previous": 1})

	srv.Close() // from here on there is no network
	run.runs, b.past.reads, b.past.writes = 0, 0, 0
	b.store.Guard(func(step string) error { t.Errorf("wrote: %s", step); return nil })
	if o := b.want("base", "one", "two"); o.Did != Unchanged || run.runs+b.past.reads+b.past.writes != 0 {
		t.Errorf("%+v, %d runs", o, run.runs)
	}
	b.store.Guard(func(string) error { return nil })
	if o, err := b.Rollback(t.Context(), "base", ""); err != nil || o.Tag != first.Tag || run.runs != 0 {
		t.Errorf("%+v, %v, %d runs", o, err, run.runs)
	}
	if o, err := b.Rollback(t.Context(), "base", second.Tag); err != nil || o.Generation != 2 {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := b.Verify(t.Context(), "base", "", progress.Discard); err != nil || o.Did != Verified {
		t.Errorf("%+v, %v: %v", o, err, o.Notices)
	}
	o, err := b.Reset(t.Context(), "base", progress.Discard)
	if err != nil || o.Tag != second.Tag || o.Generation != 3 {
		t.Fatalf("%+v, %v: %v", o, err, notice.For(err))
	}
	imports(t, b, "import one, two")
	withoutItsFiles(t, b, first.Tag)
}

// imports fails t unless base's current can run code.
func imports(t *testing.T, b *box, code string) {
	t.Helper()
	g, err := b.store.Current("base")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(filepath.Join(b.store.Root(), g.Path(), "bin/python"), "-c", code).CombinedOutput(); err != nil {
		t.Errorf("%s: %s", code, out)
	}
}

// withoutItsFiles removes a tag's generation, then what it is made from.
func withoutItsFiles(t *testing.T, b *box, tag string) {
	t.Helper()
	gone := func(dir string) {
		t.Helper()
		if err := os.RemoveAll(filepath.Join(b.store.Root(), dir)); err != nil {
			t.Fatal(err)
		}
	}
	gone("gen/base/1")
	if o, err := b.Deploy(t.Context(), tag, progress.Discard); err != nil || o.Did != Deployed {
		t.Errorf("offline, from the store: %+v, %v: %v", o, err, notice.For(err))
	}
	if o, err := b.Rollback(t.Context(), "base", tag); err != nil || o.Did != RolledBack {
		t.Errorf("%+v, %v", o, err)
	}
	imports(t, b, "import one")
	for _, g := range []string{"gen/base", "store/uv"} {
		gone(g)
	}
	if err := os.MkdirAll(filepath.Join(b.store.Root(), "store/uv"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := b.Deploy(t.Context(), tag, progress.Discard)
	var missing *MissingError
	if !errors.As(err, &missing) || len(missing.Files) != 1 || !strings.HasPrefix(missing.Files[0], "one") {
		t.Errorf("%v: %+v", err, notice.For(err))
	}
}

// K5: a repository of the old tool, with real conda packages: the generation of a label is
// exactly the list of its tag, although the list has no hashes and the channel has newer
// packages by now, and the tag stays the tag.
func TestK5_importWithRealPackages(t *testing.T) {
	python, err := condatest.Python{}.Package()
	if err != nil {
		t.Fatal(err)
	}
	geo := func(version string) condatest.Package {
		return condatest.Package{Name: "geo", Version: version, Noarch: "python", Depends: []string{"python"}}
	}
	channel := httptest.NewServer(condatest.Serve(condatest.Channel{Name: "conda-forge", Packages: []condatest.Package{python, geo("1.0"), geo("2.0")}}))
	defer channel.Close()
	index := httptest.NewServer(wheeltest.Index(wheeltest.Wheel{Name: "ipykernel", Version: "1"}))
	defer index.Close()
	b, _ := realBox(t, index.URL+"/simple", channel.URL)

	list := resolved(t, b, "geo").Legacy() // with geo 2.0, in the form of the old tool
	old := strings.ReplaceAll(string(list), "geo-2.0-", "geo-1.0-")
	from := filepath.Join(t.TempDir(), "old.git")
	h, err := history.Open(t.Context(), history.Config{Dir: from})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.PutManifest(t.Context(), "atlas", []history.File{{Name: envManifest, Data: []byte(old)}}, "resolved"); err != nil {
		t.Fatal(err)
	}
	tag, err := h.Tag(t.Context(), "atlas")
	if err == nil {
		_, err = h.SetLabels(t.Context(), "atlas", map[string]string{"current": tag.Name}, "labels")
	}
	h.Close()
	if err != nil {
		t.Fatal(err)
	}

	out, err := b.Import(t.Context(), from, progress.Discard)
	if err != nil || len(out) != 1 || out[0].Did != Imported || out[0].Tag != tag.Name {
		t.Fatalf("%+v, %v", out, err)
	}
	g, err := b.store.Current("atlas")
	if p, _ := g.Manifest.Find("geo"); err != nil || p.Version != "1.0" || len(p.Hashes) == 0 || string(g.Manifest.Legacy()) != old {
		t.Errorf("%v: %s", err, g.Manifest.Canonical())
	}
	if l, err := b.git.Labels(t.Context(), "atlas"); err != nil || l["current"] != tag.Name {
		t.Errorf("%v, %v", l, err)
	}
	up, err := b.Update(t.Context(), []string{"atlas"}, Options{Upgrade: true}, progress.Discard)
	if err != nil || up[0].Did != Promoted || len(up[0].Changes.Upgraded) != 1 || up[0].Tag == tag.Name {
		t.Errorf("%+v, %v", up, err)
	}
	if o, err := b.Rollback(t.Context(), "atlas", ""); err != nil || o.Tag != tag.Name {
		t.Errorf("%+v, %v", o, err)
	}
}

func resolved(t *testing.T, b *box, env environments.Name) environments.Manifest {
	t.Helper()
	s, err := b.c.Read(t.Context(), env, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, _, err := b.c.Builder.Resolve(t.Context(), s, Options{}, progress.Discard)
	if err != nil {
		t.Fatalf("%v: %v", err, notice.For(err))
	}
	return m
}
