package desk

import (
	"errors"
	"net"
	"net/http"

	"github.com/conjuring/conjured/gateway/session"
)

// handler answers somebody who is logged in.
type handler func(w http.ResponseWriter, r *http.Request, e *session.Session)

const maxForm = 16 << 10 // bytes of a posted form

// page makes handlers for pages that need a login, and with teacher one of an admin.
func (d *Desk) page(teacher bool) func(handler) http.HandlerFunc {
	return func(h handler) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			e, err := d.config.Sessions.Of(r)
			switch {
			case errors.Is(err, session.ErrHubAway):
				d.hubAway(w, r)
			case err != nil:
				d.nobody(w, r)
			case teacher && !e.Admin:
				d.forTeachers(w, r, e)
			case r.Method == http.MethodPost && !d.meant(w, r, e):
			case r.Method != http.MethodPost && framed(r) && !script(r):
				d.refuse(w, r, e)
			default:
				h(w, r, e)
			}
		}
	}
}

// framed tells whether a page with a form's token would not be shown in a window of
// its own. Browsers say so where they trust the connection (HTTPS, this machine).
func framed(r *http.Request) bool {
	dest := r.Header.Get("Sec-Fetch-Dest")
	return dest != "" && dest != "document"
}

// script tells whether an address is for our scripts; what it answers holds no token.
func script(r *http.Request) bool {
	return r.URL.Path == "/conjured/teach/live" || r.URL.Path == "/conjured/account/servers" || r.URL.Path == guardPath
}

// meant refuses what comes from no form of ours.
func (d *Desk) meant(w http.ResponseWriter, r *http.Request, e *session.Session) bool {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		d.refuse(w, r, e)
		return false
	}
	if err := e.Meant(r); err != nil {
		d.refuse(w, r, e)
		return false
	}
	return true
}

// nobody sends a browser through the login; a form that was posted is lost with the
// session it came from.
func (d *Desk) nobody(w http.ResponseWriter, r *http.Request) {
	switch {
	case script(r) && r.URL.Path != guardPath:
		http.Error(w, "nobody is logged in", http.StatusUnauthorized)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		d.config.Sessions.Begin(w, r, r.URL.RequestURI())
	default:
		d.show(w, r, nil, http.StatusUnauthorized, "message", view{Title: "Nothing was changed", Body: message{
			Text: "Your login had ended before the form arrived. Go back to the page and do it again.",
			Link: "/conjured/account", Button: "Log in again",
		}})
	}
}

func (d *Desk) forTeachers(w http.ResponseWriter, r *http.Request, e *session.Session) {
	if script(r) {
		http.Error(w, "for teachers only", http.StatusForbidden)
		return
	}
	d.show(w, r, e, http.StatusForbidden, "message", view{Title: "This page is for teachers", Body: message{
		Text: "You are logged in as " + e.Name + ". Your own servers and your password are on your page.",
		Link: "/conjured/account", Button: "To my page",
	}})
}

func (d *Desk) refuse(w http.ResponseWriter, r *http.Request, e *session.Session) {
	d.show(w, r, e, http.StatusForbidden, "message", view{Title: "Nothing was changed", Body: message{
		Text: "The request did not come from a form on this page, or the form was an old one. Open the page again and repeat it there.",
		Link: "/conjured/account", Button: "To my page",
	}})
}

func (d *Desk) hubAway(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", "3")
	if script(r) {
		http.Error(w, "the class is being restarted", http.StatusServiceUnavailable)
		return
	}
	d.show(w, r, nil, http.StatusServiceUnavailable, "message", view{
		Title: "The class is being restarted", Wait: "hub", Refresh: 4, Body: message{
			Text: "This takes a few seconds. Notebooks that are open keep running, and this page goes on by itself.",
		},
	})
}

// callback ends a login.
func (d *Desk) callback(w http.ResponseWriter, r *http.Request) {
	next, err := d.config.Sessions.Finish(w, r)
	switch {
	case err == nil:
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	case errors.Is(err, session.ErrHubAway):
		d.hubAway(w, r)
		return
	}
	d.config.Log.Info("a login at the class's own pages was refused", "error", err)
	if e, known := d.config.Sessions.Of(r); known == nil && errors.Is(err, session.ErrForged) {
		// The login of another tab was quicker, or somebody went back to an old address.
		back(w, r, "/conjured/account", nil)
		_ = e
		return
	}
	d.show(w, r, nil, http.StatusForbidden, "message", view{Title: "The login did not work", Body: message{
		Text: "It took too long, was begun in another window, or this account is not in the class any more. Try once more.",
		Link: "/conjured/account", Button: "Log in again",
	}})
}

// logout ends our session and then the hub's, which asks nothing.
func (d *Desk) logout(w http.ResponseWriter, r *http.Request) {
	e, err := d.config.Sessions.Of(r)
	if err == nil && !d.meant(w, r, e) {
		return
	}
	d.config.Sessions.End(w, r)
	back(w, r, "/hub/logout", nil)
}

// address is the browser's, without a port.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}
