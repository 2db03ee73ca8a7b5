package gateway

import (
	"context"
	"net/http"

	"github.com/conjuring/conjured/api"
)

// Environments lists environments and does what is asked of them. A verb that was
// begun ends when ctx does. An error that carries notices is the asker's to solve and
// becomes 422, one with [ErrUnknown] 404; what failed for some of several environments
// is no error but in their outcomes.
type Environments interface {
	Environments(ctx context.Context) ([]api.Environment, error)
	EnvVerb(ctx context.Context, v api.EnvVerb, q api.EnvRequest) (api.EnvReply, error)
}

func (a daemonAPI) environments(w http.ResponseWriter, r *http.Request) {
	if a.Environments == nil {
		missing(w)
		return
	}
	e, err := a.Environments.Environments(r.Context())
	reply(w, http.StatusOK, api.Environments{Environments: e}, err)
}

// environmentVerb answers when the verb is done, which may take as long as a build.
func (a daemonAPI) environmentVerb(w http.ResponseWriter, r *http.Request) {
	var q api.EnvRequest
	if a.Environments == nil {
		missing(w)
	} else if read(w, r, &q) {
		out, err := a.Environments.EnvVerb(r.Context(), api.EnvVerb(r.PathValue("verb")), q)
		if out.Outcomes == nil {
			out.Outcomes = []api.EnvOutcome{}
		}
		reply(w, http.StatusOK, out, err)
	}
}
