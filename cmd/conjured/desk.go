package main

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/conjuring/conjured/gateway/desk"
	"github.com/conjuring/conjured/gateway/session"
	"github.com/conjuring/conjured/hub"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/users"
)

// This file fits the parts to the pages /conjured/account and /conjured/teach.

// openDesk makes the pages.
func (b *box) openDesk(context.Context) error {
	sessions, err := session.New(session.Config{
		Hub: b.hub.Client(), Secret: b.hub.DeskSecret(), Roster: rosterOf{b.users}, Log: b.log,
	})
	if err != nil {
		return err
	}
	b.guard = sessions
	b.desk, err = desk.New(desk.Config{
		Sessions: sessions, Class: classNow{b}, Servers: b.hub, Passwords: ownPasswords{b},
		Lessons: deskLesson{b.hub}, Environments: deskPackages{b}, Board: &openNotices{b: b, away: map[notice.Notice]bool{}},
		Progress: b.news, Log: b.log,
	})
	return err
}

// rosterOf is users.Store as sessions ask it.
type rosterOf struct{ *users.Store }

func (r rosterOf) Person(name string) (session.Person, bool) {
	a, err := r.Lookup(name)
	if err != nil || a.Disabled {
		return session.Person{}, false
	}
	return session.Person{Name: a.Name, Admin: a.Admin}, true
}

// classNow is everybody on the roster, as they are now.
type classNow struct{ b *box }

func (c classNow) Name() string { return c.b.front.About().Name }

// People are in the order of users.csv.
func (c classNow) People(ctx context.Context) ([]desk.Person, error) {
	servers, err := c.b.hub.Servers(ctx)
	if err != nil {
		return nil, err
	}
	used := map[string]hub.Usage{}
	usage, err := c.b.hub.Usage(ctx)
	if err != nil {
		c.b.log.Debug("what servers use is not known", "error", err)
	}
	for _, u := range usage {
		used[u.ID] = u
	}
	places := c.b.hub.Places()
	mine := map[string][]desk.Server{}
	files := map[string]hub.Usage{}
	for _, s := range servers {
		u := used[s.ID]
		d := desk.Server{Name: s.Name, State: s.State, Since: s.Since, Memory: u.Memory, MemoryLimit: u.MemoryLimit, Trouble: runsOut(u)}
		if s.Name == "" && s.Starting() {
			d.Place = places[s.User]
		}
		mine[s.User] = append(mine[s.User], d)
		if u.Disk > 0 {
			files[s.User] = u
		}
	}
	all := c.b.users.List()
	slices.SortStableFunc(all, func(x, y users.Account) int { return cmp.Compare(x.Row, y.Row) })
	var out []desk.Person
	for _, a := range all {
		if a.Disabled {
			continue
		}
		p := desk.Person{
			Name: a.Name, Admin: a.Admin, OwnPassword: a.Password == users.FromStudent, Servers: mine[a.Name],
			Open: c.b.door.Open(a.Name), Disk: files[a.Name].Disk, DiskLimit: files[a.Name].DiskLimit,
		}
		if len(p.Servers) > 0 {
			p.Active = c.b.activity(a.Name, "")
		}
		out = append(out, p)
	}
	return out, nil
}

// runsOut says which of its limits a server is about to reach, "" for none.
func runsOut(u hub.Usage) string {
	for _, x := range []struct {
		n, limit int64
		what     string
	}{
		{u.Memory, u.MemoryLimit, "memory"},
		{u.Disk, u.DiskLimit, "space for files"},
		{u.Tmp, u.TmpLimit, "space in /tmp"},
		{u.Pids, u.PidsLimit, "processes"},
	} {
		if x.limit > 0 && x.n >= x.limit/10*9 {
			return "Uses nearly all of its " + x.what + "."
		}
	}
	return ""
}

// ownPasswords is users.Store, and the hub for the sessions that a new password ends.
type ownPasswords struct{ b *box }

func (o ownPasswords) Check(ctx context.Context, user, password, address string) error {
	_, err := accounts{o.b.users}.Authenticate(ctx, user, password, address)
	return err
}

func (o ownPasswords) Change(ctx context.Context, user, password, keep string) error {
	if err := o.b.users.SetPassword(ctx, user, password, users.FromStudent); err != nil {
		return err
	}
	o.endLogins(ctx, user, keep)
	return nil
}

func (o ownPasswords) Reset(ctx context.Context, user string) (string, error) {
	password, err := o.b.users.ResetPassword(ctx, user)
	if err == nil {
		o.endLogins(ctx, user, "")
	}
	return password, err
}

// endLogins is not what a password fails by: without the hub nobody can use what it
// gave out, and the account's mark ends the browsers' logins when it is back.
//
// The hub looks at the mark two seconds after the last time (auth_refresh_age), and until
// then an old cookie gets a new token: those end when that time is over. Who has logged
// in with the new password meanwhile gets another one by the cookie, and notices nothing.
func (o ownPasswords) endLogins(ctx context.Context, user, keep string) {
	o.endTokens(ctx, user, keep)
	time.AfterFunc(3*time.Second, func() { o.endTokens(context.WithoutCancel(ctx), user, keep) })
}

func (o ownPasswords) endTokens(ctx context.Context, user, keep string) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := o.b.hub.EndLogins(ctx, user, keep); err != nil {
		o.b.log.Warn("the hub did not end an account's logins", "user", user, "error", err)
	}
}

// deskLesson is the hub's lesson as the page asks it.
type deskLesson struct{ hub *hub.Hub }

func (d deskLesson) Lesson(ctx context.Context) (desk.Lesson, error) {
	l, err := d.hub.Lesson(ctx)
	return desk.Lesson{On: l.On, Since: l.Since, Busy: l.Busy, Total: l.Total, Ready: l.Ready, Left: l.Eta}, err
}

func (d deskLesson) Begin(ctx context.Context) error {
	_, err := d.hub.BeginLesson(ctx)
	return err
}

func (d deskLesson) End(ctx context.Context, all bool) (int, error) {
	return d.hub.EndLesson(ctx, all)
}

// openNotices is what a teacher should know and has not put away.
type openNotices struct {
	b    *box
	mu   sync.Mutex
	away map[notice.Notice]bool // stands still, but was read
}

// Notices leaves out what was put away. A notice that went and came back is new.
func (o *openNotices) Notices() []notice.Notice {
	all := noticesOf(o.b.owner.Snapshot(), o.b.board)
	o.mu.Lock()
	defer o.mu.Unlock()
	still := map[notice.Notice]bool{}
	var out []notice.Notice
	for _, n := range all {
		if o.away[n] {
			still[n] = true
		} else {
			out = append(out, n)
		}
	}
	o.away = still
	return out
}

// Dismiss takes n from the board; one that stands by itself is hidden while it does.
func (o *openNotices) Dismiss(n notice.Notice) {
	o.b.board.remove(n)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.away[n] = true
}
