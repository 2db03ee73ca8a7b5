package enginetest

import (
	"context"
	"testing"
	"time"

	"github.com/conjuring/conjured/internal/roughnet"
)

// stops gives up in the middle of a resolution by fresh and of an installation by e.
// Two seconds are promised; what takes more than ten is not a slow machine.
func stops(t *testing.T, n *roughnet.Network, e, fresh Engine, small, other Ask) {
	t.Helper()
	p := plan(t, e, small)
	n.Delay(10 * time.Minute)
	for what, do := range map[string]func(context.Context) error{
		"resolve": func(ctx context.Context) error { _, err := fresh.Resolve(ctx, other); return err },
		"install": func(ctx context.Context) error { _, err := e.Install(ctx, p); return err },
	} {
		before := len(n.Asked())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- do(ctx) }()
		for len(n.Asked()) == before {
			select {
			case err := <-done:
				t.Fatalf("%s ended without asking: %v", what, err)
			case <-time.After(10 * time.Millisecond):
			}
		}
		cancel()
		select {
		case err := <-done:
			if err == nil {
				t.Errorf("%s was stopped and says that it worked", what)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s does not stop", what)
		}
	}
}
