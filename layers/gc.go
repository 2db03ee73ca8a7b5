package layers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/conjuring/conjured/engine"
)

// cacheQuota is how much build cache stays after a tidy: enough for a few classes'
// layers, little beside what a class needs on a small disk.
const cacheQuota = 10 << 30

// GC removes images that this builder made and that nobody needs any more, and the
// oldest build cache beyond a quota. What stays: what keep names (keys or image ids:
// the serving and the previous setup, pins), what the public names point at, and what
// any container uses. Images that this builder did not make are never touched. Run it
// after a deploy has succeeded, never before. It gives the keys that went.
func (b *Builder) GC(ctx context.Context, keep []string) (removed []string, err error) {
	if err := b.acquire(ctx); err != nil {
		return nil, err
	}
	defer b.release()
	needed := slices.Clone(keep)
	for _, name := range []string{StageBase, StageCore, StageSystem, StageLatest, "previous"} {
		img, err := b.engine.Image(ctx, b.repository+":"+name)
		if err == nil {
			needed = append(needed, img.ID)
		} else if !isGone(err) {
			return nil, err
		}
	}
	records, err := os.ReadDir(b.testedDir())
	if err != nil {
		return nil, fmt.Errorf("cannot read which images were made here: %w", err)
	}
	for _, r := range records {
		key := r.Name()
		if slices.Contains(needed, key) || slices.Contains(needed, b.tested(key)) {
			continue
		}
		err := b.engine.Untag(ctx, b.repository+":"+key)
		if errors.Is(err, engine.ErrDamaged) {
			err = b.engine.Discard(ctx, b.repository+":"+key)
		}
		if errors.Is(err, engine.ErrInUse) {
			continue
		}
		if err == nil {
			err = os.Remove(filepath.Join(b.testedDir(), key))
		}
		if err != nil {
			return removed, err
		}
		removed = append(removed, key)
	}
	if err := b.removeNameless(ctx, needed); err != nil {
		return removed, err
	}
	freed, err := b.engine.PruneBuildCache(ctx, cacheQuota, 24*time.Hour)
	if err != nil {
		return removed, err
	}
	b.log.Info("tidied images", "removed", len(removed), "cache_bytes_freed", freed)
	return removed, nil
}

// removeNameless removes images of ours without any name: the mending of a damaged store
// leaves those that a container used, and a list of names that was lost leaves them all.
func (b *Builder) removeNameless(ctx context.Context, needed []string) error {
	all, err := b.engine.Images(ctx, map[string]string{engine.LabelRole: "image"})
	if err != nil {
		return err
	}
	for _, img := range all {
		if len(img.Tags) > 0 || slices.Contains(needed, img.ID) {
			continue
		}
		if err := b.engine.Untag(ctx, img.ID); err != nil && !errors.Is(err, engine.ErrInUse) && !errors.Is(err, engine.ErrDamaged) {
			return err
		}
	}
	return nil
}
