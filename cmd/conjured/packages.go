package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/conjuring/conjured/appliance"
	"github.com/conjuring/conjured/custom"
	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
	"github.com/conjuring/conjured/environments/registry"
	"github.com/conjuring/conjured/notice"
)

// environmentMount is where every container sees the environments.
const environmentMount = "/opt/conjured/env"

// openEnvironments opens the store of generations, what builds them, their history, and
// the registry that joins all three.
func (b *box) openEnvironments(ctx context.Context) (err error) {
	if b.store, err = environments.Open(b.place.join("env"), environmentMount); err != nil {
		return err
	}
	b.envs, err = environments.New(environments.Config{
		Store: b.store, Runner: containerRunner{b.engine, b.startFailed}, CABundle: trustStore(), LabLock: b.lock, Index: b.settings.PipIndex,
		CondaMirror: b.settings.CondaChannel, AllowDefaults: b.settings.AnacondaLicence, Log: b.log,
	})
	if err != nil {
		return err
	}
	b.systems = &systems{b: b}
	c := registry.Config{
		Store: b.store, Builder: b.envs, System: b.systems, Wanted: b.wanted, Read: b.readGitenvSpec,
		Policy: registry.Policy(b.settings.AutoPromote), Moved: b.packagesMoved, Notify: b.tell, Log: b.log,
		Reopen: func(ctx context.Context) (registry.History, error) { return b.openHistory(ctx) },
		Busy:   func() bool { return b.classHours(ctx) }, Touched: b.touched,
	}
	if h, err := b.openHistory(ctx); err == nil {
		c.History = h
	} else {
		b.tell(noHistory())
		b.log.Error("there is no history of the packages", "error", err)
	}
	if b.registry, err = registry.New(c); err != nil {
		return err
	}
	if _, err := b.registry.Repair(ctx); err != nil {
		return err
	}
	return b.store.Kernels(environments.PythonKernel())
}

func (b *box) openHistory(ctx context.Context) (*history.Repository, error) {
	return history.Open(ctx, history.Config{Dir: b.place.join("history"), Notify: b.tell, Log: b.log})
}

// noHistory is what it means that git does not work here.
func noHistory() notice.Notice {
	return notice.Notice{
		Code: "history-absent", Severity: notice.SeverityWarning,
		What:  "the history of the class's packages cannot be kept: the program git is missing, or the disk is damaged",
		Means: "the class works, and packages can be changed and rolled back; which ones there were before is not written down",
		Do:    "run apt-get install git, then start conjured again",
	}
}

// wanted is what the newest folder asks for, in the image that was built for it; while
// there is none, what the serving one asks for.
func (b *box) wanted(ctx context.Context) ([]registry.Wanted, error) {
	if b.owner == nil {
		return nil, nil // at boot, before anybody wished for anything
	}
	now := b.owner.Snapshot()
	if _, err := b.records.image(now.Desired.Image); err == nil {
		return b.wantedBy(ctx, now.Desired)
	}
	if now.Serving.ID == "" {
		return nil, notServing()
	}
	return b.wantedBy(ctx, now.Serving)
}

// notServing says that nobody knows yet what is asked for, nor in which image to build it.
func notServing() error {
	return &notice.Error{Notice: notice.Notice{
		Code: "env-class-not-ready", Severity: notice.SeverityError, What: "the class is still being prepared",
		Means: "nothing was changed in its packages", Do: "wait until conjured status says that it is open, then do the same again",
	}}
}

// wantedBy is what a setup's folder asks for, base first.
func (b *box) wantedBy(ctx context.Context, s appliance.Setup) ([]registry.Wanted, error) {
	f, err := b.folderOf(ctx, s)
	if err != nil {
		return nil, err
	}
	img, err := b.records.image(s.Image)
	if err != nil {
		return nil, fmt.Errorf("cannot tell in which image to build: %w", err)
	}
	var out []registry.Wanted
	for _, spec := range f.Environments() {
		w := registry.Wanted{Spec: b.specOf(spec, img.System), Course: spec.Course, Students: spec.Students}
		w.Files = os.DirFS(b.place.setup(s.ID))
		for _, file := range spec.Files {
			w.History = append(w.History, history.File{Name: file.Name, Data: file.Data})
		}
		out = append(out, w)
	}
	return out, nil
}

// specOf translates what a folder asks for. Only the class's own environment has Lab.
func (b *box) specOf(s custom.Spec, image string) environments.Spec {
	out := environments.Spec{
		Env: environments.Name(s.Name), Display: s.Display, Python: s.Python, Channels: s.Channels, ChannelLines: s.ChannelLines,
		Variables: s.Variables, AllowBuild: s.AllowBuild, Pre: s.Pre, Strict: s.Strict, Image: image,
	}
	if out.Env == environments.Base {
		out.Core = b.lock
	}
	for _, c := range s.Conda {
		out.Conda = append(out.Conda, environments.CondaRequirement(c))
	}
	for _, r := range s.Pip {
		out.Requirements = append(out.Requirements, environments.Requirement(r))
	}
	for _, w := range s.Wheels {
		out.Wheels = append(out.Wheels, environments.Wheel{Path: w.Path, SHA256: w.SHA256})
	}
	return out
}

// readGitenvSpec makes a spec of the files of an imported environment.
func (b *box) readGitenvSpec(_ context.Context, env environments.Name, files []history.File) (environments.Spec, error) {
	for _, f := range files {
		if f.Name != "env.spec" {
			continue
		}
		s, l := custom.ParseGitenvSpec(string(env), f.Data)
		if err := l.Err(); err != nil {
			return environments.Spec{}, err
		}
		now := b.owner.Snapshot()
		if now.Serving.ID == "" {
			return environments.Spec{}, notServing()
		}
		img, err := b.records.image(now.Serving.Image)
		if err != nil {
			return environments.Spec{}, fmt.Errorf("cannot tell in which image to build: %w", err)
		}
		return b.specOf(s, img.System), nil
	}
	return environments.Spec{}, errors.New("cannot tell what was asked for: there is no env.spec")
}

// classHours tells whether somebody's server runs: nothing is removed meanwhile.
func (b *box) classHours(ctx context.Context) bool {
	if b.hub == nil {
		return false
	}
	servers, err := b.hub.Servers(ctx)
	return err != nil || len(servers) > 0
}

// packagesMoved follows a label that moved: what is written down about base, the image
// that is complete by itself, and the people who work with it.
func (b *box) packagesMoved(m registry.Move) {
	ctx := context.Background() // a move that happened is followed to its end
	if m.Env == environments.Base {
		b.baseMoved(m.To)
	}
	if err := os.Remove(b.place.join("sealed")); err != nil && !errors.Is(err, os.ErrNotExist) {
		b.log.Warn("the image latest stays as it was", "error", err)
	}
	if b.owner == nil || b.hub == nil {
		return // at boot everything is looked at anyway
	}
	if m.Env == environments.Base {
		b.refreshStatics()
	}
	if err := b.owner.Recheck(ctx); err != nil && !errors.Is(err, appliance.ErrStopped) {
		b.log.Warn("cannot have the world looked at", "error", err)
	}
	b.linkVenvs(ctx)
	b.moved(m)
}

// baseMoved writes down that the serving setup has these packages now, so that the next
// start leaves them as they are. Packages that were made for a setup have their record
// already, and those that somebody rolled back from do not come back by themselves: what
// is left are those of `env update`.
func (b *box) baseMoved(g environments.Generation) {
	s := b.serving.Load()
	if s == nil {
		return
	}
	known, err := b.records.hasEnvironment(g.ID)
	if err == nil && !known {
		v := environmentRecord{Number: g.Number, ID: g.ID, Image: g.Image}
		err = writeJSON(b.records.environmentFile(s.EnvironmentKey()), v)
	}
	if err != nil {
		b.log.Warn("the next start may not find the packages in use", "error", err)
	}
}

// settleBase puts what was made for a setup into use, if the policy lets it and nobody
// rolled back from exactly that.
func (b *box) settleBase(ctx context.Context, s appliance.Setup, g environments.Generation) (notice.List, error) {
	if now, err := b.store.Current(environments.Base); err == nil && now.ID == g.ID {
		return nil, nil
	}
	if next, err := b.store.Label(environments.Base, environments.Next); err != nil || next.ID != g.ID {
		if _, err := b.registry.Label(ctx, environments.Base, string(environments.Next), fmt.Sprint(g.Number)); err != nil {
			return nil, err
		}
	}
	o, err := b.registry.Settle(ctx, environments.Base)
	return o.Notices, err
}
