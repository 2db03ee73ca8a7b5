package history

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// FileChange is how a file differs between two moments: lines that came and went, each
// in the order of its file. A file that is new or gone has all its lines in one of them.
type FileChange struct {
	Name    string   `json:"name"`
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
}

// Compare says what changed in the files of env between two moments: commits of its
// log, or tags. An empty from is the moment before to. Labels are not compared: the log
// has them. The files are sorted by name; none means that nothing differs.
func (r *Repository) Compare(ctx context.Context, env, from, to string) ([]FileChange, error) {
	var out []FileChange
	err := r.read(ctx, env, func() error {
		c, err := r.moment(ctx, env, to)
		if err != nil {
			return err
		}
		now, err := r.files(ctx, c.tree)
		if err != nil {
			return err
		}
		was := contents{}
		if from == "" && len(c.parents) > 0 {
			from = string(c.parents[0])
		}
		if from != "" {
			if c, err = r.moment(ctx, env, from); err != nil {
				return err
			}
			if was, err = r.files(ctx, c.tree); err != nil {
				return err
			}
		}
		out, err = r.compare(ctx, was.without(isLabel), now.without(isLabel))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot compare what %s was: %w", env, err)
	}
	return out, nil
}

// moment reads the commit that a revision names.
func (r *Repository) moment(ctx context.Context, env, rev string) (commit, error) {
	name := rev
	if t, err := ParseTag(rev); err == nil && t.Env == env {
		name = t.ref()
	} else if !oid(rev).ok() {
		return commit{}, fmt.Errorf("%.80q is no commit and no tag of %s", rev, env)
	}
	_, c, ok, err := r.head(ctx, name)
	if err == nil && !ok {
		err = fmt.Errorf("%w: %s", ErrNothing, rev)
	}
	return c, err
}

func (r *Repository) compare(ctx context.Context, was, now contents) ([]FileChange, error) {
	names := maps.Clone(was)
	maps.Copy(names, now)
	var out []FileChange
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if was[name] == now[name] {
			continue
		}
		old, errOld := r.lines(ctx, was[name])
		new, errNew := r.lines(ctx, now[name])
		if err := errors.Join(errOld, errNew); err != nil {
			return nil, err
		}
		out = append(out, FileChange{Name: name, Added: beyond(new, old), Removed: beyond(old, new)})
	}
	return out, nil
}

// lines gives the lines of a file that may not be there.
func (r *Repository) lines(ctx context.Context, id oid) ([]string, error) {
	if id == "" {
		return nil, nil
	}
	_, o, err := r.get(ctx, string(id), maxFile)
	if err != nil || len(o.data) == 0 {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(o.data), "\n"), "\n"), nil
}

// beyond gives the lines of a that b does not have as often. Lists of packages are
// compared so, whatever their order is.
func beyond(a, b []string) []string {
	left := map[string]int{}
	for _, l := range b {
		left[l]++
	}
	var out []string
	for _, l := range a {
		if left[l]--; left[l] < 0 {
			out = append(out, l)
		}
	}
	return out
}
