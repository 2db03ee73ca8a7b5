package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"
)

// Streams are a person's side of a program in a container.
type Streams struct {
	In       io.Reader   // nil: the program has nothing to read
	Out, Err io.Writer   // nil: thrown away; a program with a terminal has only Out
	Size     <-chan Size // of the person's terminal, each time it changes; nil: never. Only with Spec.Tty
}

// Size is that of a terminal, in characters.
type Size struct{ Rows, Columns uint }

// noDetach is a key that nobody presses: the engine's usual ones, Ctrl-P Ctrl-Q, take
// the shell's key for the line before.
const noDetach = "ctrl-@,ctrl-@,ctrl-@,ctrl-@"

// Session runs a container that a person, or a script, talks to, waits for its end and
// removes it. When ctx ends the container is killed and removed first; the code is -1
// then. It may leave behind a goroutine that waits for st.In.
func (e *Engine) Session(ctx context.Context, s Spec, st Streams) (exitCode int, err error) {
	o, err := s.options(e.instance)
	if err != nil {
		return -1, err
	}
	o.Config.OpenStdin, o.Config.StdinOnce, o.Config.AttachStdin = st.In != nil, st.In != nil, st.In != nil
	r, err := e.cli.ContainerCreate(ctx, o)
	switch {
	case errdefs.IsNotFound(err) && strings.Contains(strings.ToLower(err.Error()), "no such image"):
		return -1, imageMissing(s.Image, err)
	case err != nil:
		return -1, e.wrap(ctx, "cannot create a container", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
		defer cancel()
		err = errors.Join(err, e.Remove(ctx, r.ID))
	}()
	return e.follow(ctx, r.ID, s.Tty, st)
}

// feed gives the program what there is to read, and the size of the terminal, until
// ctx ends.
func (e *Engine) feed(ctx context.Context, id string, st Streams, to client.HijackedResponse) {
	if st.In != nil {
		go func() {
			_, _ = io.Copy(to.Conn, st.In) // it ends with the program, or with what there is to read
			_ = to.CloseWrite()
		}()
	}
	if st.Size == nil {
		return
	}
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case size := <-st.Size:
				// A program that has ended has no terminal any more.
				_, _ = e.cli.ContainerResize(ctx, id, client.ContainerResizeOptions{Height: size.Rows, Width: size.Columns})
			}
		}
	}()
}

// overlay is the mount as a volume without a name, which goes with its container. See
// https://www.kernel.org/doc/html/latest/filesystems/overlayfs.html for the options.
func (m Mount) overlay() mount.Mount {
	return mount.Mount{Type: mount.TypeVolume, Target: m.Target, VolumeOptions: &mount.VolumeOptions{
		DriverConfig: &mount.Driver{Name: "local", Options: map[string]string{
			"type": "overlay", "device": "overlay",
			"o": fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", m.Source, m.Scratch.Upper, m.Scratch.Work),
		}},
	}}
}
