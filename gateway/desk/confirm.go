package desk

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/conjuring/conjured/gateway/session"
	"github.com/conjuring/conjured/notice"
)

// question is a page that says what an act will do before it is done.
type question struct {
	Do       string // the act
	Filter   filter
	What     []string // what will happen, and what will not
	Password bool     // the teacher types their own
	All      string   // a box to tick for more; "" for none
	Button   string
	Back     string
	Wrong    notice.Notice // why it was not done the last time
}

// confirm asks whether an act is meant.
func (d *Desk) confirm(w http.ResponseWriter, r *http.Request, e *session.Session) {
	d.ask(w, r, e, http.StatusOK, r.FormValue("do"), notice.Notice{})
}

func (d *Desk) ask(w http.ResponseWriter, r *http.Request, e *session.Session, status int, do string, wrong notice.Notice) {
	title, q := d.question(r, e, orderOf(do))
	if title == "" {
		d.shelf.say(e, trouble(errNobody))
		back(w, r, "/conjured/teach", filterOf(r).query())
		return
	}
	q.Do, q.Filter, q.Wrong, q.Back = do, filterOf(r), wrong, undo(filterOf(r).query())
	d.show(w, r, e, status, "confirm", view{Title: title, Here: "teach", Body: q})
}

func (d *Desk) question(r *http.Request, e *session.Session, o order) (title string, q question) {
	switch o.Verb {
	case verbResetAll:
		n := 0
		people, _ := d.config.Class.People(r.Context())
		for _, p := range people {
			if !p.Admin {
				n++
			}
		}
		return "New passwords for all students", question{Password: true, Button: "Make new passwords", What: []string{
			fmt.Sprintf("All %d students get a new password, which is shown once as cards to print. The old ones stop working, also those that students chose themselves.", n),
			"Everybody is logged out and must log in again. Servers and notebooks go on running, files stay.",
			"Teachers keep their passwords.",
		}}
	case verbStopAll:
		return "Stop all students' servers", question{Button: "Stop all servers", What: []string{
			"What the students' notebooks are computing now is ended, and what they have not saved in the last two minutes may be lost.",
			"Saved files stay. Who opens a notebook afterwards gets a new server.",
		}}
	case verbEnd:
		return "End the lesson", question{Button: "End the lesson", All: "Also stop the servers that are in use", What: []string{
			"No more servers are started ahead of time, and those that nobody has used are stopped.",
			"Students who are working can finish.",
		}}
	}
	return d.personal(r, e, o)
}

// personal is the question before an act that is about one person; "" when they are
// not there.
func (d *Desk) personal(r *http.Request, e *session.Session, o order) (title string, q question) {
	p, known := d.person(r.Context(), o.Name)
	switch {
	case !known:
		return "", q
	case o.Verb == verbStop:
		return "Stop " + p.Name + "'s server", question{Button: "Stop the server", What: []string{
			p.Name + " is working there now. What is being computed is ended, and what was not saved in the last two minutes may be lost.",
			"Saved files stay, and the server can be started again at once.",
		}}
	case o.Verb == verbReset && p.Name == e.Name:
		return "A new password for yourself", question{Password: true, Button: "Make a new password", What: []string{
			"You get a password that is made up for you and shown once. You are logged out everywhere.",
			"To choose one yourself, go to your own page instead.",
		}}
	case o.Verb == verbReset:
		return "A new password for " + p.Name, question{Password: true, Button: "Make a new password", What: []string{
			"The new password is shown once, to be written down or printed. The old one stops working.",
			p.Name + " is logged out at every computer. The server and its notebooks go on running.",
		}}
	}
	return "", q
}

// reset gives new passwords once the teacher has typed their own: a page of a student
// that runs in the teacher's browser could press our buttons, but not know that.
func (d *Desk) reset(w http.ResponseWriter, r *http.Request, e *session.Session, o order) {
	do := r.PostFormValue("do")
	if err := d.config.Passwords.Check(r.Context(), e.Name, r.PostFormValue("password"), address(r)); err != nil {
		if r.Context().Err() != nil {
			return
		}
		d.ask(w, r, e, http.StatusForbidden, do, wrongPassword(err))
		return
	}
	var names []string
	people, err := d.config.Class.People(r.Context())
	for _, p := range people {
		if o.Verb == verbResetAll && !p.Admin || o.Verb == verbReset && p.Name == o.Name {
			names = append(names, p.Name)
		}
	}
	if err == nil && len(names) == 0 {
		err = errNobody
	}
	var made []login
	for _, n := range names {
		var password string
		if password, err = d.config.Passwords.Reset(r.Context(), n); err != nil {
			break
		}
		made = append(made, login{n, password})
		d.config.Sessions.EndUser(n, e)
		d.config.Log.Info("a teacher made a new password", "teacher", e.Name, "user", n)
	}
	if err != nil {
		d.shelf.say(e, trouble(err))
	}
	d.room.look()
	if len(made) == 0 {
		back(w, r, "/conjured/teach", filterOf(r).query())
		return
	}
	d.shelf.put(e, made)
	back(w, r, "/conjured/teach/passwords", nil)
}

// wrongPassword words a refusal for somebody who is logged in already.
func wrongPassword(err error) notice.Notice {
	var n *notice.Error
	if !errors.As(err, &n) {
		return inWords(err)
	}
	out := n.Notice
	if n.Code == "login-wrong" {
		out.What, out.Do = "your own password is not right", "type the password that you log in with"
	}
	out.Means = "nothing was changed"
	return out
}

// loginsBody is the page of new passwords.
type loginsBody struct {
	Logins  []login
	Until   time.Time
	Address string // of the class, as the teacher's browser knows it
}

func (d *Desk) passwords(w http.ResponseWriter, r *http.Request, e *session.Session) {
	l, made := d.shelf.logins(e, false)
	if len(l) == 0 {
		d.show(w, r, e, http.StatusGone, "message", view{Title: "These passwords are no longer shown", Here: "teach", Body: message{
			Text: "New passwords can be looked at for ten minutes by the teacher who made them, and are kept nowhere. Make new ones where they were not written down.",
			Link: "/conjured/teach", Button: "To the class",
		}})
		return
	}
	title := "New passwords"
	if len(l) == 1 {
		title = "The new password of " + l[0].User
	}
	d.show(w, r, e, http.StatusOK, "passwords", view{
		Title: title, Here: "teach", Said: d.shelf.hear(e), Wide: len(l) > 2,
		Body: loginsBody{Logins: l, Until: made.Add(showLogins), Address: r.Host},
	})
}
