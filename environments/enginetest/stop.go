package enginetest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/conjuring/conjured/internal/roughnet"
)

// stops gives up while somebody waits for an answer about part. Two seconds are promised;
// what takes more than ten is not a slow machine.
func stops(t *testing.T, n *roughnet.Network, part string, e Engine, ask Ask) {
	t.Helper()
	n.Stall(part)
	defer n.Stall("")
	asked := func() bool {
		return slices.ContainsFunc(n.Asked(), func(a string) bool { return strings.Contains(a, part) })
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { _, err := attempt(ctx, e, ask); done <- err }()
	for !asked() {
		select {
		case err := <-done:
			t.Fatalf("it ended without asking for %s: %v", part, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	cancel()
	select {
	case err := <-done:
		if err == nil {
			t.Errorf("it was stopped while it waited for %s, and says that it worked", part)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("it waits for %s and does not stop", part)
	}
}
