package main

import (
	"context"
	"errors"
	"time"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/gateway"
	"github.com/conjuring/conjured/hub"
	"github.com/conjuring/conjured/notice"
)

// Roster is everybody who is on the roster now, in the order of their rows.
func (a accounts) Roster() []hub.Account {
	var out []hub.Account
	for _, acc := range a.List() {
		if !acc.Disabled {
			out = append(out, hub.Account{Name: acc.Name, UID: acc.UID, GID: classGroup, Admin: acc.Admin})
		}
	}
	return out
}

// The values of the setting class.
const (
	classAuto   = "auto"   // servers are started by themselves when the machine has booted
	classManual = "manual" // only by conjured class begin
)

// lessonConfig is how servers are started ahead.
func (b *box) lessonConfig() hub.LessonConfig {
	return hub.LessonConfig{
		Auto: b.settings.Class == classAuto, Activity: b.activity,
		Server: int64(b.settings.Limits.EstimateMB) << 20,
	}
}

// activity is when something last moved between browsers and a student's server.
func (b *box) activity(user, server string) time.Time {
	path := "/user/" + user
	if server != "" {
		path += "/" + server
	}
	r, ok := b.routes.Get(path)
	if !ok {
		return time.Time{}
	}
	return r.LastActivity
}

// Lesson is how far the servers of the class are.
func (b *box) Lesson(ctx context.Context) (api.Lesson, error) {
	l, err := b.hub.Lesson(ctx)
	return lessonOf(l), err
}

// BeginClass has servers started for the named accounts, or for everybody.
func (b *box) BeginClass(ctx context.Context, users []string) (api.Lesson, error) {
	l, err := b.hub.BeginLesson(ctx, users...)
	if errors.Is(err, hub.ErrNotOnRoster) {
		return api.Lesson{}, errors.Join(gateway.ErrUnknown, &notice.Error{Err: err, Notice: notice.Notice{
			Code: "class-unknown", Severity: notice.SeverityError,
			What:  "one of the names is not on the roster",
			Means: "no server was started",
			Do:    "look at the names with: conjured users list",
		}})
	}
	return lessonOf(l), err
}

// EndClass ends the lesson; with all it stops every student's server.
func (b *box) EndClass(ctx context.Context, all bool) (api.Lesson, error) {
	n, err := b.hub.EndLesson(ctx, all)
	if err != nil {
		return api.Lesson{}, err
	}
	l, err := b.Lesson(ctx)
	l.Stopped = n
	return l, err
}

func lessonOf(l hub.Lesson) api.Lesson {
	out := api.Lesson{
		On: l.On, Since: l.Since, Busy: l.Busy, Total: l.Total, Ready: l.Ready, Starting: l.Starting,
		Unused: l.Unused, Eta: l.Eta.Seconds(),
	}
	for _, x := range l.Left {
		out.Left = append(out.Left, api.LessonLeft{User: x.User, Why: x.Why})
	}
	return out
}
