package history

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/conjuring/conjured/notice"
)

const (
	specName     = "env.spec"
	manifestName = "env.manifest"
)

// Spec gives the files of branch env: what was asked for, without labels, sorted by
// name. ErrNothing when env is not known.
func (r *Repository) Spec(ctx context.Context, env string) ([]File, error) {
	out, err := r.show(ctx, env, branch(env), func(name string) bool { return !isLabel(name) })
	if err != nil {
		return nil, fmt.Errorf("cannot read what %s asks for: %w", env, err)
	}
	return out, nil
}

// PutSpec makes files the whole content of branch env, beside its labels. An env.spec
// that is not among them is added. changed is false, and nothing written, when they are
// there already. A file with a password or key in it is refused, all of them in one
// notice.List; one in an address is moved to the credentials and Notify told.
func (r *Repository) PutSpec(ctx context.Context, env string, files []File, why string) (changed bool, err error) {
	return r.putSpec(ctx, env, files, reason{text: why})
}

func (r *Repository) putSpec(ctx context.Context, env string, files []File, why reason) (bool, error) {
	changed, err := r.put(ctx, env, branch(env), files, why, func(_ context.Context, was, now contents) ([]object, error) {
		for name, id := range was {
			if isLabel(name) {
				now[name] = id
			}
		}
		return fill(now, File{specName, EnvSpec(nil, nil)}), nil
	})
	if err != nil {
		return false, fmt.Errorf("cannot record what %s asks for: %w", env, err)
	}
	return changed, nil
}

// EnvSpec is an env.spec, in YAML: conda channels and match specs.
func EnvSpec(channels, env []string) []byte {
	var b strings.Builder
	for _, part := range []struct {
		key   string
		items []string
	}{{"channels", channels}, {"env", env}} {
		if len(part.items) == 0 {
			fmt.Fprintf(&b, "%s: []\n", part.key)
			continue
		}
		fmt.Fprintf(&b, "%s:\n", part.key)
		for _, it := range part.items {
			fmt.Fprintf(&b, "  - '%s'\n", strings.ReplaceAll(strings.Join(strings.Fields(it), " "), "'", "''"))
		}
	}
	return []byte(b.String())
}

// Manifest gives the files of manifest/env at its newest commit, or at a tag of env,
// sorted by name. ErrNothing when there is none.
func (r *Repository) Manifest(ctx context.Context, env, rev string) ([]File, error) {
	ref := manifestBranch(env)
	if rev != "" {
		t, err := ParseTag(rev)
		if err == nil && t.Env != env {
			err = fmt.Errorf("%s is a tag of %s", rev, t.Env)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the manifest of %s: %w", env, err)
		}
		ref = t.ref()
	}
	out, err := r.show(ctx, env, ref, func(name string) bool { return !isLabel(name) })
	if err != nil {
		return nil, fmt.Errorf("cannot read the manifest of %s: %w", env, err)
	}
	return out, nil
}

// PutManifest makes files the whole content of manifest/env. A copy of the branch's
// env.spec and an env.manifest without lines are added where they are not among them.
// changed and err are as for PutSpec.
func (r *Repository) PutManifest(ctx context.Context, env string, files []File, why string) (changed bool, err error) {
	return r.putManifest(ctx, env, files, reason{text: why})
}

func (r *Repository) putManifest(ctx context.Context, env string, files []File, why reason) (bool, error) {
	changed, err := r.put(ctx, env, manifestBranch(env), files, why, func(ctx context.Context, _, now contents) ([]object, error) {
		if _, ok := now[specName]; !ok {
			spec, err := r.specOf(ctx, env)
			if err != nil {
				return nil, err
			}
			if spec != "" {
				now[specName] = spec
			}
		}
		return fill(now, File{specName, EnvSpec(nil, nil)}, File{manifestName, nil}), nil
	})
	if err != nil {
		return false, fmt.Errorf("cannot record the manifest of %s: %w", env, err)
	}
	return changed, nil
}

// specOf gives the blob of env's env.spec, or "".
func (r *Repository) specOf(ctx context.Context, env string) (oid, error) {
	_, c, ok, err := r.head(ctx, branch(env))
	if err != nil || !ok {
		return "", err
	}
	fs, err := r.files(ctx, c.tree)
	return fs[specName], err
}

// fill adds the files that now lacks, and gives their blobs.
func fill(now contents, with ...File) []object {
	var blobs []object
	for _, f := range with {
		if _, ok := now[f.Name]; !ok {
			o := object{blobKind, f.Data}
			now[f.Name] = o.id()
			blobs = append(blobs, o)
		}
	}
	return blobs
}

// show reads the files of a reference that keep wants.
func (r *Repository) show(ctx context.Context, env, ref string, keep func(string) bool) ([]File, error) {
	var out []File
	err := r.read(ctx, env, func() error {
		_, c, ok, err := r.head(ctx, ref)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("%w: %s", ErrNothing, strings.TrimPrefix(strings.TrimPrefix(ref, "refs/heads/"), "refs/tags/"))
		}
		names, err := r.files(ctx, c.tree)
		if err != nil {
			return err
		}
		out, err = r.load(ctx, names, keep)
		return err
	})
	return out, err
}

// complete adds to now what a branch holds beside the files that were put.
type complete func(ctx context.Context, was, now contents) ([]object, error)

// put is PutSpec and PutManifest.
func (r *Repository) put(ctx context.Context, env, ref string, files []File, why reason, more complete) (changed bool, err error) {
	err = r.change(ctx, env, func(w *writer) error {
		var told notice.List
		changed, err = w.edit(ctx, ref, why, func(was contents) (contents, []object, error) {
			clean, ns, err := w.scrub(files, was)
			if err != nil {
				return nil, nil, err
			}
			told = ns
			now, have := contents{}, map[oid]bool{}
			for _, id := range was {
				have[id] = true
			}
			var blobs []object
			for _, f := range clean {
				o := object{blobKind, f.Data}
				now[f.Name] = o.id()
				if !have[o.id()] {
					have[o.id()] = true
					blobs = append(blobs, o)
				}
			}
			added, err := more(ctx, was, now)
			return now, append(blobs, added...), err
		})
		if err != nil || !changed {
			return err
		}
		for _, n := range told {
			w.c.Log.Info("a credential was kept out of the history", "file", n.File, "line", n.Line)
			w.tell(n)
		}
		return nil
	})
	return changed, err
}

func (r *Repository) tell(n notice.Notice) {
	if r.c.Notify != nil {
		r.c.Notify(n)
	}
}

// scrub checks names and sizes, and takes secrets out: every problem in one list. What
// is in the history already was looked at when it came.
func (w *writer) scrub(files []File, was contents) ([]File, notice.List, error) {
	if len(files) > maxFiles-64 { // room for labels
		return nil, nil, errors.New("too many files")
	}
	var out []File
	var told notice.List
	vault, err := w.credentials()
	if err != nil {
		return nil, nil, err
	}
	for _, f := range files {
		if !Allowed(f.Name) || isLabel(f.Name) || slices.ContainsFunc(out, func(o File) bool { return o.Name == f.Name }) {
			return nil, nil, fmt.Errorf("%q has no place in the history", f.Name)
		}
		if was[f.Name] == (object{blobKind, f.Data}).id() {
			out = append(out, f)
			continue
		}
		data, ns := vault.scrub(f)
		out, told = append(out, File{f.Name, data}), append(told, ns...)
	}
	if err := told.Err(); err != nil {
		return nil, nil, err
	}
	return out, told, w.saveCredentials(vault)
}
