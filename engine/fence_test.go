package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/conjuring/conjured/internal/needs"
)

// The order of the rules is the policy.
func TestFence_rules(t *testing.T) {
	f := Fence{
		Internet: true, Reach: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/24"), netip.MustParsePrefix("fd00::/8")},
		Resolvers: []netip.Addr{netip.MustParseAddr("192.168.1.1"), netip.MustParseAddr("::1")},
	}
	got := strings.Join(f.rules(), "\n")
	if !strings.HasPrefix(got, "-d 192.168.1.1 -p udp --dport 53 -j RETURN\n-d 192.168.1.1 -p tcp --dport 53 -j RETURN\n"+
		"-d 10.1.2.0/24 -m addrtype ! --dst-type LOCAL -j RETURN\n-m addrtype ! --dst-type UNICAST -j DROP\n") ||
		!strings.Contains(got, "\n-d 169.254.0.0/16 -j DROP\n") || !strings.HasSuffix(got, "\n-j RETURN") || strings.Contains(got, "fd00") {
		t.Error(got)
	}
	f.Internet = false
	if l := f.rules(); l[len(l)-1] != "-j DROP" {
		t.Errorf("%q", l)
	}
}

// A fence goes up once however often it is asked for, is put right after somebody
// flushed it, and leaves nothing behind. What it keeps in is shown in package hub.
func TestFence(t *testing.T) {
	needs.All(t, needs.Docker(), needs.Root())
	var id [4]byte
	rand.Read(id[:])
	ctx := context.Background()
	e, err := Connect(ctx, Config{Instance: hex.EncodeToString(id[:])})
	if err != nil {
		t.Fatal(err)
	}
	name := "conjured-test-confine-" + e.instance
	if err := e.EnsureNetwork(ctx, Network{Name: name, Isolated: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.RemoveFence(ctx); e.RemoveNetwork(ctx, name); e.Close() })
	ours := func() (jumps, rules int) {
		t.Helper()
		out, err := netfilter(ctx, "iptables", "", "-w", "5", "-t", "raw", "-S")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(out, " -j "+e.chain()+"\n"), strings.Count(out, "-A "+e.chain()+" ")
	}
	f := Fence{Network: name, Internet: true}
	want := len(f.rules())
	for _, breakIt := range [][]string{nil, {"-F", e.chain()}, {"-A", "PREROUTING", "-i", "br-gone", "-j", e.chain()}} {
		if breakIt != nil {
			if _, err := netfilter(ctx, "iptables", "", append([]string{"-w", "5", "-t", "raw"}, breakIt...)...); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := e.EnsureFence(ctx, f); err != nil {
				t.Fatal(err)
			}
		}
		if jumps, rules := ours(); jumps != 1 || rules != want {
			t.Errorf("after %q: %d jumps, %d rules, want %d", breakIt, jumps, rules, want)
		}
	}
	if err := e.EnsureFence(ctx, Fence{Network: "bridge"}); err == nil {
		t.Error("fenced a network that is not ours")
	}
	for range 2 {
		if err := e.RemoveFence(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if jumps, rules := ours(); jumps != 0 || rules != 0 {
		t.Errorf("left behind: %d jumps, %d rules", jumps, rules)
	}
}
