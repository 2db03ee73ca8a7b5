package history

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Latest is the label that conda-gitenv works out by itself; it is never stored.
const Latest = "latest"

// Labels gives the tag of each label of env; it is empty when env has none.
func (r *Repository) Labels(ctx context.Context, env string) (map[string]string, error) {
	fs, err := r.show(ctx, env, branch(env), isLabel)
	if err != nil && !errors.Is(err, ErrNothing) {
		return nil, fmt.Errorf("cannot read the labels of %s: %w", env, err)
	}
	out := map[string]string{}
	for _, f := range fs {
		tag := strings.TrimSpace(string(f.Data))
		if t, err := ParseTag(tag); err != nil || t.Env != env {
			r.c.Log.Warn("a label names no tag of its environment", "env", env, "file", f.Name)
			continue
		}
		out[strings.TrimSuffix(strings.TrimPrefix(f.Name, labelDir), ".txt")] = tag
	}
	return out, nil
}

// SetLabels makes set the labels of env, the whole set in one commit. Every tag must be
// one of env's. Nothing is written when they are so already.
func (r *Repository) SetLabels(ctx context.Context, env string, set map[string]string, why string) (changed bool, err error) {
	err = r.change(ctx, env, func(w *writer) error {
		if err := w.checkLabels(ctx, env, set); err != nil {
			return err
		}
		changed, err = w.edit(ctx, branch(env), reason{text: why}, func(was contents) (contents, []object, error) {
			now := was.without(isLabel)
			blobs := fill(now, File{specName, EnvSpec(nil, nil)})
			seen := map[oid]bool{}
			for label, tag := range set {
				o := object{blobKind, []byte(tag)} // without a newline, as the old tool writes it
				now[labelDir+label+".txt"] = o.id()
				if !seen[o.id()] {
					seen[o.id()] = true
					blobs = append(blobs, o)
				}
			}
			return now, blobs, nil
		})
		return err
	})
	if err != nil {
		return false, fmt.Errorf("cannot record the labels of %s: %w", env, err)
	}
	return changed, nil
}

// checkLabels is nil when every label has the form of one and its tag is there.
func (r *Repository) checkLabels(ctx context.Context, env string, set map[string]string) error {
	if len(set) > 64 {
		return errors.New("too many labels")
	}
	for label, name := range set {
		if !Allowed(labelDir+label+".txt") || label == Latest {
			return fmt.Errorf("%q cannot be a label", label)
		}
		t, err := ParseTag(name)
		if err != nil || t.Env != env {
			return fmt.Errorf("label %s: %q is not a tag of %s", label, name, env)
		}
		if _, _, ok, err := r.head(ctx, t.ref()); err != nil || !ok {
			return errors.Join(fmt.Errorf("label %s: %w: %s", label, ErrNothing, name), err)
		}
	}
	return nil
}
