package history

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// contents are the files of a tree: path to blob, slash-separated.
type contents map[string]oid

// objects gives the root of the tree and the trees it is made of, those below first.
func (c contents) objects() (oid, []object) {
	here, below := map[string]entry{}, map[string]contents{}
	for name, id := range c {
		dir, rest, ok := strings.Cut(name, "/")
		if !ok {
			here[name] = entry{fileMode, name, id}
			continue
		}
		if below[dir] == nil {
			below[dir] = contents{}
		}
		below[dir][rest] = id
	}
	var objs []object
	for _, dir := range slices.Sorted(maps.Keys(below)) {
		id, os := below[dir].objects()
		objs = append(objs, os...)
		here[dir+"/"] = entry{dirMode, dir, id} // git sorts a directory as if it ended so
	}
	var b bytes.Buffer
	for _, key := range slices.Sorted(maps.Keys(here)) {
		e := here[key]
		raw, _ := hex.DecodeString(string(e.id))
		fmt.Fprintf(&b, "%s %s\x00%s", e.mode, e.name, raw)
	}
	o := object{treeKind, b.Bytes()}
	return o.id(), append(objs, o)
}

// without gives the files for which drop is false.
func (c contents) without(drop func(name string) bool) contents {
	out := maps.Clone(c)
	maps.DeleteFunc(out, func(name string, _ oid) bool { return drop(name) })
	return out
}

// isLabel tells whether a path is below labels/.
func isLabel(name string) bool { return strings.HasPrefix(name, labelDir) }

// Limits of what we read back. Our own trees and commits are far smaller.
const (
	maxFile   = 1 << 20
	maxObject = 8 << 20
	maxFiles  = 256
	maxDepth  = 3
)

// head gives a branch's newest commit; ok is false when there is no such branch.
func (r *Repository) head(ctx context.Context, ref string) (id oid, c commit, ok bool, err error) {
	id, o, err := r.get(ctx, ref+"^{commit}", maxObject)
	if errors.Is(err, errMissing) {
		return "", commit{}, false, nil
	}
	if err != nil {
		return "", commit{}, false, err
	}
	c, err = parseCommit(o.data)
	return id, c, err == nil, err
}

// files reads the names below a tree of ours.
func (r *Repository) files(ctx context.Context, tree oid) (contents, error) {
	out := contents{}
	return out, r.readTree(ctx, tree, "", out)
}

func (r *Repository) readTree(ctx context.Context, tree oid, prefix string, into contents) error {
	_, o, err := r.get(ctx, string(tree), maxObject)
	if err != nil {
		return err
	}
	es, err := parseTree(o.data)
	if err != nil {
		return err
	}
	for _, e := range es {
		name := path.Join(prefix, e.name)
		switch {
		case len(into) >= maxFiles || strings.Count(name, "/") > maxDepth:
			return fmt.Errorf("tree %s is not one of ours", tree)
		case e.mode == dirMode:
			err = r.readTree(ctx, e.id, name, into)
		case Allowed(name): // another tool may have put more into it
			into[name] = e.id
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// load reads the files of c that keep wants, sorted by name.
func (r *Repository) load(ctx context.Context, c contents, keep func(name string) bool) ([]File, error) {
	var out []File
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if !keep(name) {
			continue
		}
		_, o, err := r.get(ctx, string(c[name]), maxFile)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, File{Name: name, Data: o.data})
	}
	return out, nil
}
