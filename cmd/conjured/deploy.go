package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/conjuring/conjured/appliance"
	"github.com/conjuring/conjured/custom"
	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/hub"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// deploy makes a setup the class: what new servers are made of, the packages of new
// kernels, and the hub if what it is started from has changed. The hub comes first,
// because its candidate is the step that can fail; the label is one rename.
func (b *box) deploy(ctx context.Context, x appliance.Action, sink progress.Sink) (notice.List, error) {
	f, err := b.folderOf(ctx, x.Setup)
	if err != nil {
		return nil, err
	}
	img, g, err := b.built(x.Setup)
	if err != nil {
		return nil, err
	}
	srv, err := b.placeSrv(x.Setup, f)
	if err != nil {
		return nil, err
	}
	if err := b.engine.EnsureNetwork(ctx, b.network()); err != nil {
		return nil, err
	}
	l, err := b.hub.Deploy(ctx, hub.Spec{
		CoreImage: img.Core, SrvDir: srv, ClassName: f.Name(), Env: hubEnv(f),
		Fingerprint: digest(img.Core, x.Setup.Code, f.Name(), b.recipe),
	}, sink)
	if err != nil {
		if n := notice.For(err)[0]; n.Code == "hub-broken" && n.File == "" {
			b.storeDamaged(err) // a file of its image may be empty
		}
		return l, err
	}
	told, err := b.settleBase(ctx, x.Setup, g)
	if l = append(l, told...); err != nil {
		return l, err
	}
	b.refreshStatics()
	image, err := b.systems.choose(img.System)
	if err != nil {
		return l, err
	}
	if there, err := b.imagesThere(ctx, image); err != nil {
		return l, err
	} else if !there {
		image = img.System // what somebody rolled back to is lost
	}
	b.hub.SetClass(b.classOf(f, image))
	if err := b.hub.SetServices(ctx, b.serviceSpecs(f.Services())); err != nil {
		return l, err
	}
	if name := f.Name(); name != "" { // the built-in setup has none: the wished one's stays
		b.front.setName(name)
	}
	b.serving.Store(&x.Setup)
	return l, nil
}

// classOf is what new servers are made of.
func (b *box) classOf(f *custom.Folder, image string) hub.Class {
	return hub.Class{
		Image: image, EnvDir: b.store.Root(), Shared: b.place.join("content", custom.SharedDir),
		Server: b.serverSpec(f.Override()),
	}
}

// setClass has servers that start from now on use another image.
func (b *box) setClass(ctx context.Context, image string) error {
	s := b.serving.Load()
	if s == nil {
		return nil // the next deployment asks which one it is
	}
	f, err := b.folderOf(ctx, *s)
	if err != nil {
		return err
	}
	b.hub.SetClass(b.classOf(f, image))
	return nil
}

// network is the students' bridge: no student reaches another one's container.
func (b *box) network() engine.Network {
	return engine.Network{Name: networkName(b.place), Isolated: true}
}

// placeSrv lays the teacher's srv/ out for the hub: flat, as the old project did (A9),
// in a directory of its own that stays as it is. "" when there is none.
func (b *box) placeSrv(s appliance.Setup, f *custom.Folder) (string, error) {
	files := f.Srv()
	if len(files) == 0 {
		return "", nil
	}
	dir := b.place.join("srv", s.Code)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	tmp := dir + ".tmp"
	if err := os.RemoveAll(tmp); err != nil {
		return "", err
	}
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return "", fmt.Errorf("cannot lay out srv: %w", err)
	}
	for _, file := range files {
		if err := writeFile(filepath.Join(tmp, filepath.Base(file.Name)), file.Data, 0o644); err != nil {
			return "", err
		}
	}
	if err := os.Rename(tmp, dir); err != nil {
		return "", fmt.Errorf("cannot lay out srv: %w", err)
	}
	return dir, nil
}

// hubEnv is what the override tells the class through its environment.
func hubEnv(f *custom.Folder) map[string]string {
	out := map[string]string{}
	for _, e := range f.Override().Env {
		if k, v, ok := strings.Cut(e, "="); ok {
			out[k] = v
		}
	}
	return out
}

// groupID is the build argument of the old project (A6); 0 when it is not given.
func groupID(args map[string]string) int {
	n, err := strconv.Atoi(args["GROUP_ID"])
	if err != nil || n < 1 {
		return 0
	}
	return n
}

// Observe looks at the world for the owner: which records still stand for something.
func (b *box) Observe(ctx context.Context) (appliance.Actual, error) {
	a := appliance.Actual{
		Roster: readWord(b.place.join("users", "applied")), Content: readWord(b.place.join("content", "published")),
		Kernels: readWord(b.place.join("kernels")), Sealed: b.sealedKey(),
		Images: map[string]bool{}, Environments: map[string]bool{},
	}
	if err := b.observeBuilt(ctx, &a); err != nil {
		return a, err
	}
	if s := b.serving.Load(); s != nil {
		o, err := b.hub.Observe(ctx)
		if err != nil {
			return a, err
		}
		if o.Running {
			a.Serving = *s
		}
	}
	return a, nil
}

func (b *box) observeBuilt(ctx context.Context, a *appliance.Actual) error {
	fps, err := b.records.images()
	if err != nil {
		return err
	}
	for _, fp := range fps {
		r, err := b.records.image(fp)
		if err != nil {
			continue // a record that cannot be read is made again
		}
		there, err := b.imagesThere(ctx, r.Core, r.System)
		if err != nil {
			return err
		}
		a.Images[fp] = there && !b.doubted(fp)
	}
	for _, s := range b.known() {
		if r, err := b.records.environment(s.EnvironmentKey()); err == nil {
			g, err := b.store.Generation(environments.Base, r.Number)
			a.Environments[s.EnvironmentKey()] = err == nil && g.ID == r.ID
		}
	}
	return nil
}

// known are the setups that the owner may ask about.
func (b *box) known() []appliance.Setup {
	s := b.owner.Snapshot()
	return append([]appliance.Setup{s.Desired, s.Serving, b.builtin}, s.Good...)
}

// readWord is the text of a small file, "" when it is not there.
func readWord(path string) string {
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) || len(b) > 1<<10 {
		return ""
	}
	return strings.TrimSpace(string(b))
}
