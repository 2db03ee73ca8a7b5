package main

import (
	"slices"
	"sync"

	"github.com/conjuring/conjured/users"
)

// logins holds passwords that were made up until somebody has seen them: whoever
// takes them first shows them, and then they are gone.
type logins struct {
	mu      sync.Mutex
	waiting []users.Login
}

func (l *logins) add(made []users.Login) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range made {
		l.waiting = slices.DeleteFunc(l.waiting, func(o users.Login) bool { return o.User == m.User })
		l.waiting = append(l.waiting, m)
	}
}

func (l *logins) take() []users.Login {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.waiting
	l.waiting = nil
	return out
}
