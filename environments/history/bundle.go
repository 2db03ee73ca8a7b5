package history

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/renameio/v2"
)

// Bundle writes all branches and tags into one file, a git bundle: to keep, to carry,
// or to look into with "git clone FILE". The file is replaced when it is whole.
func (r *Repository) Bundle(ctx context.Context, to string) error {
	err := r.alone(ctx, func() error {
		refs, _, err := r.exported(ctx)
		if err != nil {
			return err
		}
		if len(refs) == 0 {
			return fmt.Errorf("%w: no environment", ErrNothing)
		}
		var in strings.Builder
		for _, u := range refs {
			fmt.Fprintln(&in, u.ref)
		}
		f, err := renameio.NewPendingFile(to, renameio.WithPermissions(0o600))
		if err != nil {
			return err
		}
		defer f.Cleanup()
		if err := r.program().run(ctx, strings.NewReader(in.String()), f.File, "bundle", "create", "-q", "-", "--stdin"); err != nil {
			return err
		}
		return f.CloseAtomicallyReplace()
	})
	if err != nil {
		return fmt.Errorf("cannot write the history to %s: %w", to, err)
	}
	return nil
}
