package users

import (
	"context"
	"crypto/hmac"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MinPassword is the least number of characters in a password that somebody sets
// here; users.csv may hold shorter ones.
const MinPassword = 6

// Authenticate tells who logs in with a name and a password. ErrBadLogin does not
// say which of the two is wrong, and takes as long for a name that does not exist.
// ErrDisabled comes only with the right password. Two logins are worked on at a
// time; ctx ends the wait. Nothing is remembered from one call to the next: a door
// that strangers knock at uses Login.
func (s *Store) Authenticate(ctx context.Context, name, password string) (Account, error) {
	defer nudge(s.used)
	if len(password) > 4*MaxPassword { // longer than any, before normalisation
		password = ""
	}
	r := s.now.Load().byName[Normalise(name)]
	if r.todo != "" && !r.fresh && r.Own != "" {
		// First login since the start: has the row's password become another one,
		// so that the student's own is void?
		d, err := s.settle(ctx, r)
		if err == nil {
			err = s.fold(ctx, []settled{d})
		}
		if err != nil {
			return Account{}, fmt.Errorf("cannot check the password: %w", err)
		}
		r = s.now.Load().byName[r.Name]
	}
	ok, err := s.verify(ctx, r, password)
	switch {
	case err != nil:
		return Account{}, fmt.Errorf("cannot check the password: %w", err)
	case !ok || password == "":
		return Account{}, ErrBadLogin
	case r.Gone:
		return Account{}, ErrDisabled
	}
	if r.todo == "" && r.todoOwn == "" && weaker(r.valid()) {
		s.strengthen(ctx, r, password)
	}
	return r.account(), nil
}

// valid is the hash that counts now; "" when there is none.
func (r record) valid() string {
	if r.Own != "" {
		return r.Own
	}
	return r.Roster
}

// verify compares a password with the one that is valid for r now. The zero record
// matches nothing.
func (s *Store) verify(ctx context.Context, r record, password string) (bool, error) {
	valid := r.valid()
	if r.Own == "" && r.todo != "" {
		mark := s.markOf(r.UID, password)
		if hmac.Equal(mark[:], r.mark[:]) {
			return true, nil
		}
		valid = "" // a wrong guess costs the usual time
	}
	return s.hashes.matches(ctx, valid, password)
}

// strengthen replaces a hash of brief cost: the power went before the background
// could. A failure leaves it for the next login.
func (s *Store) strengthen(ctx context.Context, r record, password string) {
	h, err := s.hashes.make(ctx, password, full())
	if err == nil {
		err = s.update(ctx, func(a *accounts) (bool, error) {
			now := a.byName[r.Name]
			switch {
			case now.Own != r.Own || now.Roster != r.Roster || now.todo != "":
				return false, nil
			case now.Own != "":
				now.Own = h
			default:
				now.Roster = h
			}
			a.byName[r.Name] = now
			return true, nil
		})
	}
	if err != nil {
		s.log.Warn("password hash not renewed", "user", r.Name, "error", err)
	}
}

// SetPassword gives an account a password that stays until users.csv says another
// one; by is FromStudent or FromTeacher. It ends no session. The errors are
// ErrNoAccount, or a *notice.Error that says what is wrong with the password.
func (s *Store) SetPassword(ctx context.Context, name, password string, by Origin) error {
	defer nudge(s.used)
	r, ok := s.now.Load().byName[Normalise(name)]
	if !ok {
		return fmt.Errorf("%q: %w", name, ErrNoAccount)
	}
	if err := checkPassword(r.Name, password); err != nil {
		return err
	}
	own, err := s.hashes.make(ctx, password, full())
	if err != nil {
		return fmt.Errorf("cannot set the password: %w", err)
	}
	// The row's own hash must be on the disk too: without it the next start could
	// not tell that the row is unchanged, and would void the new password.
	d, err := s.settle(ctx, r)
	if err == nil {
		err = s.fold(ctx, []settled{d})
	}
	if err != nil {
		return fmt.Errorf("cannot set the password: %w", err)
	}
	err = s.update(ctx, func(a *accounts) (bool, error) {
		now := a.byName[r.Name]
		now.Own, now.OwnBy, now.todoOwn = own, by, ""
		a.byName[r.Name] = now
		return true, nil
	})
	if err == nil {
		s.logEntry(Entry{Event: EventPassword, User: r.Name, By: by}, true)
	}
	return err
}

// ResetPassword gives an account a new passphrase and returns it, to be shown once.
func (s *Store) ResetPassword(ctx context.Context, name string) (string, error) {
	p := Passphrase()
	return p, s.SetPassword(ctx, name, p, FromTeacher)
}

func checkPassword(name, password string) error {
	n := utf8.RuneCountInString(password)
	switch {
	case n < MinPassword:
		return passwordNotice("password-short", fmt.Sprintf("the new password has %d characters; it needs %d or more", n, MinPassword), "choose a longer one, for instance three words")
	case len(typed(password)) > MaxPassword:
		return passwordNotice("password-long", fmt.Sprintf("the new password is longer than %d bytes", MaxPassword), "choose a shorter one")
	case strings.ContainsFunc(password, unicode.IsControl) || !utf8.ValidString(password):
		return passwordNotice("password-characters", "the new password holds a character that can't be typed", "type it again")
	case strings.TrimSpace(password) != password:
		return passwordNotice("password-blanks", "the new password begins or ends with a blank", "leave the blank out")
	case strings.EqualFold(password, name):
		return passwordNotice("password-is-name", "the new password is the name of the account", "choose another one")
	}
	return nil
}
