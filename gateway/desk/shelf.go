package desk

import (
	"sync"
	"time"

	"github.com/conjuring/conjured/gateway/session"
	"github.com/conjuring/conjured/notice"
)

// said is what the next page says about what was just done. The zero said is silent.
type said struct {
	notice.Notice
	Undo  string // an act that takes it back; "" for none
	Label string // of that act's button
}

// login is a name with its new password, to be shown to the teacher who asked.
type login struct{ User, Password string }

// kept is what waits for a session's next page.
type kept struct {
	said   said
	logins []login
	made   time.Time // the passwords
	until  time.Time
}

// showLogins is how long new passwords can be looked at and printed.
const showLogins = 10 * time.Minute

// shelf keeps, by session, what its next page shows. It is small: sessions are
// counted, and old things are thrown away at each use.
type shelf struct {
	mu      sync.Mutex
	byOwner map[string]kept
}

func (s *shelf) change(e *session.Session, f func(*kept)) kept {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for id, k := range s.byOwner {
		if now.After(k.until) {
			delete(s.byOwner, id)
		}
	}
	k := s.byOwner[e.ID()]
	before := k
	f(&k)
	k.until = now.Add(showLogins)
	s.byOwner[e.ID()] = k
	return before
}

// say leaves a word for the session's next page.
func (s *shelf) say(e *session.Session, n said) { s.change(e, func(k *kept) { k.said = n }) }

// hear takes it.
func (s *shelf) hear(e *session.Session) said {
	return s.change(e, func(k *kept) { k.said = said{} }).said
}

// put keeps new passwords for the session, in place of older ones.
func (s *shelf) put(e *session.Session, l []login) {
	s.change(e, func(k *kept) { k.logins, k.made = l, time.Now() })
}

// logins gives them while they may be looked at; with forget for the last time.
func (s *shelf) logins(e *session.Session, forget bool) ([]login, time.Time) {
	k := s.change(e, func(k *kept) {
		if forget || time.Since(k.made) > showLogins {
			k.logins, k.made = nil, time.Time{}
		}
	})
	if time.Since(k.made) > showLogins {
		return nil, time.Time{}
	}
	return k.logins, k.made
}
