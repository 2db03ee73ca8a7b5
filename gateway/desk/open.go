package desk

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/conjuring/conjured/gateway/session"
)

const guardPath = "/conjured/guard"

// giveGuard is an image that is none: a page of the hub asks for it so that this
// browser gets its guard.
func (d *Desk) giveGuard(w http.ResponseWriter, r *http.Request, e *session.Session) {
	d.config.Sessions.Guard(w, r, e)
	w.WriteHeader(http.StatusNoContent)
}

// openBody is the page before somebody else's server.
type openBody struct{ User, To string }

// openForeign asks before it lets a browser show a server that is not its person's
// own. Whoever has logged in anew at this browser goes on at once.
func (d *Desk) openForeign(w http.ResponseWriter, r *http.Request, e *session.Session) {
	to := r.FormValue("to")
	user, ok := serverOf(to)
	// At a computer that many use the guard may be of somebody who has logged out since.
	if _, err := d.config.Sessions.Sure(r.Context(), e); errors.Is(err, session.ErrNone) {
		d.nobody(w, r)
		return
	}
	switch {
	case !ok:
		back(w, r, "/conjured/account", nil)
	case user == e.Name:
		d.config.Sessions.Guard(w, r, e)
		http.Redirect(w, r, to, http.StatusSeeOther)
	case r.Method == http.MethodPost:
		d.config.Log.Info("somebody opens another person's server", "who", e.Name, "user", user)
		d.config.Sessions.Open(w, r, e, user)
		http.Redirect(w, r, to, http.StatusSeeOther)
	default:
		d.show(w, r, e, http.StatusOK, "open", view{Title: "This is " + user + "'s server", Body: openBody{user, to}})
	}
}

// serverOf is whose server a path leads to; false for anything but a plain path below
// /user/.
func serverOf(to string) (string, bool) {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || strings.ContainsAny(to, "\\\r\n\t") {
		return "", false
	}
	rest, ok := strings.CutPrefix(u.Path, "/user/")
	name, _, _ := strings.Cut(rest, "/")
	return name, ok && name != "" && name != "." && name != ".."
}
