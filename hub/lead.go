package hub

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/conjuring/conjured/progress"
)

// lead starts servers ahead of their students: when a lesson begins, when the daemon
// finds that one is on, and once after boot where the settings say so.
func (h *Hub) lead(ctx context.Context) {
	if h.lessonOn() || h.autoDue() {
		h.wakeLesson()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.lesson.wake:
		}
		h.round(ctx)
	}
}

func (h *Hub) lessonOn() bool {
	h.lesson.mu.Lock()
	defer h.lesson.mu.Unlock()
	return h.lesson.state.On
}

// autoDue tells whether servers are to be started for this boot of the machine.
func (h *Hub) autoDue() bool {
	boot := h.boot()
	h.lesson.mu.Lock()
	defer h.lesson.mu.Unlock()
	return boot != "" && h.lesson.state.Boot != boot
}

// booted notes that servers were started for this boot, or are too many for that.
func (h *Hub) booted() {
	boot := h.boot()
	h.lesson.mu.Lock()
	defer h.lesson.mu.Unlock()
	if boot == "" || h.lesson.state.Boot == boot {
		return
	}
	s := h.lesson.state.clone()
	s.Boot = boot
	if err := h.saveLesson(s); err != nil {
		h.cfg.Log.Warn("a new daemon will start the servers again", "error", err)
	}
}

// boot names this boot of the machine; "" when nothing starts by itself.
func (h *Hub) boot() string {
	if !h.cfg.Lesson.Auto {
		return ""
	}
	read := h.cfg.Lesson.Boot
	if read == nil {
		read = func() (string, error) {
			b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
			return strings.TrimSpace(string(b)), err
		}
	}
	id, err := read()
	if err != nil {
		h.cfg.Log.Warn("this boot of the machine has no name", "error", err)
		return ""
	}
	return id
}

// round starts the servers that are wanted now, until all are there or the lesson
// ends.
func (h *Hub) round(daemon context.Context) {
	ctx, cancel := context.WithCancel(daemon)
	defer cancel()
	l := &h.lesson
	l.mu.Lock()
	l.due, l.cancel = false, cancel
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.cancel = nil
		l.mu.Unlock()
	}()
	if !h.awaitClass(ctx) {
		return
	}
	if users := h.wanted(ctx); len(users) > 0 {
		l.mu.Lock()
		l.goal = users
		l.mu.Unlock()
		h.startAll(ctx, users)
	}
	if daemon.Err() == nil { // else the next one goes on
		h.booted()
	}
}

// awaitClass waits until JupyterHub and the class are there; false when ctx has ended.
func (h *Hub) awaitClass(ctx context.Context) bool {
	for {
		h.mu.Lock()
		set := h.class.Image != ""
		h.mu.Unlock()
		if set && answers(ctx, over(h.paths.hubSock(), 0), "/hub/health") {
			return true
		}
		if !pause(ctx, time.Second) {
			return false
		}
	}
}

// pause waits, and tells whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// wanted are the accounts that servers are to be started for now, in the roster's
// order: those of the lesson, or after boot everybody if all of them fit.
func (h *Hub) wanted(ctx context.Context) []string {
	var all []string
	for _, a := range h.cfg.Users.Roster() {
		all = append(all, a.Name)
	}
	each := h.serverMemory(ctx)
	boot := h.boot()
	l := &h.lesson
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state.On {
		if len(l.state.Users) > 0 {
			return l.state.Users
		}
		return all
	}
	if boot == "" || l.state.Boot == boot {
		return nil
	}
	if fits := h.roomLocked(each); len(all) > fits {
		h.cfg.Log.Info("servers are not started by themselves: the class is too large for that", "accounts", len(all), "fit", fits)
		return nil
	}
	return all
}

// startAll starts servers for users, as many at once as the queue takes, so that a
// student who comes meanwhile waits for no more than one start. Whoever has one, or
// is getting one, is left alone.
func (h *Hub) startAll(ctx context.Context, users []string) {
	began := time.Now()
	var wg sync.WaitGroup
	slots := make(chan struct{}, h.cfg.startsAtOnce())
	h.reportLesson(ctx, progress.Running)
	for _, u := range users {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			h.passOver(u, h.startAhead(ctx, u))
			h.reportLesson(ctx, progress.Running)
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		h.reportLesson(ctx, progress.Stopped)
		return
	}
	h.reportLesson(ctx, progress.Done)
	h.cfg.Log.Info("servers are started ahead", "accounts", len(users), "took", time.Since(began).Round(time.Second))
}

// reportLesson tells how many of the lesson's servers are ready.
func (h *Hub) reportLesson(ctx context.Context, state progress.State) {
	l, err := h.Lesson(context.WithoutCancel(ctx))
	if err != nil {
		h.cfg.Log.Debug("how far the lesson's servers are is not known", "error", err)
		return
	}
	h.cfg.Progress.Progress(progress.Event{
		Job: "class", Step: "starting everybody's server", Unit: "servers",
		Done: int64(l.Ready), Total: int64(l.Total), Eta: l.Eta.Seconds(), State: state,
	})
}

// passOver notes why somebody got no server; nil takes the note back.
func (h *Hub) passOver(user string, err error) {
	h.lesson.mu.Lock()
	defer h.lesson.mu.Unlock()
	delete(h.lesson.left, user)
	if err != nil && !errors.Is(err, context.Canceled) {
		h.lesson.left[user] = err.Error()
		h.cfg.Log.Warn("no server was started ahead", "user", user, "why", err)
	}
}

// startAhead starts one server through JupyterHub, so that its records, routes and
// tokens are those of any other server, and waits until it is ready.
func (h *Hub) startAhead(ctx context.Context, user string) error {
	id := serverID(user, "")
	if up, err := h.upOrComing(ctx, id); up || err != nil {
		return err
	}
	release, err := h.admit(ctx)
	if err != nil {
		return err
	}
	defer release()
	came := h.expect(id)
	defer h.unexpect(id)
	if err := h.insist(ctx, user); err != nil {
		return err
	}
	var s *start
	select {
	case s = <-came:
	case <-time.After(time.Minute):
		return errors.New("JupyterHub did not ask for the server within a minute")
	case <-ctx.Done():
		return ctx.Err()
	}
	if s == nil {
		return nil // it was running
	}
	select {
	case <-s.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	if e := s.last(); e.State != ready {
		return errors.New(strings.TrimRight(e.Message, "."))
	}
	h.noteReady(ctx, id, s)
	return nil
}

// upOrComing tells whether a server runs or is being started.
func (h *Hub) upOrComing(ctx context.Context, id string) (bool, error) {
	if h.coming(id) {
		return true, nil
	}
	_, up, err := h.running(ctx, id)
	return up, err
}

// coming tells whether a server is being started.
func (h *Hub) coming(id string) bool {
	h.mu.Lock()
	s := h.starts[id]
	h.mu.Unlock()
	if s == nil {
		return false
	}
	_, over := s.outcome()
	return !over
}

// noteReady remembers that a server waits for its student, once its route is there;
// unless they came while it started.
func (h *Hub) noteReady(ctx context.Context, id string, s *start) {
	a := ahead{User: s.ask.User, Server: s.ask.Server, Ready: time.Now()}
	if h.cfg.Lesson.Activity != nil {
		for range 100 {
			if a.Quiet = h.cfg.Lesson.Activity(a.User, a.Server); !a.Quiet.IsZero() {
				break
			}
			if !pause(ctx, 100*time.Millisecond) {
				return
			}
		}
	}
	if !h.queue.isAhead(s.turn) {
		return
	}
	h.noteAhead(id, a)
}

// expect lets the next start of a server be known: nil is sent for one that was found
// running.
func (h *Hub) expect(id string) <-chan *start {
	ch := make(chan *start, 1)
	h.mu.Lock()
	h.expected[id] = ch
	h.mu.Unlock()
	return ch
}

func (h *Hub) unexpect(id string) {
	h.mu.Lock()
	delete(h.expected, id)
	h.mu.Unlock()
}
