package systemd_test

import (
	"testing"

	"github.com/conjuring/conjured/systemd"
)

// Sockets that are meant for another process, or that nobody gave, are not taken. That
// those given are is shown with the real program, in cmd/conjured.
func TestListeners_none(t *testing.T) {
	for pid, fds := range map[string]string{"": "", "1": "3", "x": "1"} {
		t.Setenv("LISTEN_PID", pid)
		t.Setenv("LISTEN_FDS", fds)
		if got, err := systemd.Listeners(); err != nil || len(got) != 0 {
			t.Errorf("for process %q: %v %v", pid, got, err)
		}
	}
}
