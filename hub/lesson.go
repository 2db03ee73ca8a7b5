package hub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Lesson is how far the servers of the class are, for the teacher. Servers are
// started before their students come, by [Hub.BeginLesson] or by themselves after
// boot; those that nobody uses are stopped again, unless the lesson is on.
type Lesson struct {
	On       bool          // between BeginLesson and EndLesson
	Since    time.Time     // when it began; zero when it is not on
	Busy     bool          // servers are being started ahead of their students
	Total    int           // accounts that a server is meant for; 0 when nothing was begun
	Ready    int           // of them, with a server that answers
	Starting int           // of them, with a server that starts or waits for its turn
	Unused   int           // servers that were started ahead and that nobody has used yet
	Left     []Left        // those who were passed over, by name
	Eta      time.Duration // until the last one is ready; 0 when not known or nothing is started
}

// Left is somebody for whom no server was started ahead. They get one when they log
// in, like everybody.
type Left struct {
	User string
	Why  string // for the teacher: one sentence without a full stop
}

// LessonConfig says when servers are started before anybody asks, and how many. The
// zero value starts none by itself.
type LessonConfig struct {
	Auto     bool                                       // once after the machine has booted, when all of them fit
	Server   int64                                      // bytes of memory one server is reckoned with; 0 is 160 MiB, and what they use once some run
	Reserve  int64                                      // bytes of memory kept free; 0 is a tenth of the machine, 512 MiB at least
	Unused   time.Duration                              // how long a server waits for its student; 0 is 30 minutes
	Activity Activity                                   // nil: servers started ahead are never stopped by themselves
	Memory   func() (available, total int64, err error) // bytes; nil reads /proc/meminfo
	Boot     func() (string, error)                     // names this boot of the machine; nil reads the kernel's id
}

// Activity gives when something last moved between browsers and a student's server,
// the zero time when no route leads there. server is "" for the first one.
type Activity func(user, server string) time.Time

// lesson is the part of a Hub that starts servers ahead.
type lesson struct {
	wake chan struct{} // buffered: there may be servers to start

	mu     sync.Mutex
	state  lessonState
	due    bool                 // a round is to come
	cancel context.CancelFunc   // of the round that goes on; nil when none
	goal   []string             // whom this process has started servers for
	left   map[string]string    // user: why none was started
	taken  int                  // servers that are being started ahead
	asked  map[string]time.Time // user: when we asked JupyterHub for a server of theirs
}

// BeginLesson has servers started for the named accounts, or for everybody on the
// roster when there are none named, and returns at once. Until [Hub.EndLesson] no
// unused server is stopped, also when the machine is switched off and on meanwhile.
// Begun again it tries those once more who were passed over.
func (h *Hub) BeginLesson(ctx context.Context, users ...string) (Lesson, error) {
	for _, u := range users {
		if _, ok := h.cfg.Users.Lookup(u); !ok {
			return Lesson{}, fmt.Errorf("%w: %s", ErrNotOnRoster, u)
		}
	}
	l := &h.lesson
	l.mu.Lock()
	s := l.state.clone()
	if !s.On {
		s.On, s.Since = true, time.Now()
	}
	s.Users = slices.Clone(users)
	err := h.saveLesson(s)
	if err == nil {
		l.left = map[string]string{}
	}
	l.mu.Unlock()
	if err != nil {
		return Lesson{}, err
	}
	h.wakeLesson()
	return h.Lesson(ctx)
}

// ErrNotOnRoster is in the chain of an error about somebody who has no account.
var ErrNotOnRoster = errors.New("not on the roster")

// EndLesson ends the lesson: no more servers are started ahead, and those that nobody
// has used are stopped; with all, every student's server is. It gives how many were
// stopped, also beside an error.
func (h *Hub) EndLesson(ctx context.Context, all bool) (stopped int, err error) {
	l := &h.lesson
	l.mu.Lock()
	s := l.state.clone()
	s.On, s.Since, s.Users = false, time.Time{}, nil
	err = h.saveLesson(s)
	if l.cancel != nil {
		l.cancel()
	}
	l.due, l.goal, l.left = false, nil, map[string]string{}
	l.mu.Unlock()
	if err != nil {
		return 0, err
	}
	servers, err := h.Servers(ctx)
	if err != nil {
		return 0, err
	}
	unused := h.unused()
	var ids []string
	for _, v := range servers {
		if _, ok := unused[v.ID]; (ok || all) && v.lives() {
			ids = append(ids, v.ID)
		}
	}
	h.forgetAhead(slices.Collect(maps.Keys(unused))...)
	return len(ids), h.retire(ctx, servers, ids)
}

// Lesson tells how far the servers of the class are.
func (h *Hub) Lesson(ctx context.Context) (Lesson, error) {
	servers, err := h.Servers(ctx)
	if err != nil {
		return Lesson{}, err
	}
	l := &h.lesson
	l.mu.Lock()
	defer l.mu.Unlock()
	out := Lesson{On: l.state.On, Since: l.state.Since, Busy: l.due || l.cancel != nil, Total: len(l.goal)}
	state := map[string]string{}
	for _, v := range servers {
		if _, ok := l.state.Ahead[v.ID]; ok && v.lives() {
			out.Unused++
		}
		if v.Name == "" {
			state[v.User] = v.State
		}
	}
	to := 0 // still to be started
	for _, u := range l.goal {
		switch state[u] {
		case ready:
			out.Ready++
			continue
		case queued, starting:
			out.Starting++
		}
		if l.left[u] == "" {
			to++
		}
	}
	for _, u := range slices.Sorted(maps.Keys(l.left)) {
		if state[u] != ready {
			out.Left = append(out.Left, Left{u, l.left[u]})
		}
	}
	if out.Busy && to > 0 {
		out.Eta = h.queue.lasts(to)
	}
	return out, nil
}
