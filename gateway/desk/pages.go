package desk

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/conjuring/conjured/gateway/session"
	"github.com/conjuring/conjured/notice"
)

//go:embed pages
var files embed.FS

// policy lets a page load our own style and script, post to us, and be in no frame.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// view is what every page shows; Body is the page's own.
type view struct {
	Title   string
	Class   string
	Here    string // which of the pages this is: "teach", "account" or ""
	Me      session.Person
	Form    string // the session's token
	Said    said
	Wait    string // "hub": come back when the hub answers
	Live    string // where the page's news come from; "" for none
	Wide    bool
	Refresh int // seconds, where no script runs; 0 for never
	Body    any
}

// message is the body of a page that only says something.
type message struct {
	Text   string
	Link   string
	Button string
}

func loadPages() (map[string]*template.Template, error) {
	base := template.New("").Funcs(template.FuncMap{
		"clock": clock, "code": code, "use": use, "milder": milder, "cap": capital,
	})
	base, err := base.ParseFS(files, "pages/layout.html", "pages/parts.html")
	if err != nil {
		return nil, fmt.Errorf("cannot read the pages: %w", err)
	}
	all := map[string]*template.Template{"parts": base}
	for _, name := range []string{"account", "teach", "confirm", "passwords", "message", "open"} {
		t, err := base.Clone()
		if err == nil {
			t, err = t.ParseFS(files, "pages/"+name+".html")
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the pages: %w", err)
		}
		all[name] = t
	}
	return all, nil
}

// capital begins a sentence of a notice, unless it begins with something that is
// written in its own way: a file, a command, "anna's".
func capital(s string) string {
	first, _, _ := strings.Cut(s, " ")
	if strings.ContainsFunc(first, func(r rune) bool { return !unicode.IsLetter(r) && r != ',' && r != ':' }) {
		return s
	}
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

// milder are the notices that are no errors.
func milder(all []told) []told {
	return slices.DeleteFunc(slices.Clone(all), func(n told) bool { return n.Severity == notice.SeverityError })
}

// guard sets what no answer of ours goes without.
func guard(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Cookie")
}

// show writes a page for who is at the browser; e may be nil.
func (d *Desk) show(w http.ResponseWriter, r *http.Request, e *session.Session, status int, name string, v view) {
	v.Class = d.config.Class.Name()
	if v.Class == "" {
		v.Class = "The class"
	}
	if e != nil {
		v.Me, v.Form = e.Person, e.Form
	}
	var b bytes.Buffer
	if err := d.pages[name].ExecuteTemplate(&b, "layout.html", v); err != nil {
		d.config.Log.Error("cannot make a page", "page", name, "error", err)
		http.Error(w, v.Title, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.Bytes())
	}
}

// part writes one part of a page.
func (d *Desk) part(name string, v any) string {
	var b bytes.Buffer
	if err := d.pages["parts"].ExecuteTemplate(&b, name, v); err != nil {
		d.config.Log.Error("cannot make a part of a page", "part", name, "error", err)
	}
	return b.String()
}

// back sends the browser to a page of ours after something was done.
func back(w http.ResponseWriter, r *http.Request, path string, q url.Values) {
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	http.Redirect(w, r, path, http.StatusSeeOther)
}

// inWords is an error for a person: one notice, the worst.
func inWords(err error) notice.Notice {
	l := notice.For(err)
	if len(l) == 0 {
		return notice.Notice{}
	}
	return l[0]
}

// size is a number of bytes for a person, in steps that do not flicker.
func size(n int64) string {
	const mb, gb = 1_000_000, 1_000_000_000
	switch {
	case n <= 0:
		return "0 MB"
	case n < 10*mb:
		return fmt.Sprintf("%.1f MB", float64(n)/mb)
	case n < gb:
		return fmt.Sprintf("%d MB", (n+mb/2)/mb)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/gb)
}

// clock is a time of today, with its day when it is another one's.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	t = t.Local()
	if now := time.Now(); t.YearDay() != now.YearDay() || t.Year() != now.Year() {
		return t.Format("2 Jan 15:04")
	}
	return t.Format("15:04")
}
