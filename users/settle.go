package users

import (
	"context"
)

// settled is what the background found out about one account.
type settled struct {
	name        string
	before      record
	roster, own string // new hashes, "" when there is none
	changed     bool   // the row's password is another one than Roster's
}

// settleAll works off everything that is left to do, and saves every 16 accounts.
func (s *Store) settleAll(ctx context.Context) error {
	var batch []settled
	worked := false
	for _, r := range s.now.Load().sorted() {
		if r.todo == "" && r.todoOwn == "" {
			continue
		}
		worked = true
		d, err := s.settle(ctx, r)
		if err != nil {
			return err
		}
		if batch = append(batch, d); len(batch) < 16 {
			continue
		}
		if err := s.fold(ctx, batch); err != nil {
			return err
		}
		batch = nil
	}
	if err := s.fold(ctx, batch); err != nil || !worked {
		return err
	}
	// Once more, so that the copy of before the last save holds no brief hash either.
	return s.update(ctx, func(*accounts) (bool, error) { return true, nil })
}

// settle does the slow part for one account without touching it.
func (s *Store) settle(ctx context.Context, r record) (d settled, err error) {
	d = settled{name: r.Name, before: r}
	if r.todoOwn != "" && r.Own != "" {
		if d.own, err = s.hashes.make(ctx, r.todoOwn, full()); err != nil {
			return d, err
		}
	}
	if r.todo == "" {
		return d, nil
	}
	if !r.fresh {
		same, err := s.hashes.matches(ctx, r.Roster, r.todo)
		if err != nil || (same && !weaker(r.Roster)) {
			return d, err
		}
		d.changed = !same
	}
	d.roster, err = s.hashes.make(ctx, r.todo, full())
	return d, err
}

// fold brings results home. An account that changed meanwhile keeps its change: its
// own work is still to be done.
func (s *Store) fold(ctx context.Context, batch []settled) error {
	if len(batch) == 0 {
		return nil
	}
	return s.update(ctx, func(a *accounts) (save bool, err error) {
		for _, d := range batch {
			r, ok := a.byName[d.name]
			if !ok {
				continue
			}
			if r.todo == d.before.todo && r.mark == d.before.mark && r.todo != "" {
				if d.changed && r.Own == d.before.Own {
					r.Own, r.OwnBy = "", ""
				}
				if d.roster != "" {
					r.Roster, save = d.roster, true
				}
				r.todo, r.fresh = "", false
			}
			if d.own != "" && r.Own == d.before.Own && r.todoOwn == d.before.todoOwn {
				r.Own, r.todoOwn, save = d.own, "", true
			}
			a.byName[d.name] = r
		}
		return save, nil
	})
}
