package main

import (
	"context"
	"fmt"
	"net"
	"strings"
)

// announce says, once the class can be used, where it is and who can log in.
func (b *box) announce(ctx context.Context, t *terminal, lines chan<- func()) {
	for s := range b.owner.Watch(ctx) {
		if !phaseOf(s).Ready() {
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
	b.sayLogins(t)
	t.say("")
	t.say("%s is open:  %s", t.paint("1", b.front.About().Name), t.paint("1;36", strings.Join(b.addresses(), "  ")))
	for _, who := range b.examples() {
		t.say("  %s", who)
	}
	b.logins.forget()
	t.say("Ctrl-C stops it. Changes of the folder are taken as they are saved.")
	t.say("")
}

// sayLogins prints passwords that were made up since the last time. A log is no place
// for them: there they wait for `conjured apply`.
func (b *box) sayLogins(t *terminal) {
	if !t.private {
		return
	}
	made := b.logins.take()
	if len(made) == 0 {
		return
	}
	t.say("")
	t.say("%s were made up. They are shown now and kept nowhere; write them down:", plural(len(made), "password"))
	for _, l := range made {
		t.say("  %-20s %s", l.User, l.Password)
	}
}

// sayNewLogins prints passwords as soon as they are made up: they are valid from then
// on, and would be lost with the process.
func (b *box) sayNewLogins(ctx context.Context, t *terminal, lines chan<- func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.logins.arrived:
		}
		select {
		case <-ctx.Done():
			return
		case lines <- func() { b.sayLogins(t) }:
		}
	}
}

// examples are the teacher's login and one student's, with what is known of the password.
func (b *box) examples() []string {
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
			out = append(out, fmt.Sprintf("%-8s %s, password %s", who.role, who.name, b.passwordOf(who.name)))
		}
	}
	return out
}

// passwordOf is what may be said of a password: it was just made up, or it stands in
// the teacher's own users.csv, or nobody knows it.
func (b *box) passwordOf(name string) string {
	if p, ok := b.logins.shown(name); ok {
		return p
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
