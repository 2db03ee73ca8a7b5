package users

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/conjuring/conjured/notice"
)

// Try is somebody at the login form.
type Try struct {
	Name, Password string
	Address        string // of the browser, without a port; "" when it is a program on this machine
}

// Later is the refusal of a try that was not looked at.
type Later struct {
	Notice notice.Error
	After  time.Duration // until a try is looked at again; more than 0
}

// Error is the refusal's words.
func (e *Later) Error() string { return e.Notice.Error() }

// Unwrap gives the words for the person who tried.
func (e *Later) Unwrap() error { return &e.Notice }

// RetryAfter is After, for those who cannot name this type.
func (e *Later) RetryAfter() time.Duration { return e.After }

// Login is Authenticate for a door that anybody can knock at: who guesses is slowed
// down, nobody is ever shut out by what others do (see throttle), and each try is
// written to the log. The errors are those of Authenticate, or a *Later, which says
// nothing about the password.
func (s *Store) Login(ctx context.Context, t Try) (Account, error) {
	name := Normalise(t.Name)
	p := s.throttle.pair(name, t.Address)
	a := s.throttle.begin(time.Now(), p)
	if a.wait > 0 {
		if a.first {
			s.logTry(t, name, EventWait, 0)
		}
		return Account{}, later(a.wait)
	}
	done, err := s.turns.take(ctx, p.from, a)
	if err != nil {
		s.throttle.end(time.Now(), p, notLooked)
		if errors.Is(err, errCrowded) {
			s.logTry(t, name, EventWait, a.refused)
			return Account{}, crowdedOut()
		}
		return Account{}, fmt.Errorf("cannot check the password: %w", err)
	}
	acc, err := s.Authenticate(ctx, t.Name, t.Password)
	done()
	s.ended(t, name, p, a, err)
	return acc, err
}

// ended counts a try, writes it to the log, and tells the teacher when it looks like
// guessing.
func (s *Store) ended(t Try, name string, p pair, a admission, err error) {
	event, o := EventWrong, isWrong
	switch {
	case err == nil:
		event, o = EventLogin, isRight
	case errors.Is(err, ErrDisabled):
		event = EventRemoved
	case !errors.Is(err, ErrBadLogin):
		s.throttle.end(time.Now(), p, notLooked)
		return
	}
	n := s.throttle.end(time.Now(), p, o)
	s.logTry(t, name, event, a.refused)
	if o == isWrong {
		s.alarm(name, t.Address, n)
	}
}

// later words a wait. The number is the same for names that do not exist.
func later(wait time.Duration) error {
	n := int(math.Ceil(wait.Seconds()))
	unit := "seconds"
	if n == 1 {
		unit = "second"
	}
	return &Later{After: time.Duration(n) * time.Second, Notice: notice.Error{Notice: notice.Notice{
		Code: "login-wait", Severity: notice.SeverityInfo,
		What:  fmt.Sprintf("too many wrong tries for this name from this computer; wait %d %s", n, unit),
		Means: "you are not logged in; your account is not closed",
		Do:    "the teacher can give you a new password",
	}}}
}

// crowdedWait is what those are told for whom there is no place to wait.
const crowdedWait = 5 * time.Second

func crowdedOut() error {
	return &Later{After: crowdedWait, Notice: notice.Error{Notice: notice.Notice{
		Code: "login-crowded", Severity: notice.SeverityInfo,
		What:  fmt.Sprintf("too many people try to log in from this computer at once; wait %.0f seconds", crowdedWait.Seconds()),
		Means: "you are not logged in; your account is not closed",
		Do:    "try again then",
	}}}
}

const (
	alarmPair  = 10               // wrong passwords for one name from one computer
	alarmQuiet = 15 * time.Minute // before the same is told again
	mostAlarms = 64               // remembered; more would be a flood of their own
)

// alarm tells the teacher of guessing, each kind once in a while. Names that do not
// exist are not named: somebody may have typed a password there.
func (s *Store) alarm(name, address string, n counts) {
	if s.notify == nil || n.pair != alarmPair && n.name != guessedAt && n.address != sprayedAt {
		return
	}
	note := notice.Notice{
		Code: "login-guessing", Severity: notice.SeverityWarning,
		Means: "nobody is shut out by it; the one who tries has to wait longer after each wrong password",
		Do:    "see who it is with: conjured users log",
	}
	_, known := s.now.Load().byName[name]
	switch {
	case n.address == sprayedAt:
		note.What = "many wrong passwords, for several names, come from " + placeName(address)
	case !known:
		return
	case n.name == guessedAt:
		note.What = "many wrong passwords were tried for " + name + ", from several computers"
		note.Do = "a longer password helps: conjured users passwd " + name
	default:
		note.What = "many wrong passwords were tried for " + name + " from " + placeName(address)
	}
	if s.alarms.may(note.What, time.Now()) {
		s.notify(note)
	}
}

// placeName is an address in words.
func placeName(address string) string {
	if p := computer(address); !p.IsValid() {
		return "a program on this machine"
	}
	return "the computer " + address
}
