package history

import (
	"context"
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
	id := im.add(c.object())
	im.parents[id] = c.parents
	return id
}

// settle decides whether an environment comes in: as a new one, or as what came after
// the one that is here. Nothing of ours is ever given up.
func (im *importer) settle(ctx context.Context, e ImportedEnvironment, updates []update, spec, manifest oid) error {
	var todo []update
	for _, u := range updates {
		old, err := im.here(ctx, u.ref)
		if err != nil {
			return err
		}
		named := u.new
		if to := im.named[u.new]; to != "" {
			named = to // of a tag: another tag of the same commit is as good
		}
		switch {
		case old == named:
			continue
		case old != none && (named != u.new || !im.after(u.new, old)):
			im.say("import-here-already", "", fmt.Sprintf("%s was left out: an environment of that name is here, and differs", e.Display), "rename the branch there, or go on with the one that is here")
			return nil
		}
		u.old = old
		todo = append(todo, u)
	}
	e.Changed = len(todo) > 0
	im.new = append(im.new, todo...)
	im.out.Environments = append(im.out.Environments, e)
	if e.Env != e.Display {
		im.out.Notices = append(im.out.Notices, notice.Notice{
			Code: "import-renamed", Severity: notice.SeverityInfo, What: fmt.Sprintf("%s is called %s here, in its branch and its tags", e.Display, e.Env),
			Means: "people still see " + e.Display + " where names are shown", Do: "nothing to do",
		})
	}
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

// here gives the commit that a reference of ours names, or none.
func (im *importer) here(ctx context.Context, ref string) (oid, error) {
	id, _, ok, err := im.head(ctx, ref)
	if !ok {
		id = none
	}
	return id, err
}

// after tells whether old is among the commits that id was made after.
func (im *importer) after(id, old oid) bool {
	seen, todo := map[oid]bool{}, []oid{id}
	for len(todo) > 0 {
		id, todo = todo[0], todo[1:]
		if id == old {
			return true
		}
		for _, p := range im.parents[id] {
			if !seen[p] {
				seen[p] = true
				todo = append(todo, p)
			}
		}
	}
	return false
}
