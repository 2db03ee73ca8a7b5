package history

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/conjuring/conjured/notice"
)

// labels reads the labels of a branch that was made anew. Where some name no tag of
// this environment, a commit without them is put on top, and is the head then.
func (im *importer) labels(e *ImportedEnvironment, spec oid) oid {
	known := map[string]bool{}
	for _, t := range e.Tags {
		known[t.Name] = true
	}
	files := im.porter.trees[spec]
	astray := func(name string) bool { return isLabel(name) && !known[im.texts[files[name]]] }
	for name, id := range files {
		if isLabel(name) && !astray(name) {
			e.Labels[strings.TrimSuffix(strings.TrimPrefix(name, labelDir), ".txt")] = im.texts[id]
		}
	}
	kept := files.without(astray)
	if len(kept) == len(files) {
		return spec
	}
	im.say("import-labels", "", fmt.Sprintf("labels of %s that name no tag of it were left out", e.Display), "nothing: they could not be used before either")
	root, trees := kept.objects()
	for _, t := range trees {
		im.add(t)
	}
	by := im.by[spec]
	c := commit{tree: root, parents: []oid{spec}, author: by, committer: by, message: "Left out labels that name no tag."}
	return im.add(c.object())
}

// settle decides whether an environment comes in: as a new one, or not at all.
func (im *importer) settle(ctx context.Context, e ImportedEnvironment, updates []update, spec, manifest oid) error {
	here, same := false, true
	for i, u := range updates {
		id, _, err := im.get(ctx, u.ref, maxObject)
		if err != nil && !errors.Is(err, errMissing) {
			return err
		}
		here = here || err == nil
		same = same && id == u.new
		updates[i].old = none
	}
	if here && !same {
		im.say("import-here-already", "", fmt.Sprintf("%s was left out: an environment of that name is here, and differs", e.Display), "rename the branch there, or go on with the one that is here")
		return nil
	}
	if e.Changed = !same; e.Changed {
		im.new = append(im.new, updates...)
	}
	if e.Env != e.Display {
		im.out.Notices = append(im.out.Notices, notice.Notice{
			Code: "import-renamed", Severity: notice.SeverityInfo, What: fmt.Sprintf("%s is called %s here, in its branch and its tags", e.Display, e.Env),
			Means: "people still see " + e.Display + " where names are shown", Do: "nothing",
		})
	}
	im.out.Environments = append(im.out.Environments, e)
	for _, id := range []oid{spec, manifest} {
		if id == "" {
			continue
		}
		if _, c, err := im.porter.read(ctx, string(id)); err == nil {
			im.out.Notices = append(im.out.Notices, im.why[string(c.tree)]...)
		}
	}
	return nil
}
