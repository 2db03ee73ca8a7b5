package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/conjuring/conjured/appliance"
	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/registry"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// buildKernels sees to every environment but the class's own, and goes on past one that
// fails: its kernel keeps the packages it has, or is not shown while it has none.
func (b *box) buildKernels(ctx context.Context, x appliance.Action, sink progress.Sink) (notice.List, error) {
	if err := os.Remove(b.place.join("kernels")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := b.showKernels(ctx); err != nil { // who sees a course does not wait for packages
		return nil, err
	}
	ws, err := b.wantedBy(ctx, x.Setup)
	if err != nil {
		return nil, err
	}
	ws = slices.DeleteFunc(ws, func(w registry.Wanted) bool { return w.Env == environments.Base })
	var l, failed notice.List
	keep, passing := []environments.Name{}, false
	for i, w := range ws {
		keep = append(keep, w.Env)
		sink.Progress(progress.Event{Step: "packages of " + w.Display, Done: int64(i), Total: int64(len(ws)), Unit: "kernels"})
		told, err := b.seeTo(ctx, w, sink)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			failed = append(failed, b.about(w, notice.For(err))...)
			passing = passing || !inFolder(err) || unreachable(err)
			continue
		}
		l = append(l, told...)
	}
	if err := errors.Join(b.registry.Retire(ctx, keep), b.showKernels(ctx)); err != nil {
		return nil, err
	}
	b.linkVenvs(ctx)
	switch {
	case failed == nil:
		return l, writeFile(b.place.join("kernels"), []byte(x.Setup.KernelsKey()), 0o600)
	case passing: // worth another try
		return nil, append(failed, l...)
	}
	return nil, appliance.Permanent(append(failed, l...))
}

// seeTo makes one environment what the folder asks for.
func (b *box) seeTo(ctx context.Context, w registry.Wanted, sink progress.Sink) (notice.List, error) {
	made, err := b.registry.Prepare(ctx, w, sink)
	b.trouble.note(made)
	if err != nil {
		return nil, fmt.Errorf("cannot make %s: %w", w.Env, err)
	}
	settled, err := b.registry.Settle(ctx, w.Env)
	b.trouble.note(settled)
	return append(made.Notices, settled.Notices...), err
}

// about says in each notice which kernel it is about, unless it names the file, and what
// it means for one that there never was.
func (b *box) about(w registry.Wanted, l notice.List) notice.List {
	_, err := b.store.Current(w.Env)
	out := slices.Clone(l)
	for i := range out {
		if out[i].File == "" {
			out[i].What = "the kernel " + w.Display + ": " + out[i].What
		}
		if out[i].Severity == notice.SeverityError && errors.Is(err, environments.ErrNoGeneration) {
			out[i].Means = "there is no kernel " + w.Display + " yet; everything else works as before"
		}
	}
	return out
}

// unreachable tells whether the network is among the reasons: it may come back.
func unreachable(err error) bool {
	return slices.ContainsFunc(notice.For(err), func(n notice.Notice) bool {
		return slices.Contains([]string{"environment-network", "environment-channel", "environment-index", "environment-files-missing"}, n.Code)
	})
}
