package history

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Did says what an entry of the log was about.
type Did string

// What can be done to an environment.
const (
	Asked    Did = "asked"    // the teacher's files changed
	Resolved Did = "resolved" // the manifest changed
	Labelled Did = "labelled" // labels moved
)

// Entry is one commit of an environment, for people.
type Entry struct {
	Did    Did               `json:"did"`
	When   time.Time         `json:"when"` // what the clock said; UTC
	Commit string            `json:"commit"`
	Why    string            `json:"why"`
	Who    string            `json:"who,omitempty"`    // of an imported commit; "" is the box itself
	Tags   []string          `json:"tags,omitempty"`   // that name this commit
	Labels map[string]string `json:"labels,omitempty"` // that moved: label to tag, "" for one that went
}

// Sentence is the entry in a line: when, what, which label.
func (e Entry) Sentence() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.When.Format("2006-01-02 15:04"), strings.TrimRight(strings.SplitN(e.Why, "\n", 2)[0], "."))
	for _, l := range slices.Sorted(maps.Keys(e.Labels)) {
		if tag := e.Labels[l]; tag == "" {
			fmt.Fprintf(&b, "; %s went", l)
		} else {
			fmt.Fprintf(&b, "; %s is %s", l, strings.TrimPrefix(tag, "env-"))
		}
	}
	if len(e.Tags) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(e.Tags, ", "))
	}
	if e.Who != "" {
		fmt.Fprintf(&b, ", by %s", e.Who)
	}
	return b.String()
}

// Log gives the newest n entries of env, the newest first; 0 means 100. Each of the two
// branches is in the order of its commits, and they are joined by what the clock said.
func (r *Repository) Log(ctx context.Context, env string, n int) ([]Entry, error) {
	if n <= 0 {
		n = 100
	}
	var asked, resolved []Entry
	err := r.read(ctx, env, func() error {
		tags, err := r.tags(ctx, env)
		if err != nil {
			return err
		}
		if asked, err = r.walk(ctx, branch(env), n, Asked, nil); err != nil {
			return err
		}
		resolved, err = r.walk(ctx, manifestBranch(env), n, Resolved, tags)
		return err
	})
	if err == nil && len(asked)+len(resolved) == 0 {
		err = fmt.Errorf("%w: %s", ErrNothing, env)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the log of %s: %w", env, err)
	}
	out := make([]Entry, 0, n)
	for len(out) < n && len(asked)+len(resolved) > 0 {
		if len(resolved) == 0 || len(asked) > 0 && !asked[0].When.Before(resolved[0].When) {
			out, asked = append(out, asked[0]), asked[1:]
		} else {
			out, resolved = append(out, resolved[0]), resolved[1:]
		}
	}
	return out, nil
}

// walk follows a branch back for n commits.
func (r *Repository) walk(ctx context.Context, ref string, n int, did Did, tags []Tag) ([]Entry, error) {
	id, c, ok, err := r.head(ctx, ref)
	if err != nil || !ok {
		return nil, err
	}
	var out []Entry
	now, err := r.files(ctx, c.tree)
	for err == nil && len(out) < n {
		e := Entry{Did: did, When: c.committer.when, Commit: string(id), Why: strings.TrimSpace(c.message)}
		if c.author.who != ourselves {
			e.Who, _, _ = strings.Cut(c.author.who, " <")
		}
		for _, t := range tags {
			if t.Commit == string(id) {
				e.Tags = append(e.Tags, t.Name)
			}
		}
		was, parent := contents{}, commit{}
		if len(c.parents) > 0 {
			if id, parent, ok, err = r.head(ctx, string(c.parents[0])); err == nil && !ok {
				err = errors.New("a commit is missing")
			}
			if err == nil {
				was, err = r.files(ctx, parent.tree)
			}
		}
		if err != nil {
			break
		}
		if err = r.moved(ctx, &e, was, now); err != nil {
			break
		}
		out = append(out, e)
		if len(c.parents) == 0 {
			break
		}
		c, now = parent, was
	}
	return out, err
}

// moved finds the labels that differ between two commits.
func (r *Repository) moved(ctx context.Context, e *Entry, was, now contents) error {
	for _, c := range []contents{was, now} {
		for name := range c {
			if !isLabel(name) || was[name] == now[name] {
				continue
			}
			if e.Labels == nil {
				e.Labels = map[string]string{}
			}
			label := strings.TrimSuffix(strings.TrimPrefix(name, labelDir), ".txt")
			e.Labels[label] = ""
			if id := now[name]; id != "" {
				_, o, err := r.get(ctx, string(id), maxFile)
				if err != nil {
					return err
				}
				e.Labels[label] = strings.TrimSpace(string(o.data))
			}
		}
	}
	if e.Labels != nil && e.Did == Asked && onlyLabels(was, now) {
		e.Did = Labelled
	}
	return nil
}

func onlyLabels(was, now contents) bool {
	return maps.Equal(was.without(isLabel), now.without(isLabel))
}
