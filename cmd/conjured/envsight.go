package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/conjuring/conjured/environments"
	"github.com/conjuring/conjured/environments/registry"
)

// envSight is the last look at the environments. To look means to read each exact list
// again, and a teacher's page does it every two seconds; what decides whether anything
// is new are the directories' times. The zero envSight has seen nothing.
type envSight struct {
	mu   sync.Mutex
	mark string
	at   time.Time
	seen []registry.Listed
}

// sightLasts bounds how long news that no directory shows (a tag, a policy's answer)
// stay unseen.
const sightLasts = 10 * time.Second

// listed is the registry's list, or the store's where there is no registry. The list is
// shared: nobody changes it.
func (b *box) listed(ctx context.Context) ([]registry.Listed, error) {
	mark, err := sightMark(b.store.Root())
	if err != nil {
		return nil, err
	}
	b.sight.mu.Lock()
	defer b.sight.mu.Unlock()
	if b.sight.mark == mark && time.Since(b.sight.at) < sightLasts {
		return b.sight.seen, nil
	}
	var out []registry.Listed
	if b.registry != nil {
		out, err = b.registry.List(ctx)
	} else {
		l, e := b.store.List()
		for _, x := range l {
			out = append(out, registry.Listed{Listed: x})
		}
		err = e
	}
	if err != nil {
		return nil, err
	}
	b.sight.mark, b.sight.at, b.sight.seen = mark, time.Now(), out
	if uncounted(out) {
		select {
		case b.uncounted <- struct{}{}:
		default: // it is counted already, or nobody counts
		}
	}
	return out, nil
}

// uncounted tells whether nobody knows yet what some generation takes on the disk.
func uncounted(l []registry.Listed) bool {
	return slices.ContainsFunc(l, func(e registry.Listed) bool {
		return e.Env != environments.System && slices.ContainsFunc(e.Generations, func(g environments.ListedGeneration) bool {
			return g.State == environments.Ready && g.Bytes == 0
		})
	})
}

// countPackages finds out what new generations take on the disk, while nobody waits.
func (b *box) countPackages(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.uncounted:
		}
		if err := b.store.Measure(ctx); err != nil && ctx.Err() == nil {
			b.log.Warn("cannot tell what packages take on the disk", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Minute): // a full disk is not asked every second
			}
		}
		b.sight.look()
	}
}

// look has the next list made anew.
func (s *envSight) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mark = ""
}

// sightMark is the names and times of all generations and labels.
func sightMark(root string) (string, error) {
	var b strings.Builder
	for _, dir := range []string{"gen/*", "gen/*/*", "label/*"} {
		paths, err := filepath.Glob(filepath.Join(root, dir))
		if err != nil {
			return "", fmt.Errorf("cannot look at the environments: %w", err)
		}
		for _, p := range paths {
			fi, err := os.Lstat(p)
			if errors.Is(err, fs.ErrNotExist) {
				continue // it went meanwhile
			}
			if err != nil {
				return "", fmt.Errorf("cannot look at the environments: %w", err)
			}
			fmt.Fprintf(&b, "%s %d\n", p, fi.ModTime().UnixNano())
		}
	}
	return b.String(), nil
}
