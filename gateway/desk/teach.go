package desk

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/conjuring/conjured/gateway/session"
	"github.com/conjuring/conjured/progress"
)

// filter is what a teacher wants to see of the table.
type filter struct{ Show, Find string }

func filterOf(r *http.Request) filter {
	f := filter{Show: r.FormValue("show"), Find: strings.TrimSpace(r.FormValue("find"))}
	switch f.Show {
	case showHere, showWorking, showWaiting, showOff, showTrouble:
	default:
		f.Show = showAll
	}
	if len(f.Find) > 64 {
		f.Find = ""
	}
	return f
}

// query is f for a link to the page; the usual filter needs none.
func (f filter) query() url.Values {
	q := url.Values{}
	if f.Show != showAll {
		q.Set("show", f.Show)
	}
	if f.Find != "" {
		q.Set("find", f.Find)
	}
	return q
}

func (f filter) link(path string) string {
	if q := f.query(); len(q) > 0 {
		return path + "?" + q.Encode()
	}
	return path
}

// tab is one of the filters with how many it shows.
type tab struct {
	Show, Label, Link string
	Count             int
	Current           bool
}

// counts is the class in numbers.
type counts struct {
	People, Here, Working, Waiting, Trouble int

	Problem  bool // the class cannot be looked at now
	Tabs     []tab
	Sentence string // for those who listen to the page
}

func (s *scene) counts(f filter) counts {
	c := counts{Problem: s.trouble}
	n := map[string]int{}
	for _, r := range s.rows {
		for _, k := range strings.Fields(r.kinds) {
			n[k]++
		}
	}
	c.People, c.Here, c.Working, c.Waiting, c.Trouble = len(s.rows), n[showHere], n[showWorking], n[showWaiting], n[showTrouble]
	for _, t := range []tab{
		{Show: showAll, Label: "Everybody"},
		{Show: showHere, Label: "Here now"},
		{Show: showWorking, Label: "Running"},
		{Show: showWaiting, Label: "Waiting"},
		{Show: showOff, Label: "No server"},
		{Show: showTrouble, Label: "Trouble"},
	} {
		t.Count, t.Current = n[t.Show], t.Show == f.Show
		t.Link = filter{t.Show, f.Find}.link("/conjured/teach")
		c.Tabs = append(c.Tabs, t)
	}
	c.Sentence = fmt.Sprintf("%d of %d here, %d servers running, %d waiting.", c.Here, c.People, c.Working, c.Waiting)
	return c
}

// work is a piece of long work in words.
type work struct {
	progress.Event
	Percent int // -1 when not known
	Amount  string
	Left    string
}

func workOf(e progress.Event) work {
	w := work{Event: e, Percent: -1}
	if e.Total > 0 {
		w.Percent = int(min(100, max(0, e.Done*100/e.Total)))
		w.Amount = fmt.Sprintf("%d of %d %s", e.Done, e.Total, e.Unit)
	}
	if e.State == progress.Running && e.Eta > 0 {
		w.Left = "about " + lasts(time.Duration(e.Eta*float64(time.Second))) + " left"
	}
	return w
}

// lasts is a duration for a person.
func lasts(d time.Duration) string {
	if d < 90*time.Second {
		return fmt.Sprintf("%d seconds", max(5, int(d.Seconds()+4)/5*5))
	}
	return fmt.Sprintf("%d minutes", int(d.Minutes()+0.5))
}

// lessonPart is the lesson in words.
type lessonPart struct {
	There, On, Busy bool
	Since           string
	Text            string
}

func lessonOf(s *scene) lessonPart {
	l := s.lesson
	p := lessonPart{There: s.lessons, On: l.On, Busy: l.Busy, Since: clock(l.Since)}
	switch {
	case l.Busy && l.Left > 0:
		p.Text = fmt.Sprintf("%d of %d servers are ready, all of them in about %s.", l.Ready, l.Total, lasts(l.Left))
	case l.Busy:
		p.Text = fmt.Sprintf("%d of %d servers are ready.", l.Ready, l.Total)
	case l.On:
		p.Text = "Servers stay up until the lesson ends, also those that nobody uses."
	default:
		p.Text = "Begin it to have everybody's server running before they log in."
	}
	return p
}

// teachBody is the page of the class.
type teachBody struct {
	Filter   filter
	Counts   counts
	Lesson   lessonPart
	Notices  []told
	Work     []work
	Packages packagesPart
	Rows     []row
}

func bodyOf(s *scene, f filter) teachBody {
	b := teachBody{Filter: f, Counts: s.counts(f), Lesson: lessonOf(s), Notices: s.notices, Packages: packagesOf(s)}
	for _, e := range s.jobs {
		b.Work = append(b.Work, workOf(e))
	}
	for _, r := range s.rows {
		if r.shown(f.Show, f.Find) {
			b.Rows = append(b.Rows, r)
		}
	}
	return b
}

func (d *Desk) teach(w http.ResponseWriter, r *http.Request, e *session.Session) {
	f := filterOf(r)
	s, _ := d.room.scene()
	v := &watcher{desk: d, filter: f}
	v.news(s)
	q := f.query()
	q.Set("have", v.mark())
	d.show(w, r, e, http.StatusOK, "teach", view{
		Title: "The class now", Here: "teach", Wide: true, Said: d.shelf.hear(e),
		Live: "/conjured/teach/live?" + q.Encode(), Body: bodyOf(s, f),
	})
}
