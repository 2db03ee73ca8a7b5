package desk

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/conjuring/conjured/notice"
)

// row is one person in the table. Rows of equal words have equal HTML, which is made
// once for all who look.
type row struct {
	words rowWords
	html  string // made by the template "person", so it may stand in a page as it is
	kinds string // the filters it is shown under, with a space around each
}

// rowWords is what a row says.
type rowWords struct {
	ID          string
	Name        string
	Admin       bool
	OwnPassword bool
	Kind        string // for the colour: ready, starting, queued, failed, off
	State       string // in words
	Since       string
	Trouble     string
	Here        string // "here now", "12 min ago", ""
	Memory      string
	MemoryLimit string
	MemoryPart  int // percent of the limit; 0 when not known
	Disk        string
	DiskLimit   string
	DiskPart    int
	Start       string // acts; "" when there is nothing to start
	Stop        string
}

// rows puts people into words, and takes from the scene before what has not changed.
func (d *Desk) rows(people []Person, before *scene) []row {
	old := map[string]row{}
	if before != nil {
		for _, r := range before.rows {
			old[r.words.ID] = r
		}
	}
	now := time.Now()
	out := make([]row, 0, len(people))
	for _, p := range people {
		w := wordsOf(p, now)
		r := old[w.ID]
		if r.words != w || r.html == "" {
			r = row{words: w, html: d.part("person", w), kinds: kindsOf(w, p)}
		}
		out = append(out, r)
	}
	return out
}

func wordsOf(p Person, now time.Time) rowWords {
	w := rowWords{
		ID: personID(p.Name), Name: p.Name, Admin: p.Admin, OwnPassword: p.OwnPassword,
		Kind: "off", State: "no server", Here: lastHere(p, now), Start: "start " + p.Name,
	}
	var memory, limit int64
	for i, s := range p.Servers {
		memory, limit = memory+s.Memory, max(limit, s.MemoryLimit)
		kind, state := stateOf(s)
		if i == 0 || w.Kind == "off" {
			w.Kind, w.State, w.Since, w.Trouble = kind, state, clock(s.Since), s.Trouble
		}
		if kind != "off" && kind != "failed" {
			w.Start, w.Stop = "", "stop "+p.Name
		}
	}
	if w.Kind == "off" || w.Kind == "failed" {
		w.Since = ""
	}
	if memory > 0 {
		w.Memory = size(coarse(memory, 5_000_000))
		w.MemoryLimit, w.MemoryPart = share(memory, limit)
	}
	if p.Disk > 0 {
		w.Disk = size(p.Disk)
		w.DiskLimit, w.DiskPart = share(p.Disk, p.DiskLimit)
	}
	return w
}

// stateOf says how a server is: the word for its colour, and words for people.
func stateOf(s Server) (kind, state string) {
	switch s.State {
	case "ready":
		return "ready", "running"
	case "starting":
		return "starting", "starting"
	case "queued":
		if s.Place > 0 {
			return "queued", fmt.Sprintf("waiting, number %d", s.Place)
		}
		return "queued", "waiting"
	case "failed":
		return "failed", "did not start"
	}
	return "off", "no server"
}

// lastHere says when somebody was at their server, in steps that seldom change.
func lastHere(p Person, now time.Time) string {
	if p.Open > 0 {
		return "here now"
	}
	if p.Active.IsZero() {
		return ""
	}
	switch ago := now.Sub(p.Active); {
	case ago < 2*time.Minute:
		return "just now"
	case ago < 10*time.Minute:
		return "a few minutes ago"
	case ago < time.Hour:
		return fmt.Sprintf("%d minutes ago", int(ago.Minutes())/10*10)
	case ago < 2*time.Hour:
		return "an hour ago"
	case ago < 24*time.Hour:
		return fmt.Sprintf("%d hours ago", int(ago.Hours()))
	}
	return clock(p.Active)
}

// coarse rounds n to steps, but never to nothing.
func coarse(n, step int64) int64 { return max(step, (n+step/2)/step*step) }

func share(n, limit int64) (of string, percent int) {
	if limit <= 0 {
		return "", 0
	}
	return size(limit), int(min(100, max(1, n*100/limit)))
}

// The filters of the table.
const (
	showAll     = "all"
	showHere    = "here"
	showWorking = "working"
	showWaiting = "waiting"
	showOff     = "off"
	showTrouble = "trouble"
)

func kindsOf(w rowWords, p Person) string {
	k := []string{"", showAll}
	if p.Open > 0 {
		k = append(k, showHere)
	}
	switch w.Kind {
	case "ready":
		k = append(k, showWorking)
	case "starting", "queued":
		k = append(k, showWaiting)
	case "off":
		k = append(k, showOff)
	}
	if w.Kind == "failed" || w.Trouble != "" || w.MemoryPart >= 90 || w.DiskPart >= 90 {
		k = append(k, showTrouble)
	}
	return strings.Join(append(k, ""), " ")
}

func (r row) shown(show, find string) bool {
	return strings.Contains(r.kinds, " "+show+" ") &&
		(find == "" || strings.Contains(strings.ToLower(r.words.Name), strings.ToLower(find)))
}

// personID is a person's row as an id of HTML.
func personID(name string) string { return "p" + hex.EncodeToString([]byte(name)) }

func noticeID(n notice.Notice) string {
	sum := sha256.Sum256([]byte(n.Code + "\x00" + n.String()))
	return hex.EncodeToString(sum[:8])
}

func compareText(a, b string) int { return strings.Compare(a, b) }

// code is an act as the value of a button.
func code(verb, name string) string { return verb + " " + name }

// HTML is the row for a page.
func (r row) HTML() template.HTML { return template.HTML(r.html) } //nolint:gosec // html/template made it

// usage is an amount of something that may have a limit.
type usage struct {
	Amount, Limit string
	Part          int
	Of            string
}

func use(amount, limit string, part int, of string) usage { return usage{amount, limit, part, of} }
