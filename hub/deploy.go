package hub

import (
	"context"
	"errors"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// Spec is what the hub is started from.
type Spec struct {
	CoreImage   string            `json:"core_image"`    // image id
	SrvDir      string            `json:"srv_dir"`       // on the host, a saved copy that stays while it serves; "" for none
	ClassName   string            `json:"class_name"`    // on the login page
	Env         map[string]string `json:"env,omitempty"` // the teacher's .env and override; ours win
	Fingerprint string            `json:"fingerprint"`   // what Observe gives back
}

// Observed is the hub as it was found.
type Observed struct {
	Fingerprint string // of the Spec it was started from; "" when no hub is there
	Running     bool
}

// Observe looks for the serving hub.
func (h *Hub) Observe(ctx context.Context) (Observed, error) {
	return Observed{}, errors.ErrUnsupported
}

// Deploy makes the hub serve s: a candidate first, then the swap.
func (h *Hub) Deploy(ctx context.Context, s Spec, sink progress.Sink) (notice.List, error) {
	return nil, errors.ErrUnsupported
}

// Remove puts a user out: their servers stop, their sessions and tokens end. Their
// home and UID stay.
func (h *Hub) Remove(ctx context.Context, user string) error { return h.StopUser(ctx, user) }

// SetServices makes the override's other containers run, and stops those that are
// no longer wanted. Their Name is the service's name, an alias on the network.
func (h *Hub) SetServices(ctx context.Context, services []engine.Spec) error {
	return errors.ErrUnsupported
}

func (h *Hub) supervise(ctx context.Context) { <-ctx.Done() }
