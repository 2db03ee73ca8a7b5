package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/appliance"
	"github.com/conjuring/conjured/custom"
	"github.com/conjuring/conjured/notice"
)

// Apply makes dir the wish: it is read once, saved whole, and then wished for. A
// folder with errors changes nothing.
func (b *box) Apply(ctx context.Context, dir string) (api.Applied, error) {
	select {
	case b.applying <- struct{}{}:
		defer func() { <-b.applying }()
	case <-ctx.Done():
		return api.Applied{}, ctx.Err()
	}
	f, l := custom.Read(ctx, dir, custom.Options{Policy: b.settings.customPolicy(), OverrideBeside: true})
	b.board.setFolder(l)
	if err := l.Err(); err != nil {
		return api.Applied{}, err
	}
	s := b.setupOf(f)
	if err := b.save(ctx, s, f); err != nil {
		return api.Applied{}, err
	}
	before := b.owner.Snapshot()
	if before.Serving.ID == "" {
		b.front.setName(f.Name())
	}
	b.shelf.put(s.ID, f)
	if abs, err := filepath.Abs(dir); err == nil { // for the courses' .venv; nothing depends on it
		_ = writeFile(b.place.join("folder"), []byte(abs), 0o600)
	}
	if err := b.owner.Wish(ctx, s); err != nil {
		return api.Applied{}, err
	}
	return api.Applied{ID: s.ID, Changes: changes(before.Desired, s), Notices: l}, nil
}

// save keeps the folder as setups/<id>, or renews the age of the copy that is there.
func (b *box) save(ctx context.Context, s appliance.Setup, f *custom.Folder) error {
	dir := b.place.setup(s.ID)
	now := time.Now()
	err := os.Chtimes(dir, now, now)
	if errors.Is(err, fs.ErrNotExist) {
		return f.Save(ctx, dir)
	}
	return err
}

// Build wishes for the present setup again; fresh forgets that it was built.
func (b *box) Build(ctx context.Context, o api.Build) (api.Applied, error) {
	s := b.owner.Snapshot().Desired
	if s.ID == "" {
		return api.Applied{}, &notice.Error{Notice: notice.Notice{
			Code: "nothing-to-build", Severity: notice.SeverityError,
			What: "no folder was given yet", Means: "there is nothing to build", Do: "conjured apply DIR",
		}}
	}
	if o.Fresh {
		if err := b.records.forget(s); err != nil {
			return api.Applied{}, err
		}
		if err := b.owner.Recheck(ctx); err != nil {
			return api.Applied{}, err
		}
	}
	if err := b.owner.Wish(ctx, s); err != nil {
		return api.Applied{}, err
	}
	return api.Applied{ID: s.ID, Changes: []string{}}, nil
}

// Result waits for what becomes of a setup.
func (b *box) Result(ctx context.Context, id string) (api.Result, error) {
	o, err := b.owner.Wait(ctx, id)
	if err != nil {
		return api.Result{}, err
	}
	r := api.Result{
		ID: id, Serving: o.Verdict == appliance.Served || o.Verdict == appliance.Partly, Partly: o.Verdict == appliance.Partly, Notices: o.Notices,
	}
	for _, l := range b.logins.take() {
		r.Logins = append(r.Logins, api.Login(l))
	}
	return r, nil
}

// setupOf is the setup that a folder asks this version of the program for: a newer one
// with other locks builds anew.
func (b *box) setupOf(f *custom.Folder) appliance.Setup {
	fp := f.Fingerprints()
	s := appliance.Setup{
		Roster: fp.Roster, Content: fp.Content, Code: fp.Code,
		Image: digest(fp.Image, b.recipe), Environment: digest(fp.Environment, b.recipe),
		Kernels: digest(fp.Kernels, b.recipe),
	}
	s.ID = digest(s.Roster, s.Content, s.Image, s.Environment, s.Code, s.Kernels)
	return s
}

// digest is the hex sha256 of several strings, none of which can be taken for two.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// changes says in words what differs between two setups.
func changes(from, to appliance.Setup) []string {
	out := []string{}
	for _, c := range []struct {
		differs bool
		words   string
	}{
		{from.Roster != to.Roster, "accounts (users.csv)"},
		{from.Content != to.Content, "files (home_default, shared)"},
		{from.Image != to.Image, "system (apt.txt, base.Dockerfile)"},
		{from.Environment != to.Environment, "packages of the class (requirements.txt, environment.yml)"},
		{from.Kernels != to.Kernels, "other kernels (environment-*.yml, courses)"},
		{from.Code != to.Code, "settings (srv, override, name of the class)"},
	} {
		if c.differs {
			out = append(out, c.words)
		}
	}
	return out
}
