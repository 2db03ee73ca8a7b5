package main

import (
	"slices"
	"sync"

	"github.com/conjuring/conjured/users"
)

// logins holds passwords that were made up until somebody has seen them: whoever
// takes them first shows them. Those of this process's first minutes are remembered,
// so that the announcement can name two of them again.
type logins struct {
	arrived chan struct{} // holds one token when there is something to take

	mu      sync.Mutex
	waiting []users.Login
	taken   map[string]string
}

func newLogins() *logins {
	return &logins{arrived: make(chan struct{}, 1), taken: map[string]string{}}
}

func (l *logins) add(made []users.Login) {
	if len(made) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range made {
		l.waiting = slices.DeleteFunc(l.waiting, func(o users.Login) bool { return o.User == m.User })
		l.waiting = append(l.waiting, m)
	}
	select {
	case l.arrived <- struct{}{}:
	default:
	}
}

func (l *logins) take() []users.Login {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.waiting
	l.waiting = nil
	for _, m := range out {
		l.taken[m.User] = m.Password
	}
	return out
}

// shown is a password that was taken, until forget.
func (l *logins) shown(user string) (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.taken[user]
	return p, ok
}

// forget ends the memory of what was taken.
func (l *logins) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.taken)
}
