package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/conjuring/conjured/appliance"
	"github.com/conjuring/conjured/custom"
	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/homes"
	"github.com/conjuring/conjured/hub"
	"github.com/conjuring/conjured/layers"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// worker makes a function the owner's worker of one kind. It names the progress after
// the kind, says when the work is over, and marks errors that lie in the teacher's
// files as permanent: trying again would not mend them.
type worker struct {
	kind appliance.Kind
	news *progress.Hub
	do   func(ctx context.Context, x appliance.Action, sink progress.Sink) (notice.List, error)
}

func (w worker) Do(ctx context.Context, x appliance.Action) (appliance.Result, error) {
	job, spoke := string(w.kind), false
	sink := progress.Func(func(e progress.Event) {
		if e.State != progress.Running {
			return // a step's end is not the job's
		}
		e.Job, spoke = job, true
		w.news.Progress(e)
	})
	l, err := w.do(ctx, x, sink)
	debug.FreeOSMemory() // a build is over for hours, and the students need the memory
	switch {
	case ctx.Err() != nil:
		w.news.Progress(progress.Event{Job: job, Step: "put off", State: progress.Stopped})
	case err != nil:
		w.news.Progress(progress.Event{Job: job, Step: notice.For(err)[0].What, State: progress.Failed})
	case spoke:
		w.news.Progress(progress.Event{Job: job, Step: finished(w.kind), State: progress.Done})
	}
	if err != nil && inFolder(err) && w.kind != appliance.Kernels { // which says so by itself
		err = appliance.Permanent(err)
	}
	return appliance.Result{Notices: l}, err
}

// finished says what there is after an action, for the waiting page.
func finished(k appliance.Kind) string {
	switch k {
	case appliance.Content:
		return "the class's files are in place"
	case appliance.Image:
		return "the system is built"
	case appliance.Environment:
		return "the packages are installed"
	case appliance.Deploy:
		return "the class is open"
	case appliance.Kernels:
		return "the other kernels are there"
	case appliance.Seal:
		return "the image is complete by itself"
	}
	return "done"
}

// inFolder tells whether an error names a file of the teacher's.
func inFolder(err error) bool {
	for _, n := range notice.For(err) {
		if n.File != "" {
			return true
		}
	}
	return false
}

// workers are all of them.
func (b *box) workers() map[appliance.Kind]appliance.Worker {
	out := map[appliance.Kind]appliance.Worker{}
	for kind, do := range map[appliance.Kind]func(context.Context, appliance.Action, progress.Sink) (notice.List, error){
		appliance.Roster: b.applyRoster, appliance.Content: b.publish, appliance.Image: b.buildImage,
		appliance.Environment: b.buildEnvironment, appliance.Deploy: b.deploy,
		appliance.Kernels: b.buildKernels, appliance.Seal: b.seal, appliance.Collect: b.collect,
	} {
		out[kind] = worker{kind, b.news, do}
	}
	return out
}

// applyRoster makes the accounts what users.csv says. Passwords are in the folder that
// was read in this process and nowhere else.
func (b *box) applyRoster(ctx context.Context, x appliance.Action, _ progress.Sink) (notice.List, error) {
	f, ok := b.shelf.fresh(x.Setup.ID)
	if !ok {
		return nil, appliance.Permanent(&notice.Error{Notice: notice.Notice{
			Code: "roster-not-read", Severity: notice.SeverityWarning, File: custom.UsersCSV,
			What:  "the newest users.csv was not applied before conjured stopped",
			Means: "the accounts are those of before",
			Do:    "apply the folder again: conjured apply DIR",
		}})
	}
	before := map[string]bool{} // whom an earlier try, or an earlier roster, has put out
	if names, err := os.ReadFile(b.place.join("users", "out")); err == nil {
		for _, name := range strings.Fields(string(names)) {
			before[name] = true
		}
	}
	c, err := b.users.Apply(ctx, f.Roster())
	if err != nil {
		return nil, err
	}
	b.logins.add(c.Generated)
	var out []string
	for _, a := range b.users.List() {
		if !a.Disabled {
			continue
		}
		if !before[a.Name] {
			b.door.CloseUser(a.Name)
			if err := b.hub.Remove(ctx, a.Name); err != nil {
				return nil, fmt.Errorf("cannot put %s out: %w", a.Name, err)
			}
		}
		out = append(out, a.Name)
	}
	if err := writeFile(b.place.join("users", "out"), []byte(strings.Join(out, "\n")), 0o600); err != nil {
		return nil, err
	}
	if err := b.showKernels(ctx); err != nil {
		b.log.Warn("the lists of kernels are as they were", "error", err)
	}
	return nil, writeFile(b.place.join("users", "applied"), []byte(x.Setup.Roster), 0o600)
}

// publish makes the shared folder and the skeleton of new homes what the folder holds.
func (b *box) publish(ctx context.Context, x appliance.Action, sink progress.Sink) (notice.List, error) {
	var l notice.List
	for _, part := range []string{custom.SharedDir, custom.HomeDefaultDir} {
		from, to := filepath.Join(b.place.setup(x.Setup.ID), part), b.place.join("content", part)
		r, err := homes.Sync(ctx, from, to, x.Setup.Content, sink)
		if err != nil {
			return nil, err
		}
		l = append(l, r.Notices...)
	}
	return l, writeFile(b.place.join("content", "published"), []byte(x.Setup.Content), 0o600)
}

// buildImage sees to base, core and system.
func (b *box) buildImage(ctx context.Context, x appliance.Action, sink progress.Sink) (notice.List, error) {
	f, err := b.folderOf(ctx, x.Setup)
	if err != nil {
		return nil, err
	}
	in := layers.Inputs{
		BaseDockerfile: f.BaseDockerfile(), GroupID: groupID(f.Override().BuildArgs),
		FallbackBase: b.owner.Snapshot().Serving.ID == "" && b.serving.Load() == nil,
	}
	for _, a := range f.AptPackages() {
		in.AptPackages = append(in.AptPackages, layers.Package{Name: a.Name, Version: a.Version, File: a.File, Line: a.Line})
	}
	in.Doubt = b.doubt.on.Load()
	r, err := b.images.Build(ctx, in, sink)
	if err != nil {
		b.beyondRepair(ctx, err)
		return nil, err
	}
	if err := b.noteSystem(ctx, r.System); err != nil {
		return nil, err
	}
	before, _ := b.records.image(x.Setup.Image) // zero when it is new
	v := imageRecord{Base: r.Base, Core: r.Core, System: r.System, Key: r.Key}
	if err := writeJSON(b.records.imageFile(x.Setup.Image), v); err != nil {
		return nil, err
	}
	if in.Doubt {
		b.doubt.clear()
	}
	if err := os.Remove(b.place.join(beyondFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	b.madeAgain(ctx, x.Setup, before, v)
	return r.Notices, nil
}

// noteSystem writes down which packages an image has that was built or found.
func (b *box) noteSystem(ctx context.Context, image string) error {
	apt, err := b.images.AptManifest(ctx, image)
	if ctx.Err() != nil {
		return ctx.Err() // given up, which says nothing about the image
	}
	if err != nil { // of a base that is no Debian as we know it: it works all the same
		b.log.Warn("it is not known which packages the system has", "error", err)
	}
	return b.systems.arrived(ctx, image, apt)
}

// buildEnvironment sees to a generation of the base environment in the setup's image.
func (b *box) buildEnvironment(ctx context.Context, x appliance.Action, sink progress.Sink) (notice.List, error) {
	ws, err := b.wantedBy(ctx, x.Setup)
	if err != nil {
		return nil, err
	}
	o, err := b.registry.Prepare(ctx, ws[0], sink)
	b.trouble.note(o)
	if err != nil {
		return nil, err
	}
	g, err := b.store.Generation(environments.Base, o.Generation)
	if err != nil {
		return nil, err
	}
	v := environmentRecord{Number: g.Number, ID: g.ID, Image: g.Image}
	return o.Notices, writeJSON(b.records.environmentFile(x.Setup.EnvironmentKey()), v)
}

// folderOf is the folder of a setup; the built-in setup is an empty folder.
func (b *box) folderOf(ctx context.Context, s appliance.Setup) (*custom.Folder, error) {
	if s.ID == b.builtin.ID {
		return &custom.Folder{}, nil
	}
	return b.shelf.get(ctx, s.ID)
}

// built is the image and the generation that were made for a setup.
func (b *box) built(s appliance.Setup) (imageRecord, environments.Generation, error) {
	img, err := b.records.image(s.Image)
	if err != nil {
		return img, environments.Generation{}, err
	}
	env, err := b.records.environment(s.EnvironmentKey())
	if err != nil {
		return img, environments.Generation{}, err
	}
	g, err := b.store.Generation(environments.Base, env.Number)
	return img, g, err
}

// seal makes the image latest complete by itself.
func (b *box) seal(ctx context.Context, x appliance.Action, sink progress.Sink) (notice.List, error) {
	img, err := b.records.image(x.Setup.Image)
	if err != nil {
		return nil, err
	}
	sink.Progress(progress.Event{Step: "waiting until nobody's server is starting"})
	if err := b.calm(ctx, b.settings.SealAfter); err != nil {
		return nil, err
	}
	for {
		id, err := b.sealOnce(ctx, img.Key, sink)
		switch {
		case errors.Is(err, layers.ErrMoved):
			if err := b.calm(ctx, time.Second); err != nil { // somebody is choosing
				return nil, err
			}
		case err != nil:
			return nil, err
		default:
			return nil, writeFile(b.place.join("sealed"), []byte(x.Setup.SealKey()+" "+id), 0o600)
		}
	}
}

// sealOnce completes latest with what is in use now, and gives the id of that.
func (b *box) sealOnce(ctx context.Context, system string, sink progress.Sink) (string, error) {
	s, err := b.store.Sealed()
	if err != nil {
		return "", err
	}
	still := func() (bool, error) {
		now, err := b.store.Sealed()
		return now.ID == s.ID, err
	}
	_, err = b.images.Seal(ctx, layers.Sealing{SystemKey: system, Dir: s.Root, Paths: s.Paths, ID: s.ID, Still: still}, sink)
	return s.ID, err
}

// sealedKey is what latest was completed for, "" when a label has moved since. What lies
// on the disk is compared, so that a move is noticed whatever happened right after it.
func (b *box) sealedKey() string {
	key, id, _ := strings.Cut(readWord(b.place.join("sealed")), " ")
	if s, err := b.store.Sealed(); err != nil || s.ID != id {
		return ""
	}
	return key
}

// calm waits until no server has been starting for as long as d, half an hour at most:
// work that nobody waits for gives way to a class that comes in.
func (b *box) calm(ctx context.Context, d time.Duration) error {
	began := time.Now()
	for since := began; time.Since(since) < d && time.Since(began) < 30*time.Minute; {
		servers, err := b.hub.Servers(ctx)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(servers, hub.Server.Starting) {
			since = time.Now()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
	return nil
}

// collect removes what no setup in x.Keep needs: setups, records, images, generations.
func (b *box) collect(ctx context.Context, x appliance.Action, _ progress.Sink) (notice.List, error) {
	if err := b.dropSetups(ctx, x.Keep); err != nil {
		return nil, err
	}
	if err := b.records.keep(x.Keep); err != nil {
		return nil, err
	}
	if _, err := b.registry.GC(ctx, false); err != nil {
		return nil, err
	}
	return nil, b.collectImages(ctx, x.Keep)
}

// dropSetups removes saved folders that are neither kept nor young.
func (b *box) dropSetups(ctx context.Context, keep []appliance.Setup) error {
	wanted := map[string]bool{}
	for _, s := range keep {
		wanted[s.ID] = true
	}
	all, err := os.ReadDir(b.place.setups())
	if err != nil {
		return err
	}
	for _, e := range all {
		info, err := e.Info()
		if err != nil || wanted[e.Name()] || time.Since(info.ModTime()) < time.Hour {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := os.RemoveAll(b.place.setup(e.Name())); err != nil {
			return err
		}
	}
	return nil
}
