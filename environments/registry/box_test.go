package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// workshop is a Builder that puts generations into the store without any container. What
// a line such as "numpy==2.3" asks for is what one gets; implicit is added to all.
type workshop struct {
	store *environments.Store
	calls int
	fail  map[environments.Name]error
	gone  []string // packages that are neither stored nor to be had
	newer map[string]string
	hold  func(environments.Name) // called in the middle of making
	sick  notice.List             // what Verify finds
}

func (w *workshop) manifest(s environments.Spec, upgrade bool) environments.Manifest {
	python := s.Python
	if python == "" {
		python = "3.13"
	}
	m := environments.Manifest{Python: python, Platform: "linux-x86_64"}
	for _, v := range s.Variables {
		m.Variables = append(m.Variables, v.Assignment())
	}
	for _, r := range s.Requirements {
		name, version, _ := strings.Cut(r.Spec, "==")
		if version == "" {
			version = "1"
			if n := w.newer[name]; n != "" && upgrade {
				version = n
			}
		}
		m.Packages = append(m.Packages, environments.Package{Name: name, Version: version, Hashes: []string{"sha256:" + hash(name+version)}})
	}
	for _, c := range s.Conda {
		f := strings.Split(strings.TrimPrefix(c.Spec, "conda-forge::")+"==", "=")
		m.Packages = append(m.Packages, environments.Package{
			Kind: environments.Conda, Name: f[0], Version: f[1], Build: f[2],
			URL:    fmt.Sprintf("https://conda.anaconda.org/conda-forge/linux-64/%s-%s-%s.conda", f[0], f[1], f[2]),
			Hashes: []string{"sha256:" + hash(c.Spec)},
		})
	}
	return m
}

func hash(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func (w *workshop) Make(ctx context.Context, s environments.Spec, sink progress.Sink) (environments.Made, error) {
	return w.Build(ctx, s, w.manifest(s, false), sink)
}

func (w *workshop) Build(ctx context.Context, s environments.Spec, m environments.Manifest, sink progress.Sink) (environments.Made, error) {
	if err := w.fail[s.Env]; err != nil {
		return environments.Made{}, err
	}
	if g, err := w.store.Current(s.Env); err == nil && g.ID == m.ID() {
		return environments.Made{Generation: g}, nil
	}
	gs, err := w.store.Generations(s.Env)
	if err != nil {
		return environments.Made{}, err
	}
	for _, g := range slices.Backward(gs) {
		if g.ID == m.ID() {
			return environments.Made{Generation: g}, nil
		}
	}
	return w.Rebuild(ctx, s, m, sink)
}

func (w *workshop) Rebuild(ctx context.Context, s environments.Spec, m environments.Manifest, _ progress.Sink) (environments.Made, error) {
	w.calls++
	if w.hold != nil {
		w.hold(s.Env)
	}
	if l, _ := w.Missing(ctx, m); len(l) > 0 {
		return environments.Made{}, errors.New("network is unreachable")
	}
	g, err := complete(w.store, s.Env, m)
	return environments.Made{Generation: g, New: true}, err
}

func (w *workshop) Resolve(_ context.Context, s environments.Spec, o environments.ResolveOptions, _ progress.Sink) (environments.Manifest, notice.List, error) {
	w.calls++
	return w.manifest(s, o.Upgrade), nil, w.fail[s.Env]
}

func (w *workshop) Missing(_ context.Context, m environments.Manifest) ([]environments.Package, error) {
	var out []environments.Package
	for _, p := range m.Packages {
		if slices.Contains(w.gone, p.Name) {
			out = append(out, p)
		}
	}
	return out, nil
}

func (w *workshop) Verify(context.Context, environments.Generation, progress.Sink) (notice.List, error) {
	return w.sick, nil
}

// complete writes a generation as a Builder leaves it.
func complete(s *environments.Store, env environments.Name, m environments.Manifest) (environments.Generation, error) {
	g := environments.Generation{Env: env, ID: m.ID(), Image: "image", Manifest: m, State: environments.Ready, Number: 1}
	dir := filepath.Join(s.Root(), "gen", string(env))
	es, _ := os.ReadDir(dir)
	for _, e := range es {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			g.Number = max(g.Number, n+1)
		}
	}
	meta, err := json.Marshal(g)
	if err != nil {
		return g, err
	}
	dir = filepath.Join(dir, strconv.Itoa(g.Number))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return g, err
	}
	for name, data := range map[string]string{"lease": "", "manifest.txt": string(m.Canonical()), "generation.json": string(meta), "ok": hash(string(meta)) + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
			return g, err
		}
	}
	return g, nil
}

// counted is a history that counts what is asked of it, and fails when told to.
type counted struct {
	History
	reads, writes int
	broken        error
	during        func() // called by every write
}

func (c *counted) write() error {
	c.writes++
	if c.during != nil {
		c.during()
	}
	return c.broken
}

func (c *counted) read() error { c.reads++; return c.broken }

func (c *counted) PutSpec(ctx context.Context, env string, f []history.File, why string) (bool, error) {
	if err := c.write(); err != nil {
		return false, err
	}
	return c.History.PutSpec(ctx, env, f, why)
}

func (c *counted) PutManifest(ctx context.Context, env string, f []history.File, why string) (bool, error) {
	if err := c.write(); err != nil {
		return false, err
	}
	return c.History.PutManifest(ctx, env, f, why)
}

func (c *counted) Tag(ctx context.Context, env string) (history.Tag, error) {
	if err := c.write(); err != nil {
		return history.Tag{}, err
	}
	return c.History.Tag(ctx, env)
}

func (c *counted) SetLabels(ctx context.Context, env string, set map[string]string, why string) (bool, error) {
	if err := c.write(); err != nil {
		return false, err
	}
	return c.History.SetLabels(ctx, env, set, why)
}

func (c *counted) Tags(ctx context.Context, env string) ([]history.Tag, error) {
	if err := c.read(); err != nil {
		return nil, err
	}
	return c.History.Tags(ctx, env)
}

func (c *counted) Labels(ctx context.Context, env string) (map[string]string, error) {
	if err := c.read(); err != nil {
		return nil, err
	}
	return c.History.Labels(ctx, env)
}

func (c *counted) Manifest(ctx context.Context, env, rev string) ([]history.File, error) {
	if err := c.read(); err != nil {
		return nil, err
	}
	return c.History.Manifest(ctx, env, rev)
}

func (c *counted) Check(ctx context.Context) error {
	if err := c.read(); err != nil {
		return err
	}
	return c.History.Check(ctx)
}

// box is a registry with a real store, a real repository, and a workshop.
type box struct {
	t     *testing.T
	root  string
	store *environments.Store
	shop  *workshop
	past  *counted
	git   *history.Repository
	wants []Wanted
	moves []Move
	told  []notice.Notice
	c     Config
	*Registry
}

func newBox(t *testing.T, change func(*Config)) *box {
	t.Helper()
	return openBox(t, t.TempDir(), change)
}

func openBox(t *testing.T, root string, change func(*Config)) *box {
	t.Helper()
	store, err := environments.Open(filepath.Join(root, "env"), "")
	if err != nil {
		t.Fatal(err)
	}
	git, err := history.Open(t.Context(), history.Config{Dir: filepath.Join(root, "history.git")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(git.Close)
	b := &box{t: t, root: root, store: store, shop: &workshop{store: store}, past: &counted{History: git}, git: git}
	b.c = config(b, b.past)
	if change != nil {
		change(&b.c)
	}
	if b.Registry, err = New(b.c); err != nil {
		t.Fatal(err)
	}
	return b
}

func config(b *box, h History) Config {
	return Config{
		Store: b.store, Builder: b.shop, History: h, Log: slog.New(slog.DiscardHandler),
		Wanted: func(context.Context) ([]Wanted, error) { return b.wants, nil },
		Moved:  func(m Move) { b.moves = append(b.moves, m) },
		Notify: func(n notice.Notice) { b.told = append(b.told, n) },
	}
}

// wish is an environment that asks for these lines.
func wish(env string, lines ...string) Wanted {
	w := Wanted{Spec: environments.Spec{Env: environments.Name(env), Image: "image"}}
	for i, l := range lines {
		w.Requirements = append(w.Requirements, environments.Requirement{Name: l, Spec: l, File: "requirements.txt", Line: i + 1})
	}
	w.History = []history.File{{Name: "requirements.txt", Data: []byte(strings.Join(lines, "\n") + "\n")}}
	return w
}

// want asks for one environment alone, prepares and settles it, and fails t on errors.
func (b *box) want(env string, lines ...string) Outcome {
	b.t.Helper()
	w := wish(env, lines...)
	b.wants = []Wanted{w}
	if _, err := b.Prepare(b.t.Context(), w, progress.Discard); err != nil {
		b.t.Fatal(err)
	}
	o, err := b.Settle(b.t.Context(), w.Env)
	if err != nil {
		b.t.Fatal(err)
	}
	return o
}

// labels fails t unless the disk and the history both have exactly these labels.
func (b *box) labels(env string, want map[string]int) {
	b.t.Helper()
	got := map[string]int{}
	labels, err := b.store.Labels(environments.Name(env))
	if err != nil {
		b.t.Fatal(err)
	}
	for l, n := range labels {
		got[string(l)] = n
	}
	if d := cmp.Diff(want, got); d != "" {
		b.t.Errorf("labels of %s on the disk: %s", env, d)
	}
	b.recorded(env)
}

// recorded fails t unless the history's labels name tags of the manifests that the
// disk's labels point at.
func (b *box) recorded(env string) {
	b.t.Helper()
	labels, err := b.store.Labels(environments.Name(env))
	if err != nil {
		b.t.Fatal(err)
	}
	want, got := map[string]string{}, map[string]string{}
	for l, n := range labels {
		g, err := b.store.Generation(environments.Name(env), n)
		if err != nil {
			b.t.Fatal(err)
		}
		want[string(l)] = g.ID
	}
	tags, err := b.git.Labels(b.t.Context(), env)
	if err != nil {
		b.t.Fatal(err)
	}
	for l, tag := range tags {
		files, err := b.git.Manifest(b.t.Context(), env, tag)
		if err != nil {
			b.t.Fatal(err)
		}
		got[l] = identity(files)
	}
	if !maps.Equal(want, got) {
		b.t.Errorf("labels of %s in the history: %v, want %v", env, got, want)
	}
}

func code(l notice.List) string {
	if len(l) == 0 {
		return ""
	}
	return l[0].Code
}
