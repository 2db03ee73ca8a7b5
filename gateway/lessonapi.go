package gateway

import (
	"net/http"

	"github.com/conjuring/conjured/api"
)

func (a daemonAPI) lesson(w http.ResponseWriter, r *http.Request) {
	if a.Lessons == nil {
		missing(w)
		return
	}
	l, err := a.Lessons.Lesson(r.Context())
	reply(w, http.StatusOK, l, err)
}

func (a daemonAPI) beginClass(w http.ResponseWriter, r *http.Request) {
	var in api.BeginClass
	if a.Lessons == nil {
		missing(w)
	} else if read(w, r, &in) {
		l, err := a.Lessons.BeginClass(r.Context(), in.Users)
		reply(w, http.StatusAccepted, l, err)
	}
}

func (a daemonAPI) endClass(w http.ResponseWriter, r *http.Request) {
	var in api.EndClass
	if a.Lessons == nil {
		missing(w)
	} else if read(w, r, &in) {
		l, err := a.Lessons.EndClass(r.Context(), in.StopAll)
		reply(w, http.StatusOK, l, err)
	}
}
