package users

import (
	"time"
)

// openAudit opens the log, and learns from it which computers the accounts use.
func (s *Store) openAudit() error {
	log, err := openAudit(s.dir, s.key[:])
	if err != nil {
		return err
	}
	s.audit, s.throttle = log, newThrottle(s.key[:])
	all := s.now.Load()
	for e, err := range ReadLog(s.dir, LogFilter{}) {
		if err != nil {
			s.log.Warn("log of logins not read", "error", err)
			break
		}
		if _, known := all.byName[e.User]; known && e.Event == EventLogin {
			s.throttle.remember(s.throttle.pair(e.User, e.Address))
		}
	}
	return nil
}

// logTry writes a line about a try. Under a flood of them some are only counted.
func (s *Store) logTry(t Try, name string, event Event, refused int) {
	e := Entry{Event: event}
	if p := computer(t.Address); p.IsValid() {
		e.Address = t.Address
	}
	if _, known := s.now.Load().byName[name]; known {
		e.User = name
	} else {
		e.Unknown = s.audit.unknown(name)
		if event == EventWrong {
			e.Event = EventUnknown
		}
	}
	skipped, ok := s.audit.afford(computer(t.Address), time.Now())
	if !ok {
		return
	}
	e.More = refused + skipped
	s.logEntry(e, false)
}

// logChanges writes what a roster changed.
func (s *Store) logChanges(c Changes) {
	for _, l := range []struct {
		event Event
		names []string
	}{
		{EventAdded, c.Added},
		{EventRestored, c.Restored},
		{EventGone, c.Removed},
		{EventRowPassword, c.PasswordChanged},
		{EventAdmin, c.AdminGiven},
		{EventNoAdmin, c.AdminTaken},
	} {
		for i, name := range l.names {
			s.logEntry(Entry{Event: l.event, User: name, By: FromRoster}, i == len(l.names)-1)
		}
	}
	for i, g := range c.Generated {
		s.logEntry(Entry{Event: EventPassword, User: g.User, By: FromBox}, i == len(c.Generated)-1)
	}
}

// logEntry writes a line. That it could not is for the daemon's own log: a full disk
// keeps nobody from logging in.
func (s *Store) logEntry(e Entry, sure bool) {
	e.Time = time.Now().UTC().Truncate(time.Millisecond)
	if err := s.audit.add(e, sure); err != nil && s.alarms.may(err.Error(), e.Time) {
		s.log.Warn("log of logins not written", "error", err)
	}
}
