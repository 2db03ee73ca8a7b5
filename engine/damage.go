package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/moby/moby/client"

	"github.com/conjuring/conjured/notice"
)

// ErrDamaged is in the chain of an error that says that the engine's own store lacks
// something: a layer's directory, a record about a layer. Power cuts and full disks do
// that. The engine goes on answering, and says the same for ever.
var ErrDamaged = errors.New("the image store is damaged")

// losses are what the engine says of a store that lacks something, seen with 20.10 and
// overlay2; the last line is of engines that keep images in containerd.
var losses = []string{
	"layer does not exist", "layer not retained", "can not convert active ",
	"error creating overlay mount to ", "failed to get layer ", "failed to register layer: ",
	"missing parent \"",
}

// fileTroubles are what the kernel says of a file that the store counts on.
var fileTroubles = []string{
	"no such file or directory", "invalid argument", "not a directory", "input/output error", "structure needs cleaning", "unexpected EOF",
}

// damaged reads from an engine's words whether its store lacks something.
func damaged(words string) bool {
	for _, s := range losses {
		if strings.Contains(words, s) {
			return !strings.Contains(words, "no space left on device")
		}
	}
	if strings.Contains(words, "failed to prune build cache") || strings.Contains(words, "failed to solve") {
		if strings.Contains(words, "lease \"") && strings.Contains(words, "not found") {
			return true
		}
	}
	if !strings.Contains(words, "/overlay2") && !strings.Contains(words, "/io.containerd.snapshotter.") {
		return false
	}
	for _, s := range fileTroubles {
		if strings.Contains(words, s) {
			return true
		}
	}
	return false
}

// Damaged tells whether err comes from a damaged store, also when it came on another
// way than through this package, as what the builder says does.
func Damaged(err error) bool {
	return err != nil && (errors.Is(err, ErrDamaged) || damaged(err.Error()))
}

// StoreDamaged is err as people are told of it. A nil err gives nil.
func StoreDamaged(err error) error {
	if err == nil || errors.Is(err, ErrDamaged) {
		return err
	}
	return &notice.Error{Notice: notice.Notice{
		Code: "docker-damaged", Severity: notice.SeverityError,
		What:  "Docker has lost parts of the images on this machine, as happens when the power is cut or the disk fills up",
		Means: "new servers may not start until the images are made again; who works goes on, and homes, accounts and packages are safe",
		Do:    "nothing: the box makes the images again by itself, which takes a few minutes with a network",
	}, Err: fmt.Errorf("%w: %w", ErrDamaged, err)}
}

// Discard removes an image by name or id even when it is damaged, with all its names if
// it is an id. One that is not there is no error; what a running container uses stays,
// without that name, and is [ErrInUse] when it was asked for by id.
func (e *Engine) Discard(ctx context.Context, ref string) error {
	_, err := e.cli.ImageRemove(ctx, ref, client.ImageRemoveOptions{Force: true, PruneChildren: true})
	if err = e.wrap(ctx, "cannot remove image "+ref, err); errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// DropBuildCache forgets everything that the builder keeps to be quicker next time: it
// holds layers that no image has any more, and would use a damaged one again.
func (e *Engine) DropBuildCache(ctx context.Context) error {
	_, err := e.cli.BuildCachePrune(ctx, client.BuildCachePruneOptions{All: true})
	return e.wrap(ctx, "cannot drop the build cache", err)
}
