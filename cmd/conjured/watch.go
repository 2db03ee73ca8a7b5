package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"io/fs"
	"path/filepath"
	"time"
)

// watchFolder tells when something in dir has changed.
func watchFolder(ctx context.Context, dir string) <-chan struct{} {
	out := make(chan struct{})
	go func() {
		defer close(out)
		last := signature(dir)
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(400 * time.Millisecond):
			}
			if now := signature(dir); now != last {
				last = now
				select {
				case out <- struct{}{}:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return out
}

func signature(dir string) uint64 {
	h := fnv.New64a()
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if i, err := d.Info(); err == nil {
			fmt.Fprintln(h, path, i.Size(), i.ModTime().UnixNano(), i.Mode())
		}
		return nil
	})
	return h.Sum64()
}
