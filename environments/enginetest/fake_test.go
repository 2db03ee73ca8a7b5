package enginetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/conjuring/conjured/internal/needs"
	"github.com/conjuring/conjured/internal/wheeltest"
	"golang.org/x/sys/unix"
)

// fake is an engine in a few hundred lines of Go: it shows that the tests ask for nothing
// that only one program does.
type fake struct {
	w               *World
	python, version string // of this machine, for environments without a Python of their own
	n               int
}

func newFake(t *testing.T, w *World) Engine {
	needs.All(t, needs.Python())
	out, err := exec.Command("python3", "-I", "-c", "import sys; print(sys.executable, '%d.%d.%d' % sys.version_info[:3])").Output()
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{w: w}
	f.python, f.version, _ = strings.Cut(strings.TrimSpace(string(out)), " ")
	return f
}

func TestFake(t *testing.T) {
	t.Run("conda", func(t *testing.T) { Conda(t, newFake) })
	t.Run("pip", func(t *testing.T) { Pip(t, newFake) })
	t.Run("mixed", func(t *testing.T) { Mixed(t, newFake) })
	t.Run("full disk", func(t *testing.T) { FullDisk(t, newFake, Ask{Conda: []string{"heavy"}}, 12<<20) })
}

func fail(kind Kind, err error, names ...string) error { return &Failure{kind, names, err} }

// disk makes a failure of an error that says that the disk is full.
func disk(err error) error {
	if errors.Is(err, unix.ENOSPC) {
		return fail(Disk, err)
	}
	return err
}

// get downloads; what cannot be had without a network, from what was kept.
func (f *fake) get(ctx context.Context, url string, offline, keep bool) ([]byte, error) {
	key := sha256.Sum256([]byte(url))
	kept := filepath.Join(f.w.Root, "kept", hex.EncodeToString(key[:]))
	var b []byte
	err := errors.New("offline")
	if !offline {
		b, err = f.download(ctx, url)
	}
	var known *Failure
	switch {
	case err == nil && keep:
		if err := errors.Join(os.MkdirAll(filepath.Dir(kept), 0o755), os.WriteFile(kept+".part", b, 0o644)); err != nil {
			return nil, disk(err)
		}
		return b, disk(os.Rename(kept+".part", kept))
	case err == nil, ctx.Err() != nil, errors.As(err, &known):
		return b, err
	}
	if b, kErr := os.ReadFile(kept); kErr == nil {
		return b, nil
	}
	return nil, fail(Network, err)
}

func (f *fake) download(ctx context.Context, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNotFound {
		return nil, fail(Missing, errors.New("no such file"))
	}
	return io.ReadAll(res.Body)
}

// channels gives what channels have; of a name, what the first has that has any.
func (f *fake) channels(ctx context.Context, names []string, ask Ask) (source, error) {
	all := map[string][]candidate{}
	for _, channel := range names {
		here := map[string][]candidate{}
		for _, subdir := range []string{"linux-64", "noarch"} {
			base := f.w.Mirror + "/" + channel + "/" + subdir + "/"
			b, err := f.get(ctx, base+"repodata.json", ask.Offline, true)
			if err != nil {
				return nil, err
			}
			if err := readIndex(b, base, here); err != nil {
				return nil, err
			}
		}
		for name, found := range here {
			if _, before := all[name]; !before {
				best(found, ask.Locked)
				all[name] = found
			}
		}
	}
	return func(_ context.Context, name string) ([]candidate, error) {
		if len(all[name]) == 0 {
			return nil, fail(Missing, errors.New("no such package"), name)
		}
		return all[name], nil
	}, nil
}

func readIndex(b []byte, base string, into map[string][]candidate) error {
	type entry struct {
		Name, Version, SHA256, Noarch string
		Depends, Constrains           []string
	}
	var index struct {
		Packages map[string]entry
		Conda    map[string]entry `json:"packages.conda"`
	}
	if err := json.Unmarshal(b, &index); err != nil {
		return err
	}
	for _, part := range []map[string]entry{index.Packages, index.Conda} {
		for file, e := range part {
			c := candidate{Conda: true, Name: e.Name, Version: e.Version, URL: base + file, SHA256: e.SHA256, Noarch: e.Noarch == "python"}
			for _, d := range e.Depends {
				c.needs = append(c.needs, parseNeed(d))
			}
			for _, d := range e.Constrains {
				c.limits = append(c.limits, parseNeed(d))
			}
			into[e.Name] = append(into[e.Name], c)
		}
	}
	return nil
}

// best sorts the newest to the front, and what is in use before it.
func best(all []candidate, locked Plan) {
	slices.SortFunc(all, func(a, b candidate) int {
		if v := locked.Version(a.Name); v != "" && (a.Version == v) != (b.Version == v) {
			return map[bool]int{true: -1, false: 1}[a.Version == v]
		}
		return compare(b.Version, a.Version)
	})
}

// index gives what the index has for a Python beside what conda brings.
func (f *fake) index(ask Ask, fixed map[string]candidate) source {
	version := f.version
	if p, ok := fixed["python"]; ok {
		version = p.Version
	}
	return func(ctx context.Context, name string) ([]candidate, error) {
		if c, ok := fixed[name]; ok {
			return []candidate{{Name: name, Version: c.Version, Fixed: true}}, nil
		}
		b, err := f.get(ctx, f.w.Simple+"/"+name+"/", ask.Offline, true)
		if err != nil {
			return nil, err
		}
		var project struct {
			Files []struct {
				Filename, URL string
				Hashes        map[string]string
				Python        string `json:"requires-python"`
				Yanked        bool
			}
		}
		if err := json.Unmarshal(b, &project); err != nil {
			return nil, err
		}
		var out []candidate
		for _, x := range project.Files {
			if !strings.HasSuffix(x.Filename, "-py3-none-any.whl") || x.Yanked {
				continue
			}
			c := candidate{Name: name, Version: strings.Split(x.Filename, "-")[1], URL: strings.TrimSuffix(f.w.Simple, "/simple") + x.URL, SHA256: x.Hashes["sha256"]}
			if !(need{versions: x.Python}).takes(version) {
				c.needs = append(c.needs, need{name: c.Name, versions: "==0", line: "another Python"}) // never
			} else if c.needs, err = f.requires(ctx, c, ask.Offline); err != nil {
				return nil, err
			}
			out = append(out, c)
		}
		if len(out) == 0 {
			return nil, fail(NoWheel, errors.New("no file fits"), name)
		}
		best(out, ask.Locked)
		return out, nil
	}
}

func normal(lines []string) []need {
	var out []need
	for _, l := range lines {
		n := parseNeed(l)
		n.name = wheeltest.Normalised(n.name)
		out = append(out, n)
	}
	return out
}

func (f *fake) Resolve(ctx context.Context, ask Ask) (Plan, error) {
	names := ask.Channels
	if names == nil {
		names = []string{"conda-forge"}
	}
	var chosen map[string]candidate
	if ask.Conda != nil {
		from, err := f.channels(ctx, names, ask)
		if err != nil {
			return Plan{}, err
		}
		var asks []need
		for _, l := range ask.Conda {
			asks = append(asks, parseNeed(l))
		}
		if chosen, err = solve(ctx, from, asks); err != nil {
			return Plan{}, err
		}
	}
	more, err := solve(ctx, f.index(ask, chosen), normal(ask.Pip))
	if err != nil {
		return Plan{}, err
	}
	var all []candidate
	for _, c := range chosen {
		all = append(all, c)
	}
	for _, c := range more {
		if !c.Fixed {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b candidate) int { return strings.Compare(a.Name, b.Name) })
	p := Plan{Private: all}
	for _, c := range all {
		p.Packages = append(p.Packages, Package{c.Conda, c.Name, c.Version})
		p.Bytes = fmt.Appendf(p.Bytes, "%s %s %s\n", c.Name, c.Version, c.SHA256)
	}
	return p, nil
}
