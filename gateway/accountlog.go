package gateway

import (
	"encoding/json"
	"net/http"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/notice"
)

// accountLog writes one entry a line, and flushes where the reader may be waiting.
func (a daemonAPI) accountLog(w http.ResponseWriter, r *http.Request) {
	if a.AccountLog == nil {
		missing(w)
		return
	}
	q, err := api.ParseLogQuery(r.URL.Query())
	if err != nil {
		answerJSON(w, http.StatusBadRequest, api.Problem{Notices: notice.List{{
			Code: "api-bad-request", Severity: notice.SeverityError,
			What:  "conjured was asked for a time that it cannot read",
			Means: "nothing was changed",
			Do:    "use the conjured command that belongs to the running version",
		}}})
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc, flusher, begun := json.NewEncoder(w), http.NewResponseController(w), false
	if q.Follow && flusher.Flush() != nil {
		return
	}
	for e, err := range a.AccountLog.AccountLog(r.Context(), q) {
		if err != nil {
			if !begun && !q.Follow {
				reply(w, http.StatusOK, nil, err)
				return
			}
			panic(http.ErrAbortHandler) // so that nobody takes it for the whole
		}
		begun = true
		if enc.Encode(e) != nil || q.Follow && flusher.Flush() != nil {
			return
		}
	}
}
