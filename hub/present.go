package hub

import (
	"maps"
	"net/http"
	"time"
)

// answerWatched hears that a student looks at the page that waits for a server: it is
// started for a person now, whoever asked for it first.
func (h *Hub) answerWatched(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	s := h.starts[r.PathValue("id")]
	h.mu.Unlock()
	if s == nil {
		reply(w, http.StatusNotFound, refusal{"no such server is being started"})
		return
	}
	h.present(s.ask.User)
	w.WriteHeader(http.StatusNoContent)
}

// present notes that a student is here: what is started for them goes before what is
// started ahead, and what was is in use.
func (h *Hub) present(user string) {
	h.queue.promote(user)
	h.used(user)
}

// foundRunning tells whoever waits for a server to be asked for that it runs already.
func (h *Hub) foundRunning(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ch := h.expected[id]; ch != nil {
		delete(h.expected, id)
		ch <- nil
	}
}

// startNoise is how long JupyterHub asks about a user because a start was asked of it.
const startNoise = 5 * time.Second

// noteAsked remembers that we asked JupyterHub for a server of user.
func (h *Hub) noteAsked(user string) {
	h.lesson.mu.Lock()
	defer h.lesson.mu.Unlock()
	maps.DeleteFunc(h.lesson.asked, func(_ string, at time.Time) bool { return time.Since(at) > startNoise })
	h.lesson.asked[user] = time.Now()
}

// askedFor tells whether JupyterHub's question about a user is likely our own doing.
func (h *Hub) askedFor(user string) bool {
	h.lesson.mu.Lock()
	defer h.lesson.mu.Unlock()
	at, ok := h.lesson.asked[user]
	return ok && time.Since(at) < startNoise
}
