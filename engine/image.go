package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/moby/moby/client"

	"github.com/conjuring/conjured/progress"
)

// Image is an image on this machine.
type Image struct {
	ID      string
	Tags    []string
	Labels  map[string]string
	Size    int64 // bytes, with all its layers
	Created time.Time
}

// Image looks up an image by name or id. It fails with [ErrNotFound] when it is not
// on this machine.
func (e *Engine) Image(ctx context.Context, ref string) (Image, error) {
	r, err := e.cli.ImageInspect(ctx, ref)
	if err != nil {
		return Image{}, e.wrap(ctx, "cannot look at image "+ref, err)
	}
	i := Image{ID: r.ID, Tags: r.RepoTags, Size: r.Size, Created: when(r.Created)}
	if r.Config != nil {
		i.Labels = r.Config.Labels
	}
	return i, nil
}

// Images lists the images that carry all of labels; an empty value means any value.
func (e *Engine) Images(ctx context.Context, labels map[string]string) ([]Image, error) {
	f := client.Filters{}
	for k, v := range labels {
		if v != "" {
			k += "=" + v
		}
		f = f.Add("label", k)
	}
	r, err := e.cli.ImageList(ctx, client.ImageListOptions{Filters: f})
	if err != nil {
		return nil, e.wrap(ctx, "cannot list images", err)
	}
	out := make([]Image, 0, len(r.Items))
	for _, s := range r.Items {
		// What Engine 20.10 says of an image without a name.
		tags := slices.DeleteFunc(s.RepoTags, func(t string) bool { return t == "<none>:<none>" })
		out = append(out, Image{ID: s.ID, Tags: tags, Labels: s.Labels, Size: s.Size, Created: time.Unix(s.Created, 0)})
	}
	return out, nil
}

// Tag gives an image one more name, taking that name from any other image.
func (e *Engine) Tag(ctx context.Context, image, ref string) error {
	_, err := e.cli.ImageTag(ctx, client.ImageTagOptions{Source: image, Target: ref})
	return e.wrap(ctx, fmt.Sprintf("cannot name image %s %s", image, ref), err)
}

// Untag removes one name, and the image with it when that was its last. A name that
// is not there is no error; an image that a container uses is [ErrInUse].
func (e *Engine) Untag(ctx context.Context, ref string) error {
	_, err := e.cli.ImageRemove(ctx, ref, client.ImageRemoveOptions{PruneChildren: true})
	if err = e.wrap(ctx, "cannot remove image "+ref, err); errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Import makes an image from a root file system. changes are Dockerfile instructions
// ("ENV LANG=C.UTF-8", "LABEL a=b").
func (e *Engine) Import(ctx context.Context, tar io.Reader, ref string, changes []string) (id string, err error) {
	what := "cannot import image " + ref
	r, err := e.cli.ImageImport(ctx, client.ImageImportSource{Source: tar, SourceName: "-"}, ref, client.ImageImportOptions{Changes: changes})
	if err != nil {
		return "", e.wrap(ctx, what, err)
	}
	defer r.Close()
	d := json.NewDecoder(bufio.NewReader(r))
	for {
		var m struct {
			Status string `json:"status"`
			Error  string `json:"error"`
		}
		err := d.Decode(&m)
		switch {
		case errors.Is(err, io.EOF) && id != "":
			return id, nil
		case err != nil:
			return "", e.wrap(ctx, what, err)
		case m.Error != "":
			return "", e.wrap(ctx, what, errors.New(m.Error))
		case m.Status != "":
			id = m.Status
		}
	}
}

// Pull fetches an image from its registry, telling sink how many MB have come.
func (e *Engine) Pull(ctx context.Context, ref string, sink progress.Sink) error {
	what := "cannot pull image " + ref
	r, err := e.cli.ImagePull(ctx, ref, client.ImagePullOptions{})
	if err != nil {
		return e.wrap(ctx, what, err)
	}
	defer r.Close()
	type size struct{ done, total int64 }
	parts := map[string]size{}
	for m, err := range r.JSONMessages(ctx) {
		if err != nil {
			return e.wrap(ctx, what, err)
		}
		if m.Error != nil {
			return e.wrap(ctx, what, m.Error)
		}
		// Layers are counted while they come down; unpacking them starts a second count.
		if m.ID == "" || m.Progress == nil || m.Status != "Downloading" {
			continue
		}
		parts[m.ID] = size{m.Progress.Current, m.Progress.Total}
		var all size
		for _, p := range parts {
			all.done += p.done
			all.total += p.total
		}
		sink.Progress(progress.Event{Job: "image", Step: "downloading " + ref, Done: all.done >> 20, Total: all.total >> 20, Unit: "MB"})
	}
	return nil
}
