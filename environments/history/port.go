package history

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/conjuring/conjured/notice"
)

// porter makes a stranger's commits anew from what our own list allows. Dates and
// messages stay, so that tags keep their names; ids do not.
type porter struct {
	src     *batch
	vault   *vault
	tags    map[string]string // theirs to ours
	commits map[oid]oid
	trees   map[oid]contents // of new commits
	by      map[oid]identity // who made them, and when
	parents map[oid][]oid    // theirs
	named   map[oid]oid      // of new tags: the commits
	texts   map[oid]string   // of labels
	blobs   map[oid]oid      // theirs to ours; "" is left out
	told    map[oid]notice.List
	known   map[oid]contents // their tree, made anew
	have    map[oid]bool
	objs    []object
	bytes   int64
	cut     bool                   // a parent was not there
	why     map[string]notice.List // their tree and path: why it was left out, or changed
}

func newPorter(src *batch, v *vault) *porter {
	return &porter{
		src: src, vault: v, tags: map[string]string{}, commits: map[oid]oid{}, trees: map[oid]contents{}, by: map[oid]identity{}, parents: map[oid][]oid{}, named: map[oid]oid{}, texts: map[oid]string{},
		blobs: map[oid]oid{}, told: map[oid]notice.List{}, known: map[oid]contents{}, have: map[oid]bool{}, why: map[string]notice.List{},
	}
}

func (p *porter) add(o object) oid {
	id := o.id()
	if !p.have[id] {
		p.have[id] = true
		p.objs = append(p.objs, o)
		p.bytes += int64(len(o.data))
	}
	return id
}

// errBroken says that an environment of theirs cannot be read; others may be whole.
var errBroken = errors.New("damaged")

// strange words the end of a reader that was given something huge.
func strange(err error) error {
	if errors.Is(err, errLarge) {
		return errStrange("it holds something larger than a history of environments can have")
	}
	return err
}

// read gives one of their commits, through a tag if need be.
func (p *porter) read(ctx context.Context, name string) (oid, commit, error) {
	id, o, err := p.src.get(ctx, name+"^{commit}", maxFile)
	if err != nil {
		return "", commit{}, strange(err)
	}
	c, err := parseCommit(o.data)
	if err != nil {
		return "", commit{}, errBroken
	}
	return id, c, nil
}

// commit makes a commit anew with everything before it, and gives its id. A parent that
// is not there, as in a shallow clone, is left out.
func (p *porter) commit(ctx context.Context, of oid) (oid, error) {
	stack, read, gone := []oid{of}, map[oid]commit{}, map[oid]bool{}
	for len(stack) > 0 {
		id := stack[len(stack)-1]
		if p.commits[id] != "" || gone[id] {
			stack = stack[:len(stack)-1]
			continue
		}
		c, ok := read[id]
		if !ok {
			var err error
			if _, c, err = p.read(ctx, string(id)); errors.Is(err, errMissing) && id != of {
				gone[id], p.cut = true, true
				continue
			} else if err != nil {
				return "", err
			}
			read[id] = c
			if len(read)+len(p.commits) > maxCommits || p.bytes > maxImported {
				return "", errStrange("its history is longer than one of environments can be")
			}
			stack = append(stack, c.parents...)
			continue
		}
		if err := p.remake(ctx, id, c); err != nil {
			return "", err
		}
	}
	return p.commits[of], nil
}

// remake makes one commit anew, whose parents are.
func (p *porter) remake(ctx context.Context, id oid, c commit) error {
	files, err := p.tree(ctx, c.tree)
	if err != nil {
		return err
	}
	root, trees := files.objects()
	for _, t := range trees {
		p.add(t)
	}
	now := commit{tree: root, author: c.author, committer: c.committer, message: sentence(c.message)}
	for _, parent := range c.parents {
		if to := p.commits[parent]; to != "" {
			now.parents = append(now.parents, to)
		}
	}
	to := p.add(now.object())
	p.commits[id], p.trees[to], p.by[to] = to, files, identity{ourselves, c.committer.when}
	p.parents[to] = now.parents
	return nil
}

// tree gives the files of one of their trees that may enter.
func (p *porter) tree(ctx context.Context, id oid) (contents, error) {
	if c, ok := p.known[id]; ok {
		return c, nil
	}
	out := contents{}
	if err := p.readTree(ctx, id, id, "", out); err != nil {
		return nil, err
	}
	p.known[id] = out
	return out, nil
}

func (p *porter) readTree(ctx context.Context, root, id oid, dir string, into contents) error {
	_, o, err := p.src.get(ctx, string(id), maxFile)
	if err != nil {
		return strange(err)
	}
	es, err := parseTree(o.data)
	if err != nil {
		return errBroken
	}
	for _, e := range es {
		name := path.Join(dir, e.name)
		switch {
		case strings.Contains(e.name, "/") || len(into) >= maxFiles:
			return errBroken // git would not make such a directory
		case e.mode == dirMode && dir == "" && (name+"/" == labelDir || name == "binder" || name == ".binder"):
			err = p.readTree(ctx, root, e.id, name, into)
		case dir+"/" == labelDir:
			err = p.label(ctx, e, into)
		case Allowed(name) && strings.HasPrefix(e.mode, "100"):
			err = p.file(ctx, root, name, e.id, into)
		default:
			p.leave(root, name, "is nothing that an environment is made of")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// leave notes that a file of a tree stays behind.
func (p *porter) leave(root oid, name, what string) {
	n := notice.Notice{
		Code: "import-left-out", Severity: notice.SeverityInfo, File: shown(name), What: shown(name) + " " + what,
		Means: "it was left out; everything else is as it was", Do: "nothing, or copy it by hand if you need it",
	}
	p.note(root, n)
}

func (p *porter) note(root oid, n notice.Notice) {
	if key := string(root); len(p.why[key]) < 50 {
		p.why[key] = append(p.why[key], n)
	}
}

// shown is a stranger's name for people.
func shown(name string) string {
	if name = strings.Trim(fmt.Sprintf("%.100q", name), `"`); name == "" {
		return "a file without a name"
	}
	return name
}

// file takes one file over.
func (p *porter) file(ctx context.Context, root oid, name string, id oid, into contents) error {
	to, ok := p.blobs[id]
	if !ok {
		o, err := p.src.small(ctx, id, maxFile)
		switch {
		case errors.Is(err, errLarge):
			p.leave(root, name, "is larger than 1 MB")
			return nil
		case errors.Is(err, errMissing), err == nil && o.kind != blobKind:
			p.leave(root, name, "is not there")
			return nil
		case err != nil:
			return err
		}
		to = p.blob(id, name, o.data)
	}
	for _, n := range p.told[id] {
		p.note(root, n)
	}
	if to != "" {
		into[name] = to
	}
	return nil
}

// blob takes over a text, or says why not.
func (p *porter) blob(id oid, name string, data []byte) (to oid) {
	clean, told := p.vault.scrub(File{name, data})
	if !told.HasErrors() {
		to = p.add(object{blobKind, clean})
	}
	for i, n := range told {
		if n.Severity == notice.SeverityError {
			told[i].Severity, told[i].Means = notice.SeverityWarning, "the file was left out; everything else was taken over"
		}
	}
	p.blobs[id], p.told[id] = to, told
	return to
}

// label takes over a label that names a tag which was taken over.
func (p *porter) label(ctx context.Context, e entry, into contents) error {
	name, ok := strings.CutSuffix(e.name, ".txt")
	name = strings.NewReplacer("-", "_", " ", "_").Replace(strings.ToLower(name))
	if !ok || !labelForm.MatchString(name) || name == Latest || !strings.HasPrefix(e.mode, "100") {
		return nil
	}
	o, err := p.src.small(ctx, e.id, 1<<10)
	if errors.Is(err, errLarge) || errors.Is(err, errMissing) {
		return nil
	}
	if err != nil {
		return err
	}
	if tag := p.tags[strings.TrimSpace(string(o.data))]; tag != "" {
		id := p.add(object{blobKind, []byte(tag)})
		into[labelDir+name+".txt"], p.texts[id] = id, tag
	}
	return nil
}
