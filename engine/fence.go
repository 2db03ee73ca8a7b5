package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Fence is what the containers of one bridge network may send to. Never this machine,
// whatever its address, nor other containers, link-local addresses or multicast.
type Fence struct {
	Network   string         // one of ours; it must exist
	Internet  bool           // public addresses; without it nothing gets out but to Reach
	Reach     []netip.Prefix // neighbours that are allowed all the same: a proxy, a license server
	Resolvers []netip.Addr   // name servers, for port 53 only
}

// notPublic are the IPv4 destinations that are no internet: IANA's special-purpose
// registry, with multicast and the reserved rest.
const notPublic = "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 " +
	"192.0.2.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/3"

// chain is the instance's own chain. It hangs in the table "raw", before routing, so
// that one list covers what goes to this machine and what goes through it, and the
// engine, which rewrites its own chains in other tables, never undoes it.
func (e *Engine) chain() string { return "CONJURED-" + e.instance }

// EnsureFence puts the fence up, or puts right what is left of it. It may be called
// at any time: the rules are exchanged as one. It needs the program iptables.
func (e *Engine) EnsureFence(ctx context.Context, f Fence) error {
	link, err := e.bridge(ctx, f.Network)
	if err != nil {
		return err
	}
	if err := e.fence(ctx, "iptables", link, f.rules()); err != nil {
		return err
	}
	if _, err := os.Stat("/proc/net/if_inet6"); err == nil {
		// The networks are IPv4 only; this is for a student who makes an address up.
		if err := e.fence(ctx, "ip6tables", link, []string{"-j DROP"}); err != nil {
			return err
		}
	}
	return isolate(link)
}

// rules are the chain's, in order; the first that fits counts.
func (f Fence) rules() []string {
	var l []string
	for _, r := range f.Resolvers {
		if r = r.Unmap(); r.Is4() {
			l = append(l, fmt.Sprintf("-d %s -p udp --dport 53 -j RETURN", r), fmt.Sprintf("-d %s -p tcp --dport 53 -j RETURN", r))
		}
	}
	for _, p := range f.Reach {
		if p.Addr().Is4() {
			l = append(l, fmt.Sprintf("-d %s -m addrtype ! --dst-type LOCAL -j RETURN", p.Masked()))
		}
	}
	if !f.Internet {
		return append(l, "-j DROP")
	}
	l = append(l, "-m addrtype ! --dst-type UNICAST -j DROP") // LOCAL, BROADCAST, MULTICAST ...
	for p := range strings.FieldsSeq(notPublic) {
		l = append(l, fmt.Sprintf("-d %s -j DROP", p))
	}
	return append(l, "-j RETURN")
}

// fence fills the chain in one exchange and sends what comes from link through it.
func (e *Engine) fence(ctx context.Context, program, link string, rules []string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "*raw\n:%s - [0:0]\n", e.chain())
	for _, r := range rules {
		fmt.Fprintf(&b, "-A %s %s\n", e.chain(), r)
	}
	b.WriteString("COMMIT\n")
	if _, err := netfilter(ctx, program+"-restore", b.String(), "-w", "5", "--noflush"); err != nil {
		return err
	}
	jumps, err := e.jumps(ctx, program)
	if err != nil {
		return err
	}
	want, there := fmt.Sprintf("PREROUTING -i %s -j %s", link, e.chain()), false
	for _, j := range jumps {
		if j == want {
			there = true
			continue
		}
		// Of a network that was made anew under another name.
		if _, err := netfilter(ctx, program, "", append([]string{"-w", "5", "-t", "raw", "-D"}, strings.Fields(j)...)...); err != nil {
			return err
		}
	}
	if there {
		return nil
	}
	_, err = netfilter(ctx, program, "", "-w", "5", "-t", "raw", "-I", "PREROUTING", "1", "-i", link, "-j", e.chain())
	return err
}

// jumps are the rules of PREROUTING that lead to our chain.
func (e *Engine) jumps(ctx context.Context, program string) ([]string, error) {
	out, err := netfilter(ctx, program, "", "-w", "5", "-t", "raw", "-S", "PREROUTING")
	if err != nil {
		return nil, err
	}
	var l []string
	for line := range strings.Lines(out) {
		rule, ok := strings.CutPrefix(strings.TrimSpace(line), "-A ")
		if ok && strings.HasSuffix(rule, " -j "+e.chain()) {
			l = append(l, rule)
		}
	}
	return l, nil
}

// RemoveFence takes down what EnsureFence of this instance put up. None is no error.
func (e *Engine) RemoveFence(ctx context.Context) error {
	var errs []error
	for _, program := range []string{"iptables", "ip6tables"} {
		if _, err := netfilter(ctx, program, "", "-w", "5", "-t", "raw", "-S", e.chain()); err != nil {
			continue // no chain, or no such program: nothing of ours is there
		}
		jumps, err := e.jumps(ctx, program)
		errs = append(errs, err)
		for _, j := range jumps {
			_, err := netfilter(ctx, program, "", append([]string{"-w", "5", "-t", "raw", "-D"}, strings.Fields(j)...)...)
			errs = append(errs, err)
		}
		for _, op := range []string{"-F", "-X"} {
			_, err := netfilter(ctx, program, "", "-w", "5", "-t", "raw", op, e.chain())
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// netfilter runs one of iptables' programs.
func netfilter(ctx context.Context, program, input string, args ...string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		// Debian keeps it where only root's PATH looks.
		if path, err = exec.LookPath("/usr/sbin/" + program); err != nil {
			return "", fmt.Errorf("cannot shut off the network: %w", err)
		}
	}
	cmd := exec.CommandContext(ctx, path, args...)
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("cannot shut off the network: %s: %w: %s", program, err, strings.TrimSpace(said.String()))
	}
	return out.String(), nil
}

// isolate cuts a bridge's ports off from one another in the bridge itself
// (bridge(8), isolated). The engine does it with rules that need a kernel module.
func isolate(link string) error {
	ports, err := filepath.Glob(filepath.Join("/sys/class/net", link, "brif", "*", "isolated"))
	if err != nil {
		return fmt.Errorf("cannot find the ports of %s: %w", link, err)
	}
	for _, p := range ports {
		if err := os.WriteFile(p, []byte("1"), 0o644); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("cannot isolate a port of %s: %w", link, err)
		}
	}
	return nil
}

// bridge is the interface of a network of ours on this machine.
func (e *Engine) bridge(ctx context.Context, name string) (string, error) {
	found, err := e.networks(ctx, name)
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", fmt.Errorf("cannot find network %s: %w", name, ErrNotFound)
	}
	n := found[0]
	if n.Labels[LabelInstance] != e.instance {
		return "", fmt.Errorf("cannot fence network %s: it is not ours: %w", name, ErrInUse)
	}
	if link := n.Options["com.docker.network.bridge.name"]; link != "" {
		return link, nil
	}
	return "br-" + n.ID[:12], nil
}
