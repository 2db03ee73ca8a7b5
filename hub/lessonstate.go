package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"
)

// lessonState is what a lesson is kept as, so that it outlives the machine.
type lessonState struct {
	On    bool             `json:"on"`
	Since time.Time        `json:"since"`
	Users []string         `json:"users,omitempty"` // none: everybody on the roster
	Boot  string           `json:"boot,omitempty"`  // the boot for which servers were last started by themselves
	Ahead map[string]ahead `json:"ahead,omitempty"` // by server id: started before anybody asked, and not used since
}

// ahead is one server that waits for its student.
type ahead struct {
	User   string    `json:"user"`
	Server string    `json:"server,omitempty"`
	Ready  time.Time `json:"ready"`
	Quiet  time.Time `json:"quiet"` // its route's activity when nobody had come yet
}

func (s lessonState) clone() lessonState {
	s.Users = slices.Clone(s.Users)
	s.Ahead = maps.Clone(s.Ahead)
	if s.Ahead == nil {
		s.Ahead = map[string]ahead{}
	}
	return s
}

// saveLesson makes s the lesson, on disk first. The caller holds the lesson's lock.
func (h *Hub) saveLesson(s lessonState) error {
	if err := writeJSON(h.paths.lesson(), s, 0o600); err != nil {
		return fmt.Errorf("cannot note the lesson: %w", err)
	}
	h.lesson.state = s
	return nil
}

// readLesson reads the lesson that was on when the daemon ended. One that cannot be
// read is none: students get their servers when they log in.
func (h *Hub) readLesson() error {
	h.lesson.wake, h.lesson.left = make(chan struct{}, 1), map[string]string{}
	h.lesson.asked = map[string]time.Time{}
	h.lesson.state = lessonState{}.clone()
	b, err := os.ReadFile(h.paths.lesson())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read the lesson: %w", err)
	}
	var s lessonState
	if err := json.Unmarshal(b, &s); err != nil {
		h.cfg.Log.Warn("the saved lesson cannot be read and is forgotten", "error", err)
		return nil
	}
	h.lesson.state = s.clone()
	return nil
}

// unused are the servers that were started ahead and that nobody has used.
func (h *Hub) unused() map[string]ahead {
	h.lesson.mu.Lock()
	defer h.lesson.mu.Unlock()
	return maps.Clone(h.lesson.state.Ahead)
}

// noteAhead remembers a server that waits for its student.
func (h *Hub) noteAhead(id string, a ahead) {
	h.changeAhead(func(m map[string]ahead) bool { m[id] = a; return true })
}

// forgetAhead forgets that servers were started ahead: they are used, or gone.
func (h *Hub) forgetAhead(ids ...string) {
	h.changeAhead(func(m map[string]ahead) bool {
		before := len(m)
		for _, id := range ids {
			delete(m, id)
		}
		return len(m) != before
	})
}

// used forgets all servers of a user: they are here.
func (h *Hub) used(user string) {
	h.changeAhead(func(m map[string]ahead) bool {
		before := len(m)
		maps.DeleteFunc(m, func(_ string, a ahead) bool { return a.User == user })
		return len(m) != before
	})
}

func (h *Hub) changeAhead(f func(map[string]ahead) bool) {
	h.lesson.mu.Lock()
	defer h.lesson.mu.Unlock()
	s := h.lesson.state.clone()
	if !f(s.Ahead) {
		return
	}
	if err := h.saveLesson(s); err != nil {
		h.cfg.Log.Warn("which servers are unused cannot be noted", "error", err)
		h.lesson.state = s // better for now than what is on disk
	}
}

// wakeLesson has a round of starts made.
func (h *Hub) wakeLesson() {
	h.lesson.mu.Lock()
	h.lesson.due = true
	h.lesson.mu.Unlock()
	select {
	case h.lesson.wake <- struct{}{}:
	default:
	}
}
