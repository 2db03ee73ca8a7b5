package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/registry"
	"github.com/conjuring/conjured/notice"
)

// openKernel is a kernel that somebody has open, and the generation it was started in.
type openKernel struct {
	user, server string
	number       int
}

// moved is told that an environment's new kernels start from another generation. Labs
// show what can be started now, and who has a kernel of before is told, once, what it
// takes to get what is new. Nobody else hears of it, but the teacher.
func (b *box) moved(m registry.Move) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := b.showKernels(ctx); err != nil {
		b.log.Warn("the lists of kernels are as they were", "error", err)
	}
	open, err := b.openKernels(ctx, m.Env)
	if err != nil {
		b.log.Warn("nobody is told of new packages", "env", m.Env, "error", err)
		return
	}
	b.kernels.mu.Lock()
	name := b.kernels.name(m.Env)
	b.kernels.mu.Unlock()
	news := newsOf(m, m.Heated, name, open, func(number int) environments.Changes {
		g, err := b.store.Generation(m.Env, number)
		if err != nil {
			return m.Changes // it was removed from under the kernel, which is not told about it
		}
		return environments.Diff(g.Manifest, m.To.Manifest)
	})
	for who, n := range news.students {
		b.log.Info("told a student", "user", who.user, "code", n.Code, "what", n.What)
		b.feed.Tell(who.user, who.server, n)
	}
	if news.teacher != (notice.Notice{}) {
		b.tell(news.teacher)
	}
}

// openKernels lists the kernels of an environment that run, by whose they are.
func (b *box) openKernels(ctx context.Context, env environments.Name) ([]openKernel, error) {
	running, err := b.store.Running(env)
	if err != nil || len(running) == 0 {
		return nil, err
	}
	servers, err := b.hub.Servers(ctx)
	if err != nil {
		return nil, err
	}
	users := map[int]string{}
	for _, a := range b.users.List() {
		users[a.UID] = a.Name
	}
	var out []openKernel
	for _, r := range running {
		user, known := users[r.UID]
		if r.Kernel == "" || !known {
			continue
		}
		k := openKernel{user: user, number: r.Number}
		name := serverName(r.PID)
		for _, s := range servers {
			if s.User == user && s.Name == name {
				k.server = name
			}
		}
		out = append(out, k)
	}
	return out, nil
}

// serverName is the name of the server that a process belongs to, by its own account:
// "" for a student's first one, and when it says nothing.
func serverName(pid int) string {
	f, err := os.Open(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		return ""
	}
	defer f.Close()
	env, err := io.ReadAll(io.LimitReader(f, 128<<10))
	if err != nil {
		return ""
	}
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if name, ok := bytes.CutPrefix(v, []byte("JUPYTERHUB_SERVER_NAME=")); ok {
			return string(name)
		}
	}
	return ""
}

// touched tells whom a change of an environment touches.
func (b *box) touched(ctx context.Context, env environments.Name) (registry.Touched, error) {
	var t registry.Touched
	specs, err := b.wantedSpecs(ctx)
	if err != nil {
		b.log.Debug("courses are not known", "error", err)
	}
	for _, s := range specs {
		if s.Name == string(env) && s.Course != "" {
			t.Courses = append(t.Courses, s.Course)
		}
	}
	open, err := b.openKernels(ctx, env)
	if err != nil {
		return t, err
	}
	t.Kernels = len(open)
	seats := map[atServer]bool{}
	for _, k := range open {
		seats[atServer{k.user, k.server}] = true
	}
	t.Servers = len(seats)
	if env == environments.Base { // they all run in it
		servers, err := b.hub.Servers(ctx)
		if err != nil {
			return t, err
		}
		t.Servers = len(servers)
	}
	return t, nil
}

// name is what people call an environment's kernel, "" for that of the class.
func (l *kernelList) name(env environments.Name) string {
	i := slices.IndexFunc(l.all, func(k seenKernel) bool { return k.Env == env })
	switch {
	case env == environments.Base:
		return ""
	case i < 0:
		return string(env)
	}
	return l.all[i].Display
}
