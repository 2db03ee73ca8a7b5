package systemd_test

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/conjuring/conjured/systemd"
)

// The messages are those of sd_notify(3), one datagram each.
func TestNotify(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	for want, call := range map[string]func() error{
		"READY=1": systemd.Ready, "STOPPING=1": systemd.Stopping,
		"STATUS=the class is open": func() error { return systemd.Status("the class is open") },
	} {
		if err := call(); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		n, err := l.Read(b)
		if err != nil || string(b[:n]) != want {
			t.Errorf("got %q (%v), want %q", b[:n], err, want)
		}
	}
}

func TestNoSupervisor(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := systemd.Ready(); err != nil {
		t.Error(err)
	}
}
