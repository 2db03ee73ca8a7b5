package history

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Tag names one commit of manifest/ENV, for good.
type Tag struct {
	Name   string // env-ENV-YYYY_MM_DD or env-ENV-YYYY_MM_DD-N
	Env    string
	Date   string // YYYY_MM_DD, of the commit in UTC; it decorates and does not order
	N      int    // 0 for the first of a date
	Commit string // 40 hexadecimal digits; "" in a tag that was only parsed
}

var tagForm = regexp.MustCompile(`^env-([a-z][a-z0-9_]{0,31})-([0-9]{4}_[0-9]{2}_[0-9]{2})(?:-([1-9][0-9]{0,5}))?$`)

// ParseTag reads the name of a tag. What it accepts, String gives back.
func ParseTag(name string) (Tag, error) {
	m := tagForm.FindStringSubmatch(name)
	if m == nil || m[1] == "manifest" {
		return Tag{}, fmt.Errorf("%.80q is not the name of a tag", name)
	}
	if _, err := time.Parse(dateForm, m[2]); err != nil {
		return Tag{}, fmt.Errorf("%.80q is not the name of a tag: no such day", name)
	}
	n, _ := strconv.Atoi(m[3])
	return Tag{Name: name, Env: m[1], Date: m[2], N: n}, nil
}

const dateForm = "2006_01_02"

// String is the tag's name, made from its parts.
func (t Tag) String() string {
	s := "env-" + t.Env + "-" + t.Date
	if t.N > 0 {
		s += "-" + strconv.Itoa(t.N)
	}
	return s
}

// ref is the tag's full name.
func (t Tag) ref() string { return "refs/tags/" + t.String() }

// Tag gives the tag of env's newest manifest, and makes it when there is none yet: the
// commit's date, and the next free number. ErrNothing when env has no manifest.
func (r *Repository) Tag(ctx context.Context, env string) (Tag, error) {
	var out Tag
	err := r.change(ctx, env, func(w *writer) error {
		id, c, ok, err := r.head(ctx, manifestBranch(env))
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("%w: %s has no manifest", ErrNothing, env)
		}
		if t, ok := r.known[env+" "+string(id)]; ok { // two environments may have one commit
			out = t
			return nil
		}
		tags, err := r.tags(ctx, env)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(tags, func(t Tag) bool { return t.Commit == string(id) }); i >= 0 {
			out = tags[i]
		} else {
			out = nextTag(env, c.committer.when, id, tags)
			err = w.tag(ctx, out, c.committer.when, "Automatic tag of "+env+".")
		}
		if err == nil {
			r.known[env+" "+string(id)] = out
		}
		return err
	})
	if err != nil {
		return Tag{}, fmt.Errorf("cannot tag %s: %w", env, err)
	}
	return out, nil
}

// nextTag gives the first name of a date that is free.
func nextTag(env string, when time.Time, id oid, taken []Tag) Tag {
	t := Tag{Env: env, Date: when.UTC().Format(dateForm), Commit: string(id)}
	for slices.ContainsFunc(taken, func(o Tag) bool { return o.Date == t.Date && o.N == t.N }) {
		t.N++
	}
	t.Name = t.String()
	return t
}

// tag writes an annotated tag.
func (w *writer) tag(ctx context.Context, t Tag, when time.Time, message string) error {
	o := tagObject(t.Name, oid(t.Commit), identity{ourselves, when}, message)
	return w.write(ctx, []object{o}, []update{{t.ref(), none, o.id()}})
}

// Tags gives env's tags, oldest first in the order of the commits they name, whatever
// their dates say. Tags whose commit is no longer on the branch come first.
func (r *Repository) Tags(ctx context.Context, env string) ([]Tag, error) {
	var out []Tag
	err := r.read(ctx, env, func() error {
		var err error
		out, err = r.tags(ctx, env)
		if err == nil && len(out) > 1 {
			err = r.order(ctx, env, out)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot list the tags of %s: %w", env, err)
	}
	return out, nil
}

// tags gives env's tags by name.
func (r *Repository) tags(ctx context.Context, env string) ([]Tag, error) {
	ls, err := r.program().lines(ctx, "for-each-ref", "--format=%(refname) %(objecttype) %(objectname) %(*objectname)", "--", "refs/tags/env-"+env+"-*")
	if err != nil {
		return nil, err
	}
	found := map[string]Tag{}
	for _, l := range ls {
		f := strings.Fields(l)
		t, err := ParseTag(strings.TrimPrefix(f[0], "refs/tags/"))
		if err != nil || t.Env != env || len(f) < 3 {
			continue
		}
		t.Commit = f[len(f)-1] // what an annotated tag names, or a light one itself
		found[t.Name] = t
	}
	return slices.SortedFunc(maps.Values(found), func(a, b Tag) int {
		return cmp.Or(strings.Compare(a.Date, b.Date), cmp.Compare(a.N, b.N))
	}), nil
}

// order sorts tags by the place of their commits on manifest/ENV.
func (r *Repository) order(ctx context.Context, env string, tags []Tag) error {
	ls, err := r.program().lines(ctx, "rev-list", "--topo-order", "--reverse", manifestBranch(env), "--")
	if err != nil {
		return err
	}
	place := map[string]int{}
	for i, id := range ls {
		place[id] = i + 1
	}
	slices.SortStableFunc(tags, func(a, b Tag) int { return cmp.Compare(place[a.Commit], place[b.Commit]) })
	return nil
}
