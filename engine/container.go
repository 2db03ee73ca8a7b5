package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// maxLog bounds what Logs returns, in bytes: a student's server may print forever.
const maxLog = 1 << 20

// Container is a container as it was when we looked.
type Container struct {
	ID, Name          string
	Image             string // image id
	State             string // created, running, paused, restarting, removing, exited, dead
	Labels            map[string]string
	ExitCode          int
	OOMKilled         bool
	Started, Finished time.Time // zero from List
	Err               string    // why it could not start; "" from List
	Pid               int       // of its first process on this machine; 0 when it does not run, and from List
}

// Create makes a container, not started, with the instance label added. A left-over
// of ours that holds the name and never ran is replaced; a container that is not ours
// is a notice, and one of ours that ran is an error with [ErrInUse].
func (e *Engine) Create(ctx context.Context, s Spec) (id string, err error) {
	o, err := s.options(e.instance)
	if err != nil {
		return "", err
	}
	r, err := e.cli.ContainerCreate(ctx, o)
	if errdefs.IsConflict(err) && s.Name != "" {
		if err := e.freeName(ctx, s.Name); err != nil {
			return "", err
		}
		r, err = e.cli.ContainerCreate(ctx, o)
	}
	if errdefs.IsNotFound(err) && strings.Contains(strings.ToLower(err.Error()), "no such image") {
		return "", imageMissing(s.Image, err)
	}
	if err != nil {
		return "", e.wrap(ctx, "cannot create container "+s.Name, err)
	}
	return r.ID, nil
}

// freeName removes our left-over called name. A `Created` container is what a failed
// start, or a daemon that died between create and start, leaves behind.
func (e *Engine) freeName(ctx context.Context, name string) error {
	c, err := e.Inspect(ctx, name)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil // gone meanwhile
	case err != nil:
		return err
	case c.Labels[LabelInstance] != e.instance:
		return nameTaken(name, c.State)
	case c.State != "created" && c.State != "dead":
		return fmt.Errorf("cannot create container %s: ours of that name is %s: %w", name, c.State, ErrInUse)
	}
	return e.Remove(ctx, c.ID)
}

// Weigh changes the CPU weight of a container, also while it runs; 1024 is usual. It
// counts only while CPU is short.
func (e *Engine) Weigh(ctx context.Context, id string, shares int64) error {
	_, err := e.cli.ContainerUpdate(ctx, id, client.ContainerUpdateOptions{Resources: &container.Resources{CPUShares: shares}})
	return e.wrap(ctx, "cannot change the weight of container "+short(id), err)
}

// Start starts a container that was created or has exited.
func (e *Engine) Start(ctx context.Context, id string) error {
	_, err := e.cli.ContainerStart(ctx, id, client.ContainerStartOptions{})
	if err != nil && (strings.Contains(err.Error(), "port is already allocated") || strings.Contains(err.Error(), "address already in use")) {
		return portTaken(short(id), err)
	}
	if err != nil && e.onDamage != nil && strings.Contains(err.Error(), "unable to start container process") {
		e.onDamage(err) // its image may lack what it is started with
	}
	return e.wrap(ctx, "cannot start container "+short(id), err)
}

// Stop asks a container to end and kills it after grace, rounded up to a second. One
// that is not there or has already stopped is no error.
func (e *Engine) Stop(ctx context.Context, id string, grace time.Duration) error {
	n := int((grace + time.Second - 1) / time.Second)
	_, err := e.cli.ContainerStop(ctx, id, client.ContainerStopOptions{Timeout: &n})
	if errdefs.IsNotFound(err) || errdefs.IsNotModified(err) {
		return nil
	}
	return e.wrap(ctx, "cannot stop container "+short(id), err)
}

// Kill sends a signal ("SIGHUP"; "" is SIGKILL) to a container's first process.
func (e *Engine) Kill(ctx context.Context, id, signal string) error {
	_, err := e.cli.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: signal})
	return e.wrap(ctx, "cannot signal container "+short(id), err)
}

// Remove removes a container, running or not, with its anonymous volumes. One that is
// not there, or is on its way out, is no error.
func (e *Engine) Remove(ctx context.Context, id string) error {
	_, err := e.cli.ContainerRemove(ctx, id, client.ContainerRemoveOptions{RemoveVolumes: true, Force: true})
	if errdefs.IsNotFound(err) || (err != nil && strings.Contains(err.Error(), "is already in progress")) {
		return nil
	}
	return e.wrap(ctx, "cannot remove container "+short(id), err)
}

// Inspect looks at any container, ours or not. It fails with [ErrNotFound] when there
// is none.
func (e *Engine) Inspect(ctx context.Context, idOrName string) (Container, error) {
	r, err := e.cli.ContainerInspect(ctx, idOrName, client.ContainerInspectOptions{})
	if err != nil {
		return Container{}, e.wrap(ctx, "cannot look at container "+short(idOrName), err)
	}
	c := Container{ID: r.Container.ID, Name: strings.TrimPrefix(r.Container.Name, "/"), Image: r.Container.Image}
	if r.Container.Config != nil {
		c.Labels = r.Container.Config.Labels
	}
	if s := r.Container.State; s != nil {
		c.State, c.ExitCode, c.OOMKilled, c.Err = string(s.Status), s.ExitCode, s.OOMKilled, s.Error
		c.Started, c.Finished = when(s.StartedAt), when(s.FinishedAt)
		c.Pid = s.Pid
	}
	return c, nil
}

// when reads the engine's times; "0001-01-01T00:00:00Z" is its word for never.
func when(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t
}

// List gives this instance's containers, running or not, that carry all of labels.
func (e *Engine) List(ctx context.Context, labels map[string]string) ([]Container, error) {
	f := client.Filters{}.Add("label", LabelInstance+"="+e.instance)
	for k, v := range labels {
		f = f.Add("label", k+"="+v)
	}
	r, err := e.cli.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: f})
	if err != nil {
		return nil, e.wrap(ctx, "cannot list containers", err)
	}
	out := make([]Container, 0, len(r.Items))
	for _, s := range r.Items {
		c := Container{ID: s.ID, Image: s.ImageID, State: string(s.State), Labels: s.Labels, ExitCode: exitCode(s.Status)}
		if len(s.Names) > 0 {
			c.Name = strings.TrimPrefix(s.Names[0], "/")
		}
		out = append(out, c)
	}
	return out, nil
}

// exitCode reads "Exited (137) 2 minutes ago", the only place a list has it.
func exitCode(status string) int {
	_, rest, ok := strings.Cut(status, "Exited (")
	if !ok {
		return 0
	}
	digits, _, _ := strings.Cut(rest, ")")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}

// Wait waits until a container does not run and gives its exit code.
func (e *Engine) Wait(ctx context.Context, id string) (int, error) {
	return e.awaitExit(ctx, id, e.cli.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning}))
}

func (e *Engine) awaitExit(ctx context.Context, id string, w client.ContainerWaitResult) (int, error) {
	select {
	case r := <-w.Result:
		if r.Error != nil && r.Error.Message != "" {
			return int(r.StatusCode), fmt.Errorf("cannot wait for container %s: %s", short(id), r.Error.Message)
		}
		return int(r.StatusCode), nil
	case err := <-w.Error:
		return -1, e.wrap(ctx, "cannot wait for container "+short(id), err)
	case <-ctx.Done():
		return -1, fmt.Errorf("cannot wait for container %s: %w", short(id), context.Cause(ctx))
	}
}

// Logs gives the newest lines a container printed, on either stream, at most 1 MiB.
func (e *Engine) Logs(ctx context.Context, id string, lines int) (string, error) {
	c, err := e.cli.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return "", e.wrap(ctx, "cannot read the log of container "+short(id), err)
	}
	r, err := e.cli.ContainerLogs(ctx, id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(lines)})
	if err != nil {
		return "", e.wrap(ctx, "cannot read the log of container "+short(id), err)
	}
	defer r.Close()
	var out bytes.Buffer
	limited := io.LimitReader(r, maxLog)
	if c.Container.Config != nil && c.Container.Config.Tty {
		_, err = io.Copy(&out, limited)
	} else {
		_, err = stdcopy.StdCopy(&out, &out, limited)
	}
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return out.String(), e.wrap(ctx, "cannot read the log of container "+short(id), err)
	}
	return out.String(), nil
}

// short is an id as people see it; names stay as they are.
func short(id string) string {
	if len(id) == 64 {
		return id[:12]
	}
	return id
}
