package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// Reporter tells how the class is.
type Reporter interface {
	Status(ctx context.Context) (api.Status, error)
}

// Setups turns folders into setups. An error that carries notices is the
// teacher's to solve and becomes 422.
type Setups interface {
	Apply(ctx context.Context, dir string) (api.Applied, error)
	Build(ctx context.Context, b api.Build) (api.Applied, error)
	Result(ctx context.Context, id string) (api.Result, error) // waits; ErrUnknown
}

// Accounts are the accounts of the roster.
type Accounts interface {
	Users(ctx context.Context) ([]api.User, error)
	SetPassword(ctx context.Context, name, password string) (string, error) // ErrUnknown
}

// Lessons starts servers before their students come.
type Lessons interface {
	Lesson(ctx context.Context) (api.Lesson, error)
	BeginClass(ctx context.Context, users []string) (api.Lesson, error) // ErrUnknown; nobody named is everybody
	EndClass(ctx context.Context, all bool) (api.Lesson, error)
}

// AccountLog is what happened to accounts. Entries come with the oldest first, and
// with follow go on until ctx ends. An error comes last.
type AccountLog interface {
	AccountLog(ctx context.Context, q api.LogQuery) iter.Seq2[api.LogEntry, error]
}

// Daemon is what the API on api.sock speaks for. A nil part answers 501.
type Daemon struct {
	Reporter     Reporter
	Setups       Setups
	Accounts     Accounts
	AccountLog   AccountLog
	Environments Environments
	Lessons      Lessons
	Progress     *progress.Hub
	Stop         func() // begins to stop the daemon; returns at once
}

// ErrUnknown is in the chain of an error about a setup or account that does not
// exist; it becomes 404.
var ErrUnknown = errors.New("not known")

// NewDaemonAPI serves package api's paths. The caller serves it on a socket that
// only root can open.
func NewDaemonAPI(d Daemon) http.Handler {
	mux := http.NewServeMux()
	a := daemonAPI{d}
	mux.HandleFunc("GET "+api.PathStatus, a.status)
	mux.HandleFunc("POST "+api.PathApply, a.apply)
	mux.HandleFunc("GET "+api.PathApplied+"/{id}", a.applied)
	mux.HandleFunc("POST "+api.PathBuild, a.build)
	mux.HandleFunc("GET "+api.PathEvents, a.events)
	mux.HandleFunc("GET "+api.PathUsers, a.users)
	mux.HandleFunc("GET "+api.PathUsersLog, a.accountLog)
	mux.HandleFunc("POST "+api.PathUsers+"/{name}/password", a.password)
	mux.HandleFunc("GET "+api.PathEnvironments, a.environments)
	mux.HandleFunc("POST "+api.PathEnvironments+"/{verb}", a.environmentVerb)
	mux.HandleFunc("GET "+api.PathClass, a.lesson)
	mux.HandleFunc("POST "+api.PathClass, a.beginClass)
	mux.HandleFunc("POST "+api.PathClassEnd, a.endClass)
	mux.HandleFunc("POST "+api.PathStop, a.stop)
	return mux
}

type daemonAPI struct{ Daemon }

const maxRequest = 1 << 20 // bytes of a request's body

func (a daemonAPI) status(w http.ResponseWriter, r *http.Request) {
	if a.Reporter == nil {
		missing(w)
		return
	}
	s, err := a.Reporter.Status(r.Context())
	reply(w, http.StatusOK, s, err)
}

func (a daemonAPI) apply(w http.ResponseWriter, r *http.Request) {
	var in api.Apply
	if a.Setups == nil {
		missing(w)
	} else if read(w, r, &in) {
		out, err := a.Setups.Apply(r.Context(), in.Dir)
		reply(w, http.StatusAccepted, out, err)
	}
}

func (a daemonAPI) build(w http.ResponseWriter, r *http.Request) {
	var in api.Build
	if a.Setups == nil {
		missing(w)
	} else if read(w, r, &in) {
		out, err := a.Setups.Build(r.Context(), in)
		reply(w, http.StatusAccepted, out, err)
	}
}

func (a daemonAPI) applied(w http.ResponseWriter, r *http.Request) {
	if a.Setups == nil {
		missing(w)
		return
	}
	out, err := a.Setups.Result(r.Context(), r.PathValue("id"))
	reply(w, http.StatusOK, out, err)
}

func (a daemonAPI) users(w http.ResponseWriter, r *http.Request) {
	if a.Accounts == nil {
		missing(w)
		return
	}
	u, err := a.Accounts.Users(r.Context())
	reply(w, http.StatusOK, api.Users{Users: u}, err)
}

func (a daemonAPI) password(w http.ResponseWriter, r *http.Request) {
	var in api.Password
	if a.Accounts == nil {
		missing(w)
	} else if read(w, r, &in) {
		p, err := a.Accounts.SetPassword(r.Context(), r.PathValue("name"), in.Password)
		w.Header().Set("Cache-Control", "no-store")
		reply(w, http.StatusOK, api.Password{Password: p}, err)
	}
}

func (a daemonAPI) stop(w http.ResponseWriter, _ *http.Request) {
	if a.Stop == nil {
		missing(w)
		return
	}
	a.Stop()
	w.WriteHeader(http.StatusAccepted)
}

// events writes the newest event of each job, then news as it comes.
func (a daemonAPI) events(w http.ResponseWriter, r *http.Request) {
	if a.Progress == nil {
		missing(w)
		return
	}
	live, stop := a.Progress.Watch()
	defer stop()
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc, flusher := json.NewEncoder(w), http.NewResponseController(w)
	for _, e := range a.Progress.Newest() {
		_ = enc.Encode(e) // one that is gone is found out by the next flush
	}
	for {
		if err := flusher.Flush(); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case e := <-live:
			if err := enc.Encode(e); err != nil {
				return
			}
		}
	}
}

// read decodes the body into v, or answers 400.
func read(w http.ResponseWriter, r *http.Request, v any) bool {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(v)
	if err == nil {
		return true
	}
	answerJSON(w, http.StatusBadRequest, api.Problem{Notices: notice.List{{
		Code: "api-bad-request", Severity: notice.SeverityError,
		What:  "conjured was sent a request that it cannot read",
		Means: "nothing was changed",
		Do:    "use the conjured command that belongs to the running version",
	}}})
	return false
}

// reply answers v, or what err says.
func reply(w http.ResponseWriter, status int, v any, err error) {
	if err == nil {
		answerJSON(w, status, v)
		return
	}
	var worded *notice.Error
	var list notice.List
	switch {
	case errors.Is(err, ErrUnknown):
		status = http.StatusNotFound
	case errors.As(err, &worded), errors.As(err, &list):
		status = http.StatusUnprocessableEntity
	default:
		status = http.StatusInternalServerError
	}
	answerJSON(w, status, api.Problem{Notices: notice.For(err)})
}

// missing answers for a part that this daemon does not have.
func missing(w http.ResponseWriter) {
	answerJSON(w, http.StatusNotImplemented, api.Problem{Notices: notice.List{{
		Code: "api-missing-part", Severity: notice.SeverityError,
		What:  "this conjured cannot do that",
		Means: "nothing was changed",
		Do:    "look at conjured version and conjured status",
	}}})
}
