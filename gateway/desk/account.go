package desk

import (
	"context"
	"net/http"
	"time"

	"github.com/conjuring/conjured/gateway/session"
	"github.com/conjuring/conjured/notice"
)

// accountBody is a person's own page.
type accountBody struct {
	Servers serversPart
	Own     bool          // the password was chosen by them
	Wrong   notice.Notice // why the password was not changed
	Field   string        // which field that is about: "old", "new" or "again"
}

// serversPart is a person's servers, a part that is looked at again while one starts.
type serversPart struct {
	List      []serverLine
	Disk      string
	DiskLimit string
	DiskPart  int
	Moving    bool // something is about to change
	Problem   bool // the class cannot be looked at now
}

// serverLine is one server in words.
type serverLine struct {
	Name, Title        string
	Kind, State, Since string
	Trouble            string
	Memory, Limit      string
	Part               int // percent of the limit; 0 when not known
	Runs, Open         bool
	Link               string
}

func (d *Desk) servers(ctx context.Context, e *session.Session) (serversPart, Person) {
	p, known := d.person(ctx, e.Name)
	out := serversPart{Problem: !known}
	if p.Disk > 0 {
		out.Disk = size(p.Disk)
		out.DiskLimit, out.DiskPart = share(p.Disk, p.DiskLimit)
	}
	first := false
	for _, s := range p.Servers {
		l := serverLine{Name: s.Name, Title: s.Name, Since: clock(s.Since), Trouble: s.Trouble, Link: "/user/" + e.Name + "/"}
		l.Kind, l.State = stateOf(s)
		if s.Name == "" {
			l.Title, first = "My server", true
		} else {
			l.Link += s.Name + "/"
		}
		if s.Memory > 0 {
			l.Memory = size(coarse(s.Memory, 5_000_000))
			l.Limit, l.Part = share(s.Memory, s.MemoryLimit)
		}
		l.Open, l.Runs = l.Kind == "ready", l.Kind != "off" && l.Kind != "failed"
		out.Moving = out.Moving || l.Kind == "queued" || l.Kind == "starting"
		out.List = append(out.List, l)
	}
	if !first {
		out.List = append([]serverLine{{Title: "My server", Kind: "off", State: "not running"}}, out.List...)
	}
	return out, p
}

func (d *Desk) account(w http.ResponseWriter, r *http.Request, e *session.Session) {
	d.showAccount(w, r, e, http.StatusOK, notice.Notice{}, "")
}

func (d *Desk) showAccount(w http.ResponseWriter, r *http.Request, e *session.Session, status int, wrong notice.Notice, field string) {
	s, p := d.servers(r.Context(), e)
	d.show(w, r, e, status, "account", view{
		Title: "My account", Here: "account", Said: d.shelf.hear(e), Live: "/conjured/account/servers",
		Body: accountBody{Servers: s, Own: p.OwnPassword, Wrong: wrong, Field: field},
	})
}

// ownServers is the part of the page that changes by itself.
func (d *Desk) ownServers(w http.ResponseWriter, r *http.Request, e *session.Session) {
	s, _ := d.servers(r.Context(), e)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(d.part("servers", s)))
}

// ownServer starts, stops or restarts one of a person's own servers.
func (d *Desk) ownServer(w http.ResponseWriter, r *http.Request, e *session.Session) {
	o := orderOf(r.PostFormValue("do"))
	p, _ := d.person(r.Context(), e.Name)
	known := o.Name == ""
	for _, s := range p.Servers {
		known = known || s.Name == o.Name
	}
	var err error
	var s said
	switch {
	case !known:
		err = errNothing
	case o.Verb == verbStart:
		err = d.config.Servers.StartServer(r.Context(), e.Name, o.Name)
		s = word("Your server is being started", "")
	case o.Verb == verbStop:
		err = d.config.Servers.StopServer(r.Context(), e.Name, o.Name)
		s = word("Your server is stopped", "Saved files are all there.")
	case o.Verb == "restart":
		d.later("restart", func(ctx context.Context) error {
			if err := d.config.Servers.StopServer(ctx, e.Name, o.Name); err != nil {
				return err
			}
			return d.config.Servers.StartServer(ctx, e.Name, o.Name)
		})
		s = word("Your server is being restarted", "Saved files are all there.")
	default:
		err = errNothing
	}
	if err != nil {
		s = trouble(err)
	}
	d.shelf.say(e, s)
	back(w, r, "/conjured/account", nil)
}

// changePassword sets a person's own password once they have typed the old one.
func (d *Desk) changePassword(w http.ResponseWriter, r *http.Request, e *session.Session) {
	old, fresh := r.PostFormValue("old"), r.PostFormValue("new")
	wrong := func(n notice.Notice, field string) { d.showAccount(w, r, e, http.StatusForbidden, n, field) }
	if fresh != r.PostFormValue("again") {
		wrong(notice.Notice{
			Code: "password-twice", Severity: notice.SeverityError, What: "the two new passwords are not the same",
			Means: "the old password is still the right one", Do: "type the new password twice",
		}, "again")
		return
	}
	if err := d.config.Passwords.Check(r.Context(), e.Name, old, address(r)); err != nil {
		if r.Context().Err() == nil {
			wrong(wrongPassword(err), "old")
		}
		return
	}
	// Once it is begun it is brought to its end, whatever the browser does.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 30*time.Second)
	defer cancel()
	if err := d.config.Passwords.Change(ctx, e.Name, fresh, e.Login); err != nil {
		wrong(inWords(err), "new")
		return
	}
	d.config.Sessions.EndUser(e.Name, e)
	d.config.Log.Info("a password was changed by its owner", "user", e.Name)
	d.shelf.say(e, word("Your password is changed", "Use the new one from now on. Other computers where you were logged in ask for it."))
	back(w, r, "/conjured/account", nil)
}
