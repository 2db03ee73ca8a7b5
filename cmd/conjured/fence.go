package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/notice"
)

// What students' programs may reach, in conjured.yaml.
const (
	netInternet = "internet" // public addresses; the default
	netNone     = "none"     // nothing but what students_reach names
)

const (
	fencePeriod = 30 * time.Second // between looks at rules that somebody may have flushed
	fenceFresh  = 5 * time.Second  // thirty starts at once need one look
)

// fence keeps the students' network shut off from this machine and its neighbours.
type fence struct {
	engine *engine.Engine
	want   engine.Fence

	mu   sync.Mutex
	last time.Time // when it was last seen whole
}

// newFence reads the settings' part about the network.
func newFence(e *engine.Engine, s settings, network string) (*fence, error) {
	f := &fence{engine: e, want: engine.Fence{Network: network, Internet: s.StudentsNetwork != netNone}}
	if n := s.StudentsNetwork; n != "" && n != netInternet && n != netNone {
		return nil, badNetwork(fmt.Sprintf("students_network is %q", n), "write internet or none")
	}
	for _, r := range s.StudentsReach {
		p, err := netip.ParsePrefix(r)
		if err != nil {
			a, err := netip.ParseAddr(r)
			if err != nil {
				return nil, badNetwork(fmt.Sprintf("students_reach has %q", r), "write addresses like 10.0.0.5 or 10.0.0.0/24")
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		f.want.Reach = append(f.want.Reach, p)
	}
	return f, nil
}

func badNetwork(what, do string) error {
	return &notice.Error{Notice: notice.Notice{
		Code: "settings-bad", Severity: notice.SeverityError, File: settingsFile,
		What: what, Means: "conjured did not start, so that nothing is open that should be shut", Do: do,
	}}
}

// ensure puts the fence up unless it was seen whole a moment ago.
func (f *fence) ensure(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.last) < fenceFresh {
		return nil
	}
	w := f.want
	w.Resolvers = resolvers("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")
	if err := f.engine.EnsureFence(ctx, w); err != nil {
		return err
	}
	f.last = time.Now()
	return nil
}

// watchFence looks after the fence while servers run.
func (b *box) watchFence(ctx context.Context) {
	tick := time.NewTicker(fencePeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if servers, err := b.hub.Servers(ctx); err != nil || len(servers) == 0 {
			continue
		}
		if err := b.fence.ensure(ctx); err != nil && ctx.Err() == nil {
			b.log.Error("the students' network is not shut off", "error", err)
			b.tell(notice.Notice{
				Code: "network-open", Severity: notice.SeverityWarning,
				What:  "the students' network could not be shut off from this machine and its neighbours",
				Means: "programs of students may reach other computers of the school, or services of this one",
				Do:    "run conjured doctor; end the class if you do not trust the network",
			})
		}
	}
}

// resolvers are the name servers that the engine may pass students' questions on to.
func resolvers(files ...string) []netip.Addr {
	var l []netip.Addr
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			continue
		}
		lines := bufio.NewScanner(file)
		for lines.Scan() && len(l) < 8 {
			f := strings.Fields(lines.Text())
			if len(f) < 2 || f[0] != "nameserver" {
				continue
			}
			if a, err := netip.ParseAddr(f[1]); err == nil && !a.IsLoopback() {
				l = append(l, a)
			}
		}
		file.Close()
	}
	return l
}

// removeNetwork takes down the students' network and its fence. Containers of the
// class are gone by now.
func removeNetwork(ctx context.Context, e *engine.Engine, p place) error {
	fence := e.RemoveFence(ctx)
	err := e.RemoveNetwork(ctx, networkName(p))
	if errors.Is(err, engine.ErrInUse) {
		err = nil // somebody put a container of their own there
	}
	return errors.Join(fence, err)
}

func networkName(p place) string { return "conjured-" + p.Instance }
