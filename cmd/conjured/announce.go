package main

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/conjuring/conjured/users"
)

// announce says, once the class can be used, where it is and who can log in.
func (b *box) announce(ctx context.Context, t *terminal, lines chan<- func()) {
	for s := range b.owner.Watch(ctx) {
		if s.Serving.ID == "" {
			continue
		}
		select {
		case lines <- func() { b.sayOpen(t) }:
		case <-ctx.Done():
		}
		return
	}
}

func (b *box) sayOpen(t *terminal) {
	made := b.sayLogins(t)
	t.say("")
	t.say("%s is open:  %s", t.paint("1", b.front.About().Name), t.paint("1;36", strings.Join(b.addresses(), "  ")))
	for _, who := range b.examples(made) {
		t.say("  %s", who)
	}
	t.say("Ctrl-C stops it. Changes of the folder are taken as they are saved.")
	t.say("")
}

// sayLogins prints passwords that were made up since the last time, and gives them. A
// log is no place for them: there they wait for `conjured apply`.
func (b *box) sayLogins(t *terminal) []users.Login {
	if !t.private {
		return nil
	}
	made := b.logins.take()
	if len(made) == 0 {
		return nil
	}
	t.say("")
	t.say("%s were made up. They are shown now and kept nowhere; write them down:", plural(len(made), "password"))
	for _, l := range made {
		t.say("  %-20s %s", l.User, l.Password)
	}
	return made
}

// examples are the teacher's login and one student's, with what is known of the password.
func (b *box) examples(made []users.Login) []string {
	var teacher, student string
	for _, a := range b.users.List() {
		switch {
		case a.Disabled:
		case a.Admin && teacher == "":
			teacher = a.Name
		case !a.Admin && student == "":
			student = a.Name
		}
	}
	var out []string
	for _, who := range []struct{ role, name string }{{"teacher", teacher}, {"student", student}} {
		if who.name != "" {
			out = append(out, fmt.Sprintf("%-8s %s, password %s", who.role, who.name, b.passwordOf(who.name, made)))
		}
	}
	return out
}

// passwordOf is what may be said of a password: it was just made up, or it stands in
// the teacher's own users.csv, or nobody knows it.
func (b *box) passwordOf(name string, made []users.Login) string {
	for _, l := range made {
		if l.User == name {
			return l.Password
		}
	}
	if f, ok := b.shelf.fresh(b.owner.Snapshot().Desired.ID); ok {
		for _, r := range f.Roster().Rows {
			if r.User == name && r.Password != "" {
				return r.Password + " (unless it was changed since)"
			}
		}
	}
	return fmt.Sprintf("as shown before (a new one: conjured users passwd %s)", name)
}

// addresses are URLs of the front door, the one for this machine first.
func (b *box) addresses() []string {
	var out []string
	for _, a := range b.door.Addresses() {
		host, port, err := net.SplitHostPort(a.String())
		if err != nil {
			continue
		}
		if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		out = append(out, "http://"+strings.TrimSuffix(net.JoinHostPort(host, port), ":80")+"/")
	}
	return out
}
