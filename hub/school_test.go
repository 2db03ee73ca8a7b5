package hub

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// listenEverywhere listens on all addresses of this machine, by TCP and UDP. A
// datagram with the knock in it fails the test: it came from where none may come.
func listenEverywhere(t *testing.T, knock string) (port int) {
	t.Helper()
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go greet(l)
	port = l.Addr().(*net.TCPAddr).Port
	u, err := net.ListenPacket("udp4", fmt.Sprintf("0.0.0.0:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	noKnock(t, u, knock)
	return port
}

func greet(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprintln(c, "reached")
		c.Close()
	}
}

// noKnock fails the test when a datagram of the attack arrives, and closes u at the
// test's end.
func noKnock(t *testing.T, u net.PacketConn, knock string) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 2048)
		for {
			n, from, err := u.ReadFrom(b)
			if err != nil {
				return
			}
			if strings.Contains(string(b[:n]), knock) {
				t.Errorf("a datagram came through from %s to %s", from, u.LocalAddr())
			}
		}
	}()
	t.Cleanup(func() { u.Close(); <-done })
}

// schoolNetwork makes a computer on a network next to this machine: a network
// namespace with an address and a service.
func schoolNetwork(t *testing.T, instance, knock string) (ip string, port int) {
	t.Helper()
	ns, near, far := "cjt-"+instance, "cjn"+instance, "cjf"+instance
	ours, ip := "10.231.77.1", "10.231.77.2"
	t.Cleanup(func() {
		exec.Command("ip", "link", "del", near).Run()
		exec.Command("ip", "netns", "del", ns).Run()
	})
	for _, line := range []string{
		"netns add " + ns, "link add " + near + " type veth peer name " + far + " netns " + ns,
		"addr add " + ours + "/30 dev " + near, "link set " + near + " up",
		"-n " + ns + " addr add " + ip + "/30 dev " + far, "-n " + ns + " link set " + far + " up", "-n " + ns + " route add default via " + ours,
	} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v %s", line, err, out)
		}
	}
	l, u, err := listenIn("/run/netns/" + ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go greet(l)
	noKnock(t, u, knock)
	return ip, l.Addr().(*net.TCPAddr).Port
}

// listenIn opens sockets in a network namespace: they stay in it. Its thread is not
// given back.
func listenIn(ns string) (l net.Listener, u net.PacketConn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		f, e := os.Open(ns)
		if e != nil {
			err = e
			return
		}
		defer f.Close()
		if err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
			return
		}
		if l, err = net.Listen("tcp4", "0.0.0.0:0"); err != nil {
			return
		}
		u, err = net.ListenPacket("udp4", fmt.Sprintf("0.0.0.0:%d", l.Addr().(*net.TCPAddr).Port))
	}()
	<-done
	return l, u, err
}
