package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// DropAside removes what Restore and Open moved aside (Dir.broken-N), but for the newest
// keep of them, and tells how many that were and what the disk got back. With dry it
// removes nothing. What looks otherwise is not ours and stays.
func (r *Repository) DropAside(ctx context.Context, keep int, dry bool) (count int, bytes int64, err error) {
	err = r.hold(ctx, func(ctx context.Context, _ *os.File) error {
		all, err := r.aside()
		if err != nil {
			return err
		}
		for _, old := range all[:max(len(all)-keep, 0)] {
			path := r.asidePath(old)
			n, err := room(ctx, path)
			if err == nil && !dry {
				err = os.RemoveAll(path)
			}
			if err != nil {
				return err
			}
			count++
			bytes += n
		}
		return nil
	})
	if err != nil {
		return count, bytes, fmt.Errorf("cannot remove old histories: %w", err)
	}
	return count, bytes, nil
}

// aside gives the numbers of what was moved aside, the oldest first.
func (r *Repository) aside() ([]int, error) {
	es, err := os.ReadDir(filepath.Dir(r.c.Dir))
	if err != nil {
		return nil, err
	}
	var out []int
	for _, e := range es {
		rest, ok := strings.CutPrefix(e.Name(), filepath.Base(r.c.Dir)+".broken-")
		if n, err := strconv.Atoi(rest); ok && err == nil && n > 0 && strconv.Itoa(n) == rest {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

// asidePath is where the nth was moved to.
func (r *Repository) asidePath(n int) string { return fmt.Sprintf("%s.broken-%d", r.c.Dir, n) }

// room is what a directory takes on the disk, in bytes.
func room(ctx context.Context, dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		if st, ok := fi.Sys().(*syscall.Stat_t); ok {
			sum += st.Blocks * 512
		}
		return nil
	})
	return sum, err
}
