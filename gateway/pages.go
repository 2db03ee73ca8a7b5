package gateway

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

//go:embed pages
var pageFiles embed.FS

// policy lets our pages load our own style and script and nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// pages are the front door's own, parsed and hashed once.
type pages struct {
	byName map[string]*template.Template
	files  map[string]staticFile
}

type staticFile struct {
	body []byte
	etag string
}

// view is what a page shows.
type view struct {
	Class   string
	Phase   string
	Title   string
	Text    string
	Link    string // where the button leads; "" for no button
	Button  string
	Wait    string // "ready": reload when the class is; "hub": when the hub answers; "": stay
	Refresh int    // seconds, for browsers without script; 0 for never
	Jobs    []job
	Notices []notice.Notice
}

// job is one line of progress in words.
type job struct {
	progress.Event
	Percent int    // 0 to 100; -1 when the total is not known
	Amount  string // "17 of 42 packages"
	Left    string // "about 2 minutes left"
}

func loadPages() (*pages, error) {
	p := &pages{byName: map[string]*template.Template{}, files: map[string]staticFile{}}
	base, err := template.ParseFS(pageFiles, "pages/layout.html")
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"waiting", "message", "status"} {
		t, err := base.Clone()
		if err != nil {
			return nil, err
		}
		if p.byName[name], err = t.ParseFS(pageFiles, "pages/"+name+".html"); err != nil {
			return nil, err
		}
	}
	entries, err := pageFiles.ReadDir("pages/static")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		body, err := pageFiles.ReadFile("pages/static/" + e.Name())
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(body)
		p.files[e.Name()] = staticFile{body, `"` + hex.EncodeToString(sum[:8]) + `"`}
	}
	return p, nil
}

// static serves a file of pages/static.
func (p *pages) static(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	f, ok := p.files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", f.etag)
	w.Header().Set("Cache-Control", "no-cache") // a new daemon may bring a new file
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, path.Base(name), time.Time{}, bytes.NewReader(f.body))
}

// show writes a page.
func (p *pages) show(w http.ResponseWriter, r *http.Request, status int, name string, v view) {
	var b bytes.Buffer
	if err := p.byName[name].ExecuteTemplate(&b, "layout.html", v); err != nil {
		answer(w, http.StatusInternalServerError, v.Title)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.Bytes())
	}
}

// title is the class's name for a heading.
func (a About) title() string {
	if a.Name == "" {
		return "The class"
	}
	return a.Name
}

// prepare answers for any address while the class is not ready.
func (d *door) prepare(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", "5")
	if wantsJSON(r) {
		d.refuseJSON(w, http.StatusServiceUnavailable, "the class is being prepared; try again in a few seconds")
		return
	}
	about := d.config.Class.About()
	fresh, _ := d.feed.after(0)
	v := view{
		Class: about.title(), Phase: string(d.phase()), Notices: about.Notices, Wait: "ready", Refresh: 5,
		Title: "The class is being prepared",
		Text:  "This page goes on by itself when the class is ready. You can leave it open.",
	}
	for _, n := range fresh {
		if n.event.State != progress.Done {
			v.Jobs = append(v.Jobs, inWords(n.event))
		}
	}
	d.pages.show(w, r, http.StatusServiceUnavailable, "waiting", v)
}

// refuse answers where the proxy has nothing to pass on.
func (d *door) refuse(w http.ResponseWriter, r *http.Request, status int, _ error) {
	k := lookupKey(r.URL)
	v := view{Class: d.config.Class.About().title(), Phase: string(d.phase())}
	switch user := userOf(k); {
	case user == "" && (k == "" || k == "hub" || strings.HasPrefix(k, "hub/")):
		status = http.StatusServiceUnavailable
		v.Title, v.Wait, v.Refresh = "The class is being restarted", "hub", 4
		v.Text = "This takes a few seconds. Notebooks that are open keep running, and this page goes on by itself."
	case user != "" && status == http.StatusServiceUnavailable:
		v.Title, v.Button = "This server does not answer", "Start it again"
		v.Text = "The Jupyter server behind this address has stopped. All saved files are still there."
		v.Link = spawnLink(r)
	case status == http.StatusNotFound:
		v.Title, v.Link, v.Button = "There is nothing at this address", "/hub/home", "To my notebooks"
		v.Text = "Perhaps the address is misspelt, or what was here has been stopped."
	default:
		v.Title, v.Link, v.Button = "This part of the class does not answer", "/hub/home", "To my notebooks"
		v.Text = "It may come back in a moment. The rest of the class works on."
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "3")
	}
	if wantsJSON(r) || r.Header.Get("Upgrade") != "" {
		d.refuseJSON(w, status, v.Title)
		return
	}
	d.pages.show(w, r, status, "message", v)
}

// spawnLink leads to the hub's page that starts a server and then comes back.
func spawnLink(r *http.Request) string {
	if r.Method != http.MethodGet {
		return "/hub/spawn"
	}
	return "/hub/spawn?next=" + url.QueryEscape(rawTarget(r))
}

// refuseJSON answers a program, in the shape of JupyterHub's and Jupyter's errors.
func (d *door) refuseJSON(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Cache-Control", "no-store")
	answerJSON(w, status, struct {
		Status  int    `json:"status"`
		Message string `json:"message"`
		Phase   string `json:"phase"`
	}{status, message, string(d.phase())})
}

// status is the page about the class for anybody.
func (d *door) status(w http.ResponseWriter, r *http.Request) {
	about, phase := d.config.Class.About(), d.phase()
	v := view{Class: about.title(), Phase: string(phase), Notices: about.Notices, Text: about.Login}
	if v.Text == "" {
		v.Text = "Log in with the name and the password that your teacher gave you."
	}
	switch {
	case !phase.Ready():
		v.Title, v.Wait, v.Refresh = "The class is being prepared", "ready", 5
	case len(v.Notices) > 0:
		v.Title = "The class is running, with a few things to know"
	default:
		v.Title = "The class is running"
	}
	if phase.Ready() {
		v.Link, v.Button = "/", "Log in"
	}
	d.pages.show(w, r, http.StatusOK, "status", v)
}

// unknown answers below /conjured/ where we have nothing.
func (d *door) unknown(w http.ResponseWriter, r *http.Request) {
	if wantsJSON(r) {
		d.refuseJSON(w, http.StatusNotFound, "there is nothing at this address")
		return
	}
	d.pages.show(w, r, http.StatusNotFound, "message", view{
		Class: d.config.Class.About().title(), Phase: string(d.phase()),
		Title: "There is nothing at this address", Text: "Perhaps the address is misspelt.",
		Link: "/", Button: "To the class",
	})
}

// wantsJSON tells whether a program rather than a person reads the answer.
func wantsJSON(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	if strings.Contains(accept, "text/html") {
		return false
	}
	return strings.Contains(accept, "application/json") || strings.Contains(r.URL.Path+"/", "/api/")
}

// inWords is an event for a person.
func inWords(e progress.Event) job {
	j := job{Event: e, Percent: -1}
	if e.Total > 0 {
		j.Percent = int(min(100, max(0, e.Done*100/e.Total)))
		j.Amount = fmt.Sprintf("%d of %d %s", e.Done, e.Total, e.Unit)
	} else if e.Done > 0 {
		j.Amount = fmt.Sprintf("%d %s", e.Done, e.Unit)
	}
	switch left := e.Eta; {
	case left <= 0 || e.State != progress.Running:
	case left < 90:
		j.Left = fmt.Sprintf("about %d seconds left", max(5, 5*int((left+4)/5)))
	default:
		j.Left = fmt.Sprintf("about %d minutes left", int((left+30)/60))
	}
	return j
}
