package desk

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/conjuring/conjured/gateway/session"
	"github.com/conjuring/conjured/notice"
)

// The verbs of acts. Those in asked need a page in between that says what will happen.
const (
	verbStart    = "start"     // a person's server
	verbStop     = "stop"      // a person's servers
	verbReset    = "reset"     // a person's password
	verbResetAll = "reset-all" // every student's password
	verbStopAll  = "stop-all"  // every student's servers
	verbBegin    = "begin"     // the lesson
	verbEnd      = "end"       // the lesson
	verbDismiss  = "dismiss"   // a notice
	verbForget   = "forget"    // the new passwords that are shown
)

// order is an act with whom it is about.
type order struct{ Verb, Name string }

// orderOf reads the value of a button.
func orderOf(s string) order {
	verb, name, _ := strings.Cut(s, " ")
	return order{verb, name}
}

// act does what a button of the teacher's page asks for.
func (d *Desk) act(w http.ResponseWriter, r *http.Request, e *session.Session) {
	o := orderOf(r.PostFormValue("do"))
	sure := r.PostFormValue("sure") == "yes"
	switch o.Verb {
	case verbReset, verbResetAll, verbStopAll, verbEnd:
	case verbStop:
		p, _ := d.person(r.Context(), o.Name)
		sure = sure || p.Open == 0
	default:
		sure = true
	}
	if !sure {
		q := filterOf(r).query()
		q.Set("do", r.PostFormValue("do"))
		back(w, r, "/conjured/teach/confirm", q)
		return
	}
	if o.Verb == verbReset || o.Verb == verbResetAll {
		d.reset(w, r, e, o)
		return
	}
	if s, silent := d.carryOut(r, e, o); !silent {
		d.shelf.say(e, s)
	}
	d.room.look()
	back(w, r, "/conjured/teach", filterOf(r).query())
}

// carryOut does an act that needs no password and says what came of it.
func (d *Desk) carryOut(r *http.Request, e *session.Session, o order) (s said, silent bool) {
	ctx := r.Context()
	switch o.Verb {
	case verbDismiss:
		for _, n := range d.config.Board.Notices() {
			if noticeID(n) == o.Name {
				d.config.Board.Dismiss(n)
			}
		}
		return said{}, true
	case verbForget:
		d.shelf.logins(e, true)
		return word("The new passwords are no longer shown", ""), false
	case verbStopAll:
		return d.stopAll(), false
	case verbPromote, verbRollback:
		return d.changePackages(ctx, o), false
	case verbBegin, verbEnd:
		return d.lesson(ctx, o.Verb, r.PostFormValue("all") == "yes"), false
	}
	p, known := d.person(ctx, o.Name)
	if !known {
		return trouble(fmt.Errorf("%w: %.40q", errNobody, o.Name)), false
	}
	if o.Verb == verbStart {
		if err := d.config.Servers.StartServer(ctx, p.Name, ""); err != nil {
			return trouble(err), false
		}
		s = word(p.Name+"'s server is being started", "")
		s.Undo, s.Label = code(verbStop, p.Name), "Stop it again"
		return s, false
	}
	if o.Verb != verbStop {
		return trouble(errNothing), false
	}
	if err := d.stopServers(ctx, p); err != nil {
		return trouble(err), false
	}
	s = word(p.Name+"'s server is stopped", "Saved files are all there.")
	s.Undo, s.Label = code(verbStart, p.Name), "Start it again"
	return s, false
}

func (d *Desk) stopServers(ctx context.Context, p Person) error {
	for _, s := range p.Servers {
		if err := d.config.Servers.StopServer(ctx, p.Name, s.Name); err != nil {
			return err
		}
	}
	return nil
}

// stopAll stops the students' servers, a few at a time, after the answer.
func (d *Desk) stopAll() said {
	d.later(verbStopAll, func(ctx context.Context) error {
		people, err := d.config.Class.People(ctx)
		if err != nil {
			return err
		}
		slots := make(chan struct{}, 4)
		failed := make(chan error, len(people))
		for _, p := range people {
			slots <- struct{}{}
			go func() {
				defer func() { <-slots }()
				if p.Admin {
					failed <- nil
					return
				}
				failed <- d.stopServers(ctx, p)
			}()
		}
		for range people {
			if one := <-failed; one != nil {
				err = one
			}
		}
		return err
	})
	return word("The students' servers are being stopped", "Saved files are all there. Who opens a notebook gets a new server.")
}

func (d *Desk) lesson(ctx context.Context, verb string, all bool) said {
	if d.config.Lessons == nil {
		return trouble(errNothing)
	}
	if verb == verbBegin {
		if err := d.config.Lessons.Begin(ctx); err != nil {
			return trouble(err)
		}
		s := word("The lesson has begun", "Servers are being started for everybody, the ones that are waited for first.")
		return s
	}
	d.later(verbEnd, func(ctx context.Context) error {
		_, err := d.config.Lessons.End(ctx, all)
		return err
	})
	s := word("The lesson has ended", "Servers that nobody has used are being stopped; the others stay.")
	if all {
		s = word("The lesson has ended", "All servers are being stopped. Saved files are all there.")
	}
	s.Undo, s.Label = verbBegin, "Begin it again"
	return s
}

// person finds somebody on the roster.
func (d *Desk) person(ctx context.Context, name string) (Person, bool) {
	people, err := d.config.Class.People(ctx)
	if err != nil {
		return Person{}, false
	}
	for _, p := range people {
		if p.Name == name {
			return p, true
		}
	}
	return Person{}, false
}

// word is something good to say.
func word(what, means string) said {
	return said{Notice: notice.Notice{Severity: notice.SeverityInfo, What: what, Means: means}}
}

// trouble is an error to say.
func trouble(err error) said { return said{Notice: inWords(err)} }

var (
	errNobody error = &notice.Error{Notice: notice.Notice{
		Code: "teach-nobody", Severity: notice.SeverityError, What: "nobody of that name is in the class any more",
		Means: "nothing was changed", Do: "look at the list again",
	}}
	errNothing error = &notice.Error{Notice: notice.Notice{
		Code: "teach-unknown", Severity: notice.SeverityError, What: "this page does not know what was asked for",
		Means: "nothing was changed", Do: "open the page again",
	}}
)

// undo is where the page of questions leads back to.
func undo(q url.Values) string {
	q.Del("do")
	if len(q) == 0 {
		return "/conjured/teach"
	}
	return "/conjured/teach?" + q.Encode()
}
