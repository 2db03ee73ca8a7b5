package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/appliance"
	"github.com/conjuring/conjured/custom"
	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/gateway"
	"github.com/conjuring/conjured/hub"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
	"github.com/conjuring/conjured/users"
)

// This file fits parts that do not know each other to the interfaces they ask for.

// accounts is users.Store as the hub asks it.
type accounts struct{ *users.Store }

// classGroup is the group of all students' files (A6).
const classGroup = 1000

func (a accounts) Authenticate(ctx context.Context, user, password, address string) (hub.Account, error) {
	acc, err := a.Login(ctx, users.Try{Name: user, Password: password, Address: address})
	switch {
	case errors.Is(err, users.ErrBadLogin):
		return hub.Account{}, refused("login-wrong", "the name or the password is not right",
			"check both, also capital letters; the teacher can give you a new password")
	case errors.Is(err, users.ErrDisabled):
		return hub.Account{}, refused("login-removed", "this account is not in the class any more", "ask the teacher")
	case err != nil:
		return hub.Account{}, err
	}
	return a.account(acc), nil
}

func (a accounts) account(acc users.Account) hub.Account {
	return hub.Account{Name: acc.Name, UID: acc.UID, GID: classGroup, Admin: acc.Admin, Mark: a.Mark(acc.Name)}
}

func refused(code, what, do string) error {
	return &notice.Error{Notice: notice.Notice{
		Code: code, Severity: notice.SeverityInfo, What: what, Means: "you are not logged in", Do: do,
	}}
}

func (a accounts) Lookup(user string) (hub.Account, bool) {
	acc, err := a.Store.Lookup(user)
	if err != nil || acc.Disabled {
		return hub.Account{}, false
	}
	return a.account(acc), true
}

// homeMaker is homes as the hub asks it.
type homeMaker struct{ b *box }

func (h homeMaker) Prepare(ctx context.Context, a hub.Account) (string, error) {
	skeleton := h.b.place.join("content", custom.HomeDefaultDir)
	r, err := h.b.homes.Prepare(ctx, a.Name, a.UID, a.GID, skeleton, progress.Discard)
	for _, n := range r.Notices {
		h.b.tell(n)
	}
	h.b.showKernelsTo(ctx, a.Name, a.Admin)
	return h.b.homes.Path(a.Name), err
}

// containerRunner runs what environments asks for in a container that has nothing but
// what the command names.
type containerRunner struct {
	engine *engine.Engine
	failed func(error) error // is told why a container did not start, and words it; nil for no one
}

func (r containerRunner) Run(ctx context.Context, c environments.Command) (int, error) {
	code, err := r.engine.Session(ctx, buildSpec(c), engine.Streams{In: c.Input, Out: c.Output, Err: c.Output})
	if r.failed != nil {
		err = r.failed(err)
	}
	return code, err
}

// buildSpec is the container of a command. What runs there unpacks, and may be, what
// strangers made: it gets no right that it does not need. A package that asks for all the
// memory must not take it from the students, and goes before any of their servers does.
func buildSpec(c environments.Command) engine.Spec {
	s := engine.Spec{
		Image: c.Image, Entrypoint: c.Args[:1], Cmd: c.Args[1:], Env: c.Env, User: c.User,
		Labels: map[string]string{engine.LabelRole: "build"}, ReadOnly: true, Init: true,
		CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges"}, Pids: 1024,
		Tmpfs:       map[string]string{"/tmp": "mode=1777,size=1g,exec,nosuid,nodev"},
		OOMScoreAdj: 500, Ulimits: []engine.Ulimit{{Name: "core"}},
	}
	var m unix.Sysinfo_t
	if unix.Sysinfo(&m) == nil {
		s.Memory = int64(m.Totalram) * int64(m.Unit) / 4 * 3
		s.MemorySwap = s.Memory
	}
	if !c.Network {
		s.Network = "none"
	}
	for _, m := range c.Mounts {
		s.Mounts = append(s.Mounts, engine.Mount{Source: m.Host, Target: m.Container, ReadOnly: m.ReadOnly, NoCreate: true})
	}
	return s
}

// serverSpec is what the override adds to each student's container. The mounts of the
// class's own compose file are not among them: homes and shared are the daemon's to
// mount, one home a student.
func (b *box) serverSpec(s custom.Service) engine.Spec {
	out := b.spec(s)
	own := []string{"/shared", "/opt/home_default", "/home"}
	out.Mounts = slices.DeleteFunc(out.Mounts, func(m engine.Mount) bool { return slices.Contains(own, path.Clean(m.Target)) })
	// Where the class's container was published, the front door listens.
	out.Name, out.Image, out.Hostname, out.Restart, out.Ports = "", "", "", "", nil
	return out
}

func (b *box) serviceSpecs(services []custom.Service) []engine.Spec {
	var out []engine.Spec
	for _, s := range services {
		out = append(out, b.spec(s))
	}
	return out
}

// spec translates a compose service.
func (b *box) spec(s custom.Service) engine.Spec {
	out := engine.Spec{
		Name: s.Name, Image: s.Image, User: s.User, WorkDir: s.WorkDir, Hostname: s.Hostname,
		Runtime: s.Runtime, Restart: s.Restart, StopSignal: s.StopSignal,
		Entrypoint: s.Entrypoint, Cmd: s.Cmd, Env: s.Env, CapAdd: s.CapAdd, CapDrop: s.CapDrop,
		SecurityOpt: s.SecurityOpt, GroupAdd: s.GroupAdd, ExtraHosts: s.ExtraHosts, DNS: s.DNS, DNSSearch: s.DNSSearch,
		Labels: s.Labels, Sysctls: s.Sysctls, Tmpfs: s.Tmpfs,
		ReadOnly: s.ReadOnly, Init: s.Init != nil && *s.Init, Tty: s.Tty, Privileged: s.Privileged,
		Memory: s.Memory, MemorySwap: s.MemorySwap, ShmSize: s.ShmSize, Pids: s.Pids, CPUs: s.CPUs,
		OOMScoreAdj: s.OOMScoreAdj, StopTimeout: s.StopGrace,
	}
	if s.NetworkHost {
		out.Network = "host"
	}
	if s.HostIPC {
		out.IPCMode = "host"
	}
	for _, m := range s.Mounts {
		out.Mounts = append(out.Mounts, b.mount(m))
	}
	for _, u := range s.Ulimits {
		out.Ulimits = append(out.Ulimits, engine.Ulimit(u))
	}
	for _, d := range s.Devices {
		out.Devices = append(out.Devices, engine.Device(d))
	}
	for _, d := range s.DeviceRequests {
		out.DeviceRequests = append(out.DeviceRequests, engine.DeviceRequest(d))
	}
	for _, p := range s.Ports {
		out.Ports = append(out.Ports, engine.Port{HostIP: p.HostIP, HostPort: p.HostPort, ContainerPort: p.ContainerPort, Protocol: p.Protocol})
	}
	return out
}

func (b *box) mount(m custom.Mount) engine.Mount {
	out := engine.Mount{Target: m.Target, ReadOnly: m.ReadOnly, NoCreate: m.NoCreate}
	switch {
	case m.Host != "":
		out.Source = m.Host
	case m.Content != "":
		out.Source, out.NoCreate = b.place.join("content", m.Content), true
	default:
		out.Source, out.Volume = m.Volume, true
	}
	return out
}

// collectImages removes images that no kept setup names.
func (b *box) collectImages(ctx context.Context, keep []appliance.Setup) error {
	var ids []string
	for _, s := range keep {
		if r, err := b.records.image(s.Image); err == nil {
			ids = append(ids, r.Base, r.Core, r.System)
		}
	}
	if _, err := b.images.GC(ctx, append(ids, b.systems.inUse()...)); err != nil {
		return err
	}
	return b.systems.forget(ctx)
}

// Users lists the accounts.
func (b *box) Users(ctx context.Context) ([]api.User, error) {
	running := map[string]bool{}
	servers, err := b.hub.Servers(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range servers {
		running[s.User] = true
	}
	out := []api.User{}
	for _, a := range b.users.List() {
		out = append(out, api.User{
			Name: a.Name, Admin: a.Admin, UID: a.UID, Row: a.Row, Removed: a.Disabled,
			OwnChoice: a.Password == users.FromStudent, HasServer: running[a.Name],
		})
	}
	return out, nil
}

// SetPassword gives an account a new password; an empty one is made up. Its logins end.
func (b *box) SetPassword(ctx context.Context, name, password string) (string, error) {
	var err error
	if password == "" {
		password, err = ownPasswords{b}.Reset(ctx, name)
	} else if err = b.users.SetPassword(ctx, name, password, users.FromTeacher); err == nil {
		ownPasswords{b}.endLogins(ctx, name, "")
	}
	if errors.Is(err, users.ErrNoAccount) {
		return "", fmt.Errorf("%w: %w", gateway.ErrUnknown, err)
	}
	return password, err
}
