package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/history"
	"github.com/conjuring/conjured/notice"
)

// Did says what a verb came to.
type Did string

// What a verb can come to.
const (
	Unchanged  Did = "unchanged" // it was as asked already; nothing was written
	Resolved   Did = "resolved"
	Tagged     Did = "tagged"
	Deployed   Did = "deployed" // there is a new generation to choose
	Promoted   Did = "promoted"
	Waiting    Did = "waiting" // it needs somebody's word
	RolledBack Did = "rolled-back"
	Labelled   Did = "labelled"
	Pinned     Did = "pinned"
	Unpinned   Did = "unpinned"
	WasReset   Did = "reset"
	Verified   Did = "verified"
	Removed    Did = "removed"
	Removable  Did = "removable" // nobody needs it; it was only looked at
	Repaired   Did = "repaired"
	Imported   Did = "imported"
	Exported   Did = "exported"
	Failed     Did = "failed"
)

// Outcome is what a verb came to for one environment.
type Outcome struct {
	Env        string
	Did        Did
	Generation int                   // 0: none
	Tag        string                // "": none, or the history could not be asked
	Labels     map[string]int        // after it; generation numbers
	Changes    *environments.Changes // against what was in use before; nil when that was not looked at
	Sentence   string                // Changes for a teacher, without a full stop
	Notices    notice.List           // what people should know, also about Err
	Err        error                 // nil unless Did is Failed
}

// failed makes o the outcome of err. Both are given, for callers with one environment
// and for those with a list.
func (o Outcome) failed(err error) (Outcome, error) {
	o.Did, o.Err = Failed, err
	o.Notices = append(o.Notices, notice.For(err)...)
	return o, err
}

// also is o, failed if err is not nil.
func (o Outcome) also(err error) (Outcome, error) {
	if err != nil {
		return o.failed(err)
	}
	return o, nil
}

// compare fills in the way from one generation to another.
func (o *Outcome) compare(from, to environments.Generation, display string) {
	ch := environments.Diff(from.Manifest, to.Manifest)
	if from.Number == 0 { // the first one: everything is new, and no interpreter changed
		ch.Python, ch.Platform = nil, nil
	}
	o.Changes, o.Sentence = &ch, ch.Sentence(display)
}

// MissingError says which files a manifest needs that are neither here nor to be had.
type MissingError struct {
	Env   string
	Tag   string // "" for what is current
	Files []string
	Err   error
}

// Error is the cause and how many files are missing.
func (e *MissingError) Error() string {
	return fmt.Sprintf("cannot build %s: %d files are missing: %v", e.Env, len(e.Files), e.Err)
}

// Unwrap gives a notice that lists the files, and the cause.
func (e *MissingError) Unwrap() []error {
	list, more := e.Files, ""
	if len(list) > 20 {
		list, more = list[:20], fmt.Sprintf(" and %d more", len(e.Files)-20)
	}
	what := fmt.Sprintf("%s cannot be built: the box does not have %s", e.Env, joined(list)+more)
	if e.Tag != "" {
		what = fmt.Sprintf("%s of %s cannot be built: the box does not have %s", e.Tag, e.Env, joined(list)+more)
	}
	return []error{&notice.Error{Notice: notice.Notice{
		Code: "environment-files-missing", Severity: notice.SeverityError, What: what,
		Means: "kernels keep the packages they have",
		Do:    "connect the box to the network and do the same again",
	}, Err: e.Err}}
}

// refused is an error that somebody can do something about.
func refused(code, what, means, do string, err error) error {
	return &notice.Error{Notice: notice.Notice{
		Code: code, Severity: notice.SeverityError, What: what, Means: means, Do: do,
	}, Err: err}
}

// noEnvironment is the error of a name that nothing has.
func noEnvironment(env string, err error) error {
	return refused("environment-unknown", fmt.Sprintf("there is no environment %.60q with packages that are ready", env),
		"nothing was changed", "look at the names with: conjured env list", err)
}

// unknown turns the store's answer about a name or a number into words.
func unknown(env string, err error) error {
	if errors.Is(err, environments.ErrNoGeneration) {
		return noEnvironment(env, err)
	}
	return err
}

// moved words an error of a directory that somebody named, where it has no words of its own.
func moved(ctx context.Context, code, what string, err error) error {
	if l := notice.For(err); ctx.Err() != nil || len(l) != 1 || l[0].Code != "unexpected" {
		return err
	}
	do := "look at conjured doctor: a full disk is the usual reason"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		what, do = what+": there is no such directory", "check the spelling of the path"
	case errors.Is(err, syscall.ENOTDIR):
		what, do = what+": a part of the path is a file", "name a directory"
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		what, do = what+": nothing can be written there", "name another place"
	case errors.Is(err, history.ErrNothing):
		what, do = what+": there is no environment in it yet", "make one first: conjured env update --all"
	}
	return refused(code, what, "the environments of this box are as they were", do, err)
}
