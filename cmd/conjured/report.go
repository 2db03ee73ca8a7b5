package main

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/conjuring/conjured/api"
)

// Status is the class at one moment.
func (b *box) Status(ctx context.Context) (api.Status, error) {
	s := b.owner.Snapshot()
	out := api.Status{
		Class: b.front.About().Name, Phase: phaseOf(s), Addresses: b.addresses(),
		Serving: s.Serving.ID, Desired: s.Desired.ID, Since: b.front.About().Since,
		Hub: api.Hub{State: "absent"}, Servers: []api.Server{}, Jobs: b.jobs(),
		Notices: noticesOf(s, b.board), Version: version,
		Uptime: time.Since(b.began).Seconds(), MemoryBytes: residentMemory(),
	}
	if o, err := b.hub.Observe(ctx); err == nil && o.Running {
		out.Hub.State = "running"
	}
	servers, err := b.hub.Servers(ctx)
	if err != nil {
		return api.Status{}, err
	}
	if out.Servers, err = b.serversWithUsage(ctx, servers); err != nil {
		return api.Status{}, err
	}
	for _, a := range b.users.List() {
		if a.Disabled {
			continue
		}
		out.Users.Total++
		if a.Admin {
			out.Users.Admins++
		}
	}
	out.Environments, err = b.Environments(ctx)
	return out, err
}

// jobs are the newest events of what the owner is doing.
func (b *box) jobs() []api.Job {
	out := []api.Job{}
	for _, x := range b.owner.Snapshot().Running {
		j := api.Job{Name: string(x.Kind), Step: "working"}
		if r := b.news.Recent(string(x.Kind)); len(r) > 0 {
			e := r[len(r)-1]
			j = api.Job{Name: e.Job, Step: e.Step, Done: e.Done, Total: e.Total, Unit: e.Unit, Eta: e.Eta}
		}
		out = append(out, j)
	}
	return out
}

// residentMemory is VmRSS of this process in bytes, 0 when it cannot be read
// (proc(5), /proc/self/status).
func residentMemory() int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}
