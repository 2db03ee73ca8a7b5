package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/conjuring/conjured/appliance"
	"github.com/conjuring/conjured/custom"
	"github.com/conjuring/conjured/environments"
)

// kernelList is which kernels there are and who sees which: what the newest folder asks
// for, as far as it is built.
type kernelList struct {
	mu    sync.Mutex
	known bool
	all   []seenKernel
	told  string // what open Labs were told last
}

// seenKernel is a kernel and its students.
type seenKernel struct {
	environments.Kernel
	students []string // nil means everybody
}

// seenBy tells whether an account sees it. An admin sees them all.
func (k seenKernel) seenBy(user string, admin bool) bool {
	return admin || k.students == nil || slices.Contains(k.students, user)
}

// showKernels makes what Labs show what the newest folder asks for and what is built.
// Call it when either has changed, or the roster; servers that run follow at once.
func (b *box) showKernels(ctx context.Context) error {
	b.kernels.mu.Lock()
	defer b.kernels.mu.Unlock()
	if err := b.readKernels(ctx); err != nil {
		return fmt.Errorf("cannot tell which kernels there are: %w", err)
	}
	var ks []environments.Kernel
	for _, k := range b.kernels.all {
		ks = append(ks, k.Kernel)
	}
	errs := []error{b.store.SetKernels(ks)}
	var users []string
	seen := []string{fmt.Sprint(ks)}
	for _, a := range b.users.List() {
		if a.Disabled {
			continue
		}
		users = append(users, a.Name)
		dirs := b.kernels.of(a.Name, a.Admin)
		seen = append(seen, fmt.Sprint(a.Name, dirs))
		errs = append(errs, b.store.ShowKernels(a.Name, dirs))
	}
	errs = append(errs, b.store.ShowOnly(users))
	if now := digest(seen...); now != b.kernels.told {
		b.kernels.told = now
		b.feed.Kernels()
	}
	return errors.Join(errs...)
}

// showKernelsTo prepares one account's list, before its server starts. It does not keep
// the server from starting: without a list there is the kernel of the server itself.
func (b *box) showKernelsTo(ctx context.Context, user string, admin bool) {
	b.kernels.mu.Lock()
	defer b.kernels.mu.Unlock()
	var err error
	if !b.kernels.known {
		err = b.readKernels(ctx)
	}
	if err == nil {
		err = b.store.ShowKernels(user, b.kernels.of(user, admin))
	}
	if err != nil {
		b.log.Warn("a server starts without its list of kernels", "user", user, "error", err)
	}
}

// of is the directories of the kernels that an account sees.
func (l *kernelList) of(user string, admin bool) []string {
	var dirs []string
	for _, k := range l.all {
		if k.seenBy(user, admin) {
			dirs = append(dirs, k.Dir)
		}
	}
	return dirs
}

// readKernels fills the list. The caller holds its mu.
func (b *box) readKernels(ctx context.Context) error {
	specs, err := b.wantedSpecs(ctx)
	if err != nil {
		return err
	}
	if specs, err = b.withImported(specs); err != nil {
		return err
	}
	all := []seenKernel{{Kernel: environments.PythonKernel()}}
	for _, s := range specs {
		env := environments.Name(s.Name)
		if env == environments.Base {
			continue
		}
		g, err := b.store.Current(env)
		if errors.Is(err, environments.ErrNoGeneration) {
			continue // it is being made, or failed: a kernel that cannot start is not shown
		}
		if err != nil {
			return err
		}
		k := environments.KernelOf(env, cmp.Or(s.Display, g.Display), g.Kernel)
		if slices.ContainsFunc(all, func(o seenKernel) bool { return o.Dir == k.Dir }) {
			k.Dir = "env-" + string(env) // two names that Jupyter takes for one
		}
		all = append(all, seenKernel{k, s.Students})
	}
	b.kernels.all, b.kernels.known = all, true
	return nil
}

// withImported adds the environments that came from another history and are in no folder:
// they are everybody's.
func (b *box) withImported(specs []custom.Spec) ([]custom.Spec, error) {
	names, err := b.store.Environments()
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		asked := slices.ContainsFunc(specs, func(s custom.Spec) bool { return s.Name == string(n) })
		if !asked && b.store.Imported(n) {
			specs = append(specs, custom.Spec{Name: string(n), Display: b.store.Foreign(n)})
		}
	}
	return specs, nil
}

// wantedSpecs is what the newest folder asks for, or the one that serves while the
// newest cannot be read any more.
func (b *box) wantedSpecs(ctx context.Context) ([]custom.Spec, error) {
	now := b.owner.Snapshot()
	errs := []error{errors.New("no folder was read yet")}
	for _, s := range []appliance.Setup{now.Desired, now.Serving} {
		if s.ID == "" {
			continue
		}
		f, err := b.folderOf(ctx, s)
		if err == nil {
			return f.Environments(), nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}
