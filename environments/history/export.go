package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrThere says that there is something where an export should go.
var ErrThere = errors.New("there is something already")

// Export writes a bare conda-gitenv repository to the path to, which must not exist:
// all branches, tags and labels, and a HEAD at the first environment. It appears when
// it is whole. Environments without an env.spec stay out, because that tool stops there.
func (r *Repository) Export(ctx context.Context, to string) error {
	err := r.alone(ctx, func() error {
		if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(ErrThere, err)
		}
		refs, envs, err := r.exported(ctx)
		if err != nil {
			return err
		}
		if len(envs) == 0 {
			return fmt.Errorf("%w: no environment", ErrNothing)
		}
		tmp, err := os.MkdirTemp(filepath.Dir(to), ".export-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		first := envs[0]
		if slices.Contains(envs, "base") {
			first = "base"
		}
		if err := r.exportTo(ctx, program{path: r.git, dir: filepath.Join(tmp, "git")}, first, refs); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(tmp, "git"), to); err != nil {
			return err
		}
		return syncDir(filepath.Dir(to))
	})
	if err != nil {
		return fmt.Errorf("cannot export to %s: %w", to, err)
	}
	return nil
}

// exported gives the references that go out, and the environments they are of.
func (r *Repository) exported(ctx context.Context) ([]update, []string, error) {
	ls, err := r.program().lines(ctx, "for-each-ref", "--format=%(objectname) %(refname)", "--", "refs/heads", "refs/tags")
	if err != nil {
		return nil, nil, err
	}
	all, err := r.environments(ctx)
	if err != nil {
		return nil, nil, err
	}
	var envs []string
	for _, env := range all {
		spec, err := r.specOf(ctx, env)
		if err != nil {
			return nil, nil, err
		}
		if spec != "" {
			envs = append(envs, env)
		}
	}
	var refs []update
	for _, l := range ls {
		id, ref, _ := strings.Cut(l, " ")
		env := strings.TrimPrefix(strings.TrimPrefix(ref, "refs/heads/"), "manifest/")
		if name, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
			t, err := ParseTag(name)
			if err != nil {
				continue // no tag of an environment: that tool would stumble over it
			}
			env = t.Env
		}
		if slices.Contains(envs, env) {
			refs = append(refs, update{ref: ref, old: none, new: oid(id)})
		}
	}
	return refs, envs, nil
}

// exportTo fills a new repository with refs and what they need.
func (r *Repository) exportTo(ctx context.Context, to program, first string, refs []update) error {
	if err := makeBare(ctx, to, first); err != nil {
		return err
	}
	var want, in strings.Builder
	for _, u := range refs {
		fmt.Fprintf(&want, "%s\n", u.new)
		fmt.Fprintf(&in, "create %s %s\n", u.ref, u.new)
	}
	all, err := os.CreateTemp(filepath.Dir(to.dir), "pack-")
	if err != nil {
		return err
	}
	defer all.Close()
	if err := r.program().run(ctx, strings.NewReader(want.String()), all, "pack-objects", "--revs", "--stdout", "-q"); err != nil {
		return err
	}
	if _, err := all.Seek(0, 0); err != nil {
		return err
	}
	if err := to.run(ctx, all, nil, "index-pack", "--stdin", "--strict"); err != nil {
		return err
	}
	if err := to.run(ctx, bytes.NewReader([]byte(in.String())), nil, "update-ref", "--stdin"); err != nil {
		return err
	}
	return syncTree(to.dir)
}
