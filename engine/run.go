package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// cleanUp bounds the removal of a container after its caller has gone.
const cleanUp = 15 * time.Second

// Run creates a container, sends what it prints (both streams) to out, waits for it
// and removes it. When ctx ends the container is killed and removed first; the code
// is -1 then. A container of ours with that name which no longer runs is replaced.
func (e *Engine) Run(ctx context.Context, s Spec, out io.Writer) (exitCode int, err error) {
	if s.Name != "" {
		if c, err := e.Inspect(ctx, s.Name); err == nil && c.Labels[LabelInstance] == e.instance && c.State == "exited" {
			if err := e.Remove(ctx, c.ID); err != nil {
				return -1, err
			}
		}
	}
	id, err := e.Create(ctx, s)
	if err != nil {
		return -1, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
		defer cancel()
		err = errors.Join(err, e.Remove(ctx, id))
	}()
	return e.follow(ctx, id, s.Tty, Streams{Out: out, Err: out})
}

// follow starts a created container and stays with it to its end. Attaching and
// waiting come before the start: a short program would be over otherwise.
func (e *Engine) follow(ctx context.Context, id string, tty bool, st Streams) (int, error) {
	att, err := e.cli.ContainerAttach(ctx, id, client.ContainerAttachOptions{
		Stream: true, Stdin: st.In != nil, Stdout: true, Stderr: true, DetachKeys: noDetach,
	})
	if err != nil {
		return -1, e.wrap(ctx, "cannot attach to container "+short(id), err)
	}
	defer att.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := e.cli.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	if err := e.Start(ctx, id); err != nil {
		return -1, err
	}
	copied := make(chan error, 1)
	go func() { copied <- copyOut(st, att.HijackedResponse, tty) }()
	e.feed(ctx, id, st, att.HijackedResponse)
	code, err := e.awaitExit(ctx, id, w)
	if err != nil {
		att.Close()
		<-copied
		return -1, err
	}
	// The stream ends with the process, unless a child of it still holds the pipe.
	select {
	case err = <-copied:
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-time.After(2 * time.Second):
		att.Close()
		<-copied
	}
	if err != nil {
		return code, fmt.Errorf("cannot read what container %s printed: %w", short(id), err)
	}
	return code, nil
}

func copyOut(st Streams, r client.HijackedResponse, tty bool) error {
	for _, w := range []*io.Writer{&st.Out, &st.Err} {
		if *w == nil {
			*w = io.Discard
		}
	}
	var err error
	if tty {
		_, err = io.Copy(st.Out, r.Reader)
	} else {
		_, err = stdcopy.StdCopy(st.Out, st.Err, r.Reader)
	}
	return err
}

// Exec runs cmd in a running container as user ("" is the container's own) and gives
// its exit code. When ctx ends Exec returns; the program in the container runs on,
// since the engine has no way to stop it.
func (e *Engine) Exec(ctx context.Context, id string, cmd []string, user string, out io.Writer) (int, error) {
	what := "cannot run a command in container " + short(id)
	c, err := e.cli.ExecCreate(ctx, id, client.ExecCreateOptions{Cmd: cmd, User: user, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return -1, e.wrap(ctx, what, err)
	}
	att, err := e.cli.ExecAttach(ctx, c.ID, client.ExecAttachOptions{})
	if err != nil {
		return -1, e.wrap(ctx, what, err)
	}
	defer att.Close()
	copied := make(chan error, 1)
	go func() { copied <- copyOut(Streams{Out: out, Err: out}, att.HijackedResponse, false) }()
	select {
	case err = <-copied:
	case <-ctx.Done():
		att.Close()
		<-copied
		return -1, fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
	if err != nil {
		return -1, fmt.Errorf("%s: %w", what, err)
	}
	r, err := e.cli.ExecInspect(ctx, c.ID, client.ExecInspectOptions{})
	if err != nil {
		return -1, e.wrap(ctx, what, err)
	}
	return r.ExitCode, nil
}
