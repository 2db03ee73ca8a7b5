package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

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
	c, _, err := h.hubs(ctx)
	if err != nil || c == nil {
		return Observed{}, err
	}
	return Observed{Fingerprint: c.Labels[engine.LabelKey], Running: c.State == "running"}, nil
}

// Deploy makes the hub serve s. While a hub serves, a candidate is tried first, and
// only when it answers does the serving hub make room; it comes back when its
// successor does not answer. Where none serves, s is started at once. Students'
// servers run on. The notices are settings of the teacher that do not count; the
// error is a *notice.Error when a person can do something about it. When nothing
// changed nothing is done. Run need not be running.
func (h *Hub) Deploy(ctx context.Context, s Spec, sink progress.Sink) (notice.List, error) {
	select {
	case <-h.deploy:
		defer func() { h.deploy <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	key, err := s.key()
	if err != nil {
		return nil, err
	}
	serving, _, err := h.hubs(ctx)
	if err != nil {
		return nil, err
	}
	if same, notes := h.unchanged(ctx, serving, key, s); same {
		return notes, nil
	}
	python, err := h.writePython(pythonFiles)
	if err != nil {
		return nil, err
	}
	say := func(step string, done int64, state progress.State) {
		sink.Progress(progress.Event{Job: "hub", Step: step, Done: done, Total: 2, Unit: "steps", State: state})
	}
	if serving != nil && serving.State == "running" {
		say("trying the new hub beside the one that serves", 0, progress.Running)
		if _, err := h.try(ctx, s, python, key); err != nil {
			say("the new hub did not come up", 0, progress.Failed)
			return nil, err
		}
	}
	say("starting the hub", 1, progress.Running)
	if err := h.swap(ctx, s, python, key); err != nil {
		say("the hub did not come up", 1, progress.Failed)
		return nil, err
	}
	h.seen = true
	say("the hub answers", 2, progress.Done)
	return h.said(), nil
}

// unchanged tells whether the hub that runs was made from s, and what it said about
// the teacher's files. Where those lie now is noted for its next start.
func (h *Hub) unchanged(ctx context.Context, c *engine.Container, key string, s Spec) (bool, notice.List) {
	if c == nil || c.State != "running" || c.Labels[labelHubKey] != key {
		return false, nil
	}
	if !answers(ctx, over(h.paths.hubSock(), 0), "/hub/health") {
		return false, nil
	}
	if err := h.remember(s); err != nil {
		h.cfg.Log.Warn("cannot note what the hub was started from", "error", err)
	}
	return true, h.said()
}

// said is what the serving hub said about the teacher's files.
func (h *Hub) said() notice.List {
	r, err := readReport(h.paths.hubDir)
	if err != nil {
		h.cfg.Log.Debug("the hub left no report", "error", err)
		return nil
	}
	return r.notices()
}

// swap replaces the serving hub, or starts one where there is none, and goes back to
// what was served last when that fails. It goes on when the caller gives up: half a
// swap would leave no hub.
func (h *Hub) swap(ctx context.Context, s Spec, python, key string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*hubPatience+time.Minute)
	defer cancel()
	old, err := h.recall()
	if err != nil {
		h.cfg.Log.Warn("what the hub was started from is not known", "error", err)
	}
	if err := h.backup(); err != nil {
		return err
	}
	if err = h.replace(ctx, s, python, key); err == nil {
		return h.remember(s)
	}
	r, rerr := readReport(h.paths.hubDir)
	if rerr != nil {
		h.cfg.Log.Debug("the hub left no report", "error", rerr)
	}
	n := refused(err, r)
	back := h.goBack(ctx, old, python, key)
	switch {
	case errors.Is(back, errNoWayBack):
		n.Means = "nobody can log in yet"
	case back != nil:
		n.Means = "nobody can log in now; those who are in can work on, and the hub is tried again"
		n.Err = errors.Join(n.Err, back)
	}
	if cerr := h.stopIfFirst(ctx, back); cerr != nil {
		n.Err = errors.Join(n.Err, cerr)
	}
	return n
}

var errNoWayBack = errors.New("no other hub has served before")

// goBack starts the hub that served last, on the database as it was.
func (h *Hub) goBack(ctx context.Context, old *Spec, python, failed string) error {
	if old == nil {
		return errNoWayBack
	}
	key, err := old.key()
	if err != nil {
		return err
	}
	if key == failed {
		return errNoWayBack
	}
	if err := h.restore(); err != nil {
		return err
	}
	return h.replace(ctx, *old, python, key)
}

// stopIfFirst removes a first hub that did not come up: nothing keeps it up.
func (h *Hub) stopIfFirst(ctx context.Context, back error) error {
	if !errors.Is(back, errNoWayBack) {
		return nil
	}
	return h.cfg.Engine.Remove(ctx, h.servingHome().name)
}

// replace stops the hub that is there and starts one from s on the class's own
// database. The servers stay: the hub is told not to clean up.
func (h *Hub) replace(ctx context.Context, s Spec, python, key string) error {
	at := h.servingHome()
	if err := h.cfg.Engine.Stop(ctx, at.name, hubGrace); err != nil {
		h.cfg.Log.Warn("hub does not stop", "error", err)
	}
	if err := h.cfg.Engine.Remove(ctx, at.name); err != nil {
		return fmt.Errorf("cannot remove the old hub: %w", err)
	}
	for _, f := range []string{h.paths.hubSock(), filepath.Join(h.paths.hubDir, "report.json")} {
		if err := os.Remove(f); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("cannot remove what the old hub left: %w", err)
		}
	}
	c, err := h.cfg.Engine.Create(ctx, h.hubSpec(s, at, python, key))
	if err == nil {
		err = h.cfg.Engine.Start(ctx, c)
	}
	if err != nil {
		return fmt.Errorf("cannot start the hub: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, hubPatience)
	defer cancel()
	return h.awaitHub(ctx, at)
}

// remember keeps what the hub is started from, for the supervisor and for the way
// back. It may hold the teacher's secrets: only root reads it.
func (h *Hub) remember(s Spec) error { return writeJSON(h.paths.serving(), s, 0o600) }

// recall is the Spec of the serving hub, nil when there was none.
func (h *Hub) recall() (*Spec, error) {
	b, err := os.ReadFile(h.paths.serving())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var s Spec
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read what the hub was started from: %w", err)
	}
	return &s, nil
}

// backup keeps the database as it was before another hub, maybe of another version,
// opens it. The hub still runs: SQLite's journal is copied with it.
func (h *Hub) backup() error { return h.copyDatabase("", ".before") }

func (h *Hub) restore() error { return h.copyDatabase(".before", "") }

func (h *Hub) copyDatabase(from, to string) error {
	root, err := os.OpenRoot(h.paths.data)
	if err != nil {
		return fmt.Errorf("cannot open the hub's data: %w", err)
	}
	defer func() { _ = root.Close() }() // read
	const name = "jupyterhub.sqlite"
	for _, part := range []string{"", "-wal", "-shm", "-journal"} {
		if err := copyIn(root, name+from+part, name+to+part); err != nil {
			return fmt.Errorf("cannot copy the hub's database: %w", err)
		}
	}
	return nil
}

// copyIn copies a file inside root for the hub to use, or removes the copy of one
// that is not there.
func copyIn(root *os.Root, from, to string) error {
	in, err := root.Open(from)
	if errors.Is(err, os.ErrNotExist) {
		if err := root.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	if st, err := in.Stat(); err != nil || !st.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", from)
	}
	if err := root.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	out, err := root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	if os.Geteuid() == 0 {
		if err := out.Chown(HubUID, HubUID); err != nil {
			return err
		}
	}
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return errors.Join(out.Sync(), out.Close())
}
