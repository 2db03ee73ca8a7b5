package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/notice"
)

// The states of a start, in their order; the last two end it.
const (
	queued   = "queued"
	starting = "starting"
	ready    = "ready"
	failed   = "failed"
)

// startTimeout is how long a server may take once it has its turn. Thirty cold
// starts on two busy cores took up to 110 s each.
const startTimeout = 3 * time.Minute

// event is one line of news about a start, as the hub reads it.
type event struct {
	State    string `json:"state"`
	Message  string `json:"message"`            // for the student
	Progress int    `json:"progress,omitempty"` // percent
	Place    int    `json:"place,omitempty"`    // in the queue, 1 is next
	Of       int    `json:"of,omitempty"`       // how many are in the queue
	Wait     int    `json:"wait,omitempty"`     // seconds until it is ready, about
	Note     string `json:"note,omitempty"`     // what became of the student's last server
}

// start is one server being started: its news, and how it ended.
type start struct {
	ask    startRequest
	turn   *turn
	began  time.Time
	cancel context.CancelFunc
	daemon context.Context // ends with the daemon: then the next one goes on with the start
	ended  chan struct{}   // closed after the last event

	mu     sync.Mutex
	note   string
	events []event
	more   chan struct{} // closed and replaced at each event
}

func newStart(ask startRequest, cancel context.CancelFunc) *start {
	return &start{ask: ask, began: time.Now(), cancel: cancel, ended: make(chan struct{}), more: make(chan struct{})}
}

func (s *start) tell(e event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.Note = s.note
	s.events = append(s.events, e)
	close(s.more)
	s.more = make(chan struct{})
}

// since gives the events from n on, and a channel that closes when there are more.
func (s *start) since(n int) ([]event, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.events[min(n, len(s.events)):], s.more
}

func (s *start) last() event {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.events) == 0 {
		return event{State: queued}
	}
	return s.events[len(s.events)-1]
}

// outcome is the last event once the start has ended.
func (s *start) outcome() (event, bool) {
	select {
	case <-s.ended:
		return s.last(), true
	default:
		return event{}, false
	}
}

// begin starts a server unless it runs or is being started. The start belongs to
// the daemon: a hub that goes away meanwhile finds it again.
func (h *Hub) begin(ask startRequest, a Account) (*start, error) {
	id := serverID(ask.User, ask.Server)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stop || h.live == nil {
		return nil, errors.New("the class is being closed")
	}
	if h.class.Image == "" {
		return nil, errors.New("the class is still being prepared")
	}
	if s := h.starts[id]; s != nil {
		if _, ended := s.outcome(); !ended {
			return s, nil
		}
	}
	ctx, cancel := context.WithCancel(h.live)
	s := newStart(ask, cancel)
	s.daemon = h.live
	coming := h.expected[id]
	s.turn = &turn{user: ask.User, ahead: coming != nil, arrived: time.Now().Add(-ask.waited())}
	h.starts[id] = s
	if coming != nil {
		delete(h.expected, id)
		coming <- s
	}
	class := h.class
	h.busy.Go(func() {
		defer cancel()
		defer close(s.ended)
		err := h.run(ctx, s, a, class)
		switch {
		case err == nil:
			s.tell(event{State: ready, Message: "Your server is ready.", Progress: 100})
			h.busy.Go(func() { h.grownUp(s.daemon, id) }) // nobody waits for it
			return
		case s.daemon.Err() != nil:
			return // the hub asks the next daemon, which finds the container
		}
		h.cfg.Log.Warn("server did not start", "user", ask.User, "server", id, "error", err)
		s.tell(event{State: failed, Message: inWords(err)})
	})
	return s, nil
}

// run is one start from its place in the queue to the first answer.
func (h *Hub) run(ctx context.Context, s *start, a Account, class Class) error {
	id := serverID(s.ask.User, s.ask.Server)
	s.turn.say = func(at spot) { s.tell(inQueue(at)) }
	leave, err := h.queue.enter(ctx, s.turn)
	if err != nil {
		return err
	}
	good := false
	defer func() { leave(good) }()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	s.tell(event{State: starting, Message: "Getting your files ready.", Progress: 20})
	home, err := h.cfg.Homes.Prepare(ctx, a)
	if err != nil {
		return fmt.Errorf("cannot prepare the home: %w", err)
	}
	h.holdByDisk(a)
	if err := h.preparePlace(id, a, s.ask.Env["JUPYTERHUB_API_TOKEN"]); err != nil {
		return err
	}
	last, wasEnded := h.lastEnd(id)
	if wasEnded {
		s.recall(sentences(last.What, last.Do))
	}
	err = h.bring(ctx, s, id, h.serverSpec(id, s.ask, a, class, home))
	switch {
	case err == nil:
	case s.daemon.Err() != nil:
		return err // what runs is left for the next daemon
	default:
		clean, done := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer done()
		return errors.Join(err, h.cfg.Engine.Remove(clean, h.containerName(id)), h.clearPlace(id))
	}
	if wasEnded {
		h.tell(told{a.Name, s.ask.Server, last})
	}
	good = true
	return nil
}

// bring starts the container and waits until the server in it answers.
func (h *Hub) bring(ctx context.Context, s *start, id string, spec engine.Spec) error {
	s.tell(event{State: starting, Message: "Starting your server.", Progress: 40})
	spec, err := h.withOurStart(spec)
	if err == nil {
		spec, err = h.withOurLab(spec)
	}
	if err != nil {
		return err
	}
	spec.CPUShares = startWeight
	h.newborn(id)
	if err := h.launch(ctx, id, h.fenced(ctx, spec)); err != nil {
		return err
	}
	s.tell(event{State: starting, Message: "Loading Jupyter.", Progress: 60})
	if err := h.awaitReady(ctx, id, s.ask.Env["JUPYTERHUB_SERVICE_PREFIX"]); err != nil {
		return err
	}
	return h.sealPlace(id)
}

// recall has all news from now on say what became of the last server.
func (s *start) recall(note string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note = note
}

// inQueue is what somebody in the queue reads.
func inQueue(at spot) event {
	e := event{
		State: queued, Place: at.place, Of: at.of, Wait: int(at.wait / time.Second), Progress: 5,
		Message: fmt.Sprintf("You are number %d of %d; %s.", at.place, at.of, about(at.wait)),
	}
	return e
}

// launch makes and starts the container, in place of one that no longer runs.
func (h *Hub) launch(ctx context.Context, id string, s engine.Spec) error {
	if err := h.cfg.Engine.Remove(ctx, h.containerName(id)); err != nil {
		return fmt.Errorf("cannot remove the old container: %w", err)
	}
	c, err := h.cfg.Engine.Create(ctx, s)
	if err != nil {
		return fmt.Errorf("cannot make the container: %w", err)
	}
	if err := h.cfg.Engine.Start(ctx, c); err != nil {
		return fmt.Errorf("cannot start the container: %w", err)
	}
	return nil
}

// preparePlace makes what the server needs of the run directory: its socket's
// directory, which is the student's, and beside it, out of their reach, the token
// it was started with and the names of its accounts.
func (h *Hub) preparePlace(id string, a Account, apiToken string) error {
	if err := h.clearPlace(id); err != nil {
		return fmt.Errorf("cannot clear the server's place: %w", err)
	}
	if err := makeDir(h.paths.place(id), 0o711, a.UID, a.GID); err != nil {
		return err
	}
	own := h.paths.own(id)
	if err := makeDir(own, 0o700, 0, 0); err != nil {
		return err
	}
	for name, text := range map[string]string{
		"token":  apiToken,
		"passwd": passwd(a),
		"group":  fmt.Sprintf("root:x:0:\n%s:x:%d:\nnogroup:x:65534:\n", a.Name, a.GID),
	} {
		mode := os.FileMode(0o644)
		if name == "token" {
			mode = 0o600
		}
		if err := os.WriteFile(filepath.Join(own, name), []byte(text), mode); err != nil {
			return fmt.Errorf("cannot write the server's %s: %w", name, err)
		}
	}
	return nil
}

func passwd(a Account) string {
	return fmt.Sprintf("root:x:0:0:root:/root:/usr/sbin/nologin\n%s:x:%d:%d::/home/%s:/bin/bash\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n",
		a.Name, a.UID, a.GID, a.Name)
}

// awaitReady asks the server's socket until it answers, and says why when its
// container ends first. The engine is asked once a second: it is the slower of the
// two.
func (h *Hub) awaitReady(ctx context.Context, id, prefix string) error {
	client := over(h.paths.sock(id), 0)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		if answers(ctx, client, prefix+"api") {
			return nil
		}
		if n%10 == 9 {
			c, up, err := h.running(ctx, id)
			if err == nil && !up {
				return h.whyEnded(ctx, id, c)
			}
		}
		select {
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
				return fmt.Errorf("it did not answer within %d minutes", startTimeout/time.Minute)
			}
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// answers tells whether an HTTP server is there and says 200.
func answers(ctx context.Context, c *http.Client, path string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return false
	}
	resp, err := c.Do(r)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// ended says in words why a container is no more.
type ended struct {
	code  int
	oom   bool
	limit int64  // bytes
	lines string // the last it printed
}

func (e *ended) Error() string {
	if e.oom {
		return fmt.Sprintf("it needed more memory than the %d MB it may use", e.limit/mib)
	}
	return fmt.Sprintf("it ended with code %d: %s", e.code, e.lines)
}

func (h *Hub) whyEnded(ctx context.Context, id string, c engine.Container) error {
	lines, err := h.cfg.Engine.Logs(ctx, h.containerName(id), 20)
	if err != nil {
		h.cfg.Log.Debug("no log of the server", "server", id, "error", err)
	}
	if c.Err != "" {
		lines = c.Err + "\n" + lines
	}
	return &ended{code: c.ExitCode, oom: c.OOMKilled, limit: h.limitsOf(c.Labels[labelUser]).Memory, lines: tail(lines, 1500)}
}

// tail is the end of s, at most n bytes, from the start of a line.
func tail(s string, n int) string {
	s = strings.TrimSpace(s)
	if len(s) <= n {
		return s
	}
	s = s[len(s)-n:]
	_, after, ok := strings.Cut(s, "\n")
	if !ok {
		return s
	}
	return after
}

// inWords is what a student reads about a start that failed.
func inWords(err error) string {
	var n *notice.Error
	var e *ended
	switch {
	case errors.As(err, &n):
		return strings.TrimSpace(n.What + ". " + n.Do)
	case errors.As(err, &e) && e.oom:
		return "Your server stopped while starting: " + e.Error() + ". Ask your teacher."
	case errors.As(err, &e):
		return fmt.Sprintf("Your server stopped while starting (code %d). Ask your teacher and show these lines:\n%s", e.code, e.lines)
	case errors.Is(err, context.Canceled):
		return "Your server was stopped before it was ready."
	}
	return "Your server could not be started: " + err.Error() + ". Try again, then ask your teacher."
}

func isNotFound(err error) bool { return errors.Is(err, engine.ErrNotFound) }
