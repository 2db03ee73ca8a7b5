package users

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/conjuring/conjured/notice"
)

// Apply makes the accounts what the roster asks for. When it returns without an
// error everybody in the roster can log in, and the new state is on the disk. It
// does not wait for argon2id: see [Store]. Applying a roster again changes nothing.
//
// An account without a row is disabled; its UID, its password and its home stay,
// and a row of that name brings it back. A password the student or the teacher set
// since stays until the password in users.csv becomes another one. A cell that
// becomes empty leaves the password as it is.
func (s *Store) Apply(ctx context.Context, r Roster) (Changes, error) {
	if !r.Read {
		return Changes{}, errors.New("cannot apply a roster that could not be read")
	}
	var c Changes
	err := s.update(ctx, func(a *accounts) (bool, error) {
		var err error
		c, err = s.apply(ctx, a, r)
		return err == nil && c.save, err
	})
	if err != nil {
		return Changes{}, err
	}
	nudge(s.wake)
	s.logChanges(c)
	return c, nil
}

func (s *Store) apply(ctx context.Context, a *accounts, r Roster) (Changes, error) {
	c := Changes{Accounts: len(r.Rows)}
	kept := map[string]bool{}
	for _, n := range r.Held {
		kept[n] = true
	}
	for _, row := range r.Rows {
		kept[row.User] = true
		if err := s.applyRow(ctx, a, row, &c); err != nil {
			return Changes{}, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.byName)) {
		if rec := a.byName[name]; !kept[name] && !rec.Gone {
			rec.Gone, rec.Admin, rec.Row, c.save = true, false, 0, true
			a.byName[name] = rec
			c.Removed = append(c.Removed, name)
		}
	}
	return c, nil
}

func (s *Store) applyRow(ctx context.Context, a *accounts, row Row, c *Changes) error {
	old, known := a.byName[row.User]
	rec := old
	if !known {
		if a.next > lastUID {
			return &notice.Error{Notice: notice.Notice{
				Code: "users-uids", Severity: notice.SeverityError, File: "users.csv", Line: row.Line,
				What:  fmt.Sprintf("all numbers for accounts (%d to %d) were given away over the years", firstUID, lastUID),
				Means: "the accounts stay as they were; no new one can be added", Do: "set the box up anew for the next class",
			}}
		}
		rec = record{Name: row.User, UID: a.next}
		a.next++
	}
	changed, err := s.applyPassword(ctx, &rec, row, c)
	if err != nil {
		return err
	}
	rec.Row, rec.ID, rec.Admin, rec.Gone = row.Line, row.ID, row.Admin, false
	switch {
	case !known:
		c.Added = append(c.Added, row.User)
	case old.Gone:
		c.Restored = append(c.Restored, row.User)
	}
	if known && changed {
		c.PasswordChanged = append(c.PasswordChanged, row.User)
	}
	if known && !old.Gone && old.Admin != row.Admin {
		if row.Admin {
			c.AdminGiven = append(c.AdminGiven, row.User)
		} else {
			c.AdminTaken = append(c.AdminTaken, row.User)
		}
	}
	c.save = c.save || !known || changed || old.Gone || old.Admin != rec.Admin || old.Row != rec.Row || old.ID != rec.ID
	a.byName[row.User] = rec
	return nil
}

// applyPassword settles which password is valid from now on.
func (s *Store) applyPassword(ctx context.Context, rec *record, row Row, c *Changes) (changed bool, err error) {
	if row.Password == "" {
		if rec.Roster != "" || rec.Own != "" || rec.todo != "" {
			return false, nil
		}
		p := Passphrase()
		if rec.Own, err = s.hashes.make(ctx, p, brief()); err != nil {
			return false, err
		}
		rec.OwnBy, rec.todoOwn = FromBox, p
		c.Generated = append(c.Generated, Login{rec.Name, p})
		return true, nil
	}
	mark := s.markOf(rec.UID, row.Password)
	seen := rec.mark != [32]byte{}
	switch {
	case seen && mark == rec.mark:
		return false, nil
	case !seen && rec.Roster != "": // first time since the start: compare later
		rec.mark, rec.todo, rec.fresh = mark, row.Password, false
		return false, nil
	}
	rec.mark, rec.todo, rec.fresh = mark, row.Password, true
	rec.Own, rec.OwnBy, rec.todoOwn = "", "", ""
	// Durable now, strong soon: users.csv is not kept on the box, so after a power
	// cut nobody could tell us the password again.
	rec.Roster, err = s.hashes.make(ctx, row.Password, brief())
	return err == nil, err
}
