package users

import (
	"sync"
	"time"
)

// alarms remembers what was told lately. The zero alarms is ready.
type alarms struct {
	mu   sync.Mutex
	told map[string]time.Time
}

// may tells whether what may be told again, and notes that it was.
func (a *alarms) may(what string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, at := range a.told {
		if now.Sub(at) > alarmQuiet {
			delete(a.told, k)
		}
	}
	if _, lately := a.told[what]; lately || len(a.told) >= mostAlarms {
		return false
	}
	if a.told == nil {
		a.told = map[string]time.Time{}
	}
	a.told[what] = now
	return true
}
