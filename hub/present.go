package hub

import "net/http"

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
