package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/conjuring/conjured/notice"
)

// ErrNotFound is in the chain of an error about something that is not there.
var ErrNotFound = errors.New("not found")

// ErrInUse is in the chain of an error about something that cannot go because
// something else uses it.
var ErrInUse = errors.New("in use")

// wrap words an error of the engine. what reads "cannot X".
func (e *Engine) wrap(ctx context.Context, what string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	case damaged(err.Error()):
		err = StoreDamaged(fmt.Errorf("%s: %w", what, err))
		if e.onDamage != nil {
			e.onDamage(err)
		}
		return err
	case errdefs.IsNotFound(err):
		return fmt.Errorf("%s: %w: %w", what, ErrNotFound, err)
	case client.IsErrConnectionFailed(err):
		return unreachable(ctx, e.cli.DaemonHost(), fmt.Errorf("%s: %w", what, err))
	case strings.Contains(err.Error(), "no space left on device"):
		return noSpace(fmt.Errorf("%s: %w", what, err))
	case errdefs.IsConflict(err):
		return fmt.Errorf("%s: %w: %w", what, ErrInUse, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

func noSpace(err error) error {
	return &notice.Error{Notice: notice.Notice{
		Code: "docker-no-space", Severity: notice.SeverityError,
		What:  "the disk that holds Docker's images is full",
		Means: "nothing new can be prepared or started; what runs now runs on, and homes are safe",
		Do:    "free some space on this machine (old downloads, old backups), then try again",
	}, Err: err}
}

func imageMissing(ref string, err error) error {
	return &notice.Error{Notice: notice.Notice{
		Code: "image-missing", Severity: notice.SeverityError,
		What:  fmt.Sprintf("the image %s is not on this machine", ref),
		Means: "what needs it can't be started; what runs now runs on",
		Do:    "run conjured build to make it again",
	}, Err: fmt.Errorf("%w: %w", ErrNotFound, err)}
}

func nameTaken(name, state string) error {
	return &notice.Error{Notice: notice.Notice{
		Code: "name-taken", Severity: notice.SeverityError,
		What:  fmt.Sprintf("a container called %s is already there (%s), and it is not one of ours", name, state),
		Means: "that part of the class can't be started; the other container was left alone",
		Do:    fmt.Sprintf("rename or remove that container (docker rename %s other-name), then try again", name),
	}, Err: ErrInUse}
}

func portTaken(name string, err error) error {
	return &notice.Error{Notice: notice.Notice{
		Code: "port-taken", Severity: notice.SeverityError,
		What:  fmt.Sprintf("a port that %s publishes is already in use on this machine", name),
		Means: "that part of the class can't be started; the rest runs on",
		Do:    "choose another port for it in docker-compose.override.yml, or stop the program that has it",
	}, Err: err}
}
