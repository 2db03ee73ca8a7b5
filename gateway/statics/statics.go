package statics

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Config says where compressed files are kept. Dir is required.
type Config struct {
	Dir string // absolute; Config's alone: what is not ours is removed from it
	Log *slog.Logger
}

// Cache serves proven files. Make one with [Open], say what there is with
// [Cache.Set], and let [Cache.Run] compress.
type Cache struct {
	config Config
	index  atomic.Pointer[index]
	wanted chan []Tree // holds the newest trees that Run has not read yet
}

// Open makes a cache that serves nothing yet.
func Open(c Config) (*Cache, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the cache of compressed files: %w", err)
	}
	x := &Cache{config: c, wanted: make(chan []Tree, 1)}
	x.index.Store(&index{})
	return x, nil
}

// Set says which files may be served from now on: those of every generation that a
// server may run. It returns at once; the files are served bit by bit as Run gets to
// them. The newest call counts.
func (c *Cache) Set(trees []Tree) {
	for {
		select {
		case c.wanted <- trees:
			return
		default:
		}
		select {
		case <-c.wanted:
		default:
		}
	}
}

// Ready is how many compressed files are there and how many there will be.
func (c *Cache) Ready() (ready, all int) {
	for _, f := range c.index.Load().contents {
		if !f.press {
			continue
		}
		all += len(codings)
		for _, k := range codings {
			if f.ready.Load()&(1<<k) != 0 {
				ready++
			}
		}
	}
	return ready, all
}

// Run reads and compresses what was set, until ctx ends. It uses one core at most,
// at the lowest priority, and stops between two files.
func (c *Cache) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case trees := <-c.wanted:
			done := make(chan error, 1)
			go func() { done <- c.pass(ctx, trees) }()
			err := <-done
			debug.FreeOSMemory() // compressing holds some ten MB, for half a minute a month
			if err != nil && ctx.Err() == nil {
				c.config.Log.Warn("files for the pages are not all compressed", "error", err)
			}
		}
	}
}

// pass brings the cache to what trees hold. It must have a goroutine of its own: its
// thread is given the lowest priority and ends with it.
func (c *Cache) pass(ctx context.Context, trees []Tree) error {
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 19) // as good as it gets
	x, err := scan(ctx, trees, c.index.Load())
	if err != nil {
		return err
	}
	c.index.Store(x)
	todo := make([]*content, 0, len(x.contents))
	for _, f := range x.contents {
		if f.press {
			todo = append(todo, f)
		}
	}
	// What saves most comes first.
	slices.SortFunc(todo, func(a, b *content) int {
		return cmp.Or(cmp.Compare(b.size, a.size), cmp.Compare(a.hashes.sha256, b.hashes.sha256))
	})
	var errs []error
	for _, k := range codings {
		err := c.passIn(ctx, k, todo)
		if ctx.Err() != nil || len(c.wanted) > 0 { // something newer is to be done
			return ctx.Err()
		}
		errs = append(errs, err)
	}
	errs = append(errs, c.sweep(x))
	return errors.Join(errs...)
}

// passIn brings files to one coding.
func (c *Cache) passIn(ctx context.Context, k coding, todo []*content) error {
	p, err := newPresser(k)
	if err != nil {
		return err
	}
	defer runtime.GC() // before the next coding asks for its memory
	defer p.close()
	var errs []error
	for _, f := range todo {
		if ctx.Err() != nil || len(c.wanted) > 0 {
			break
		}
		errs = append(errs, c.make(ctx, p, f))
	}
	return errors.Join(errs...)
}

// make has f in p's coding: as it was left by an earlier process, if it decompresses to
// the very content, or made anew.
func (c *Cache) make(ctx context.Context, p *presser, f *content) error {
	k := p.coding
	if f.ready.Load()&(1<<k) != 0 {
		return nil
	}
	plain, err := os.ReadFile(f.path)
	if err != nil || hashesOf(plain) != f.hashes {
		return fmt.Errorf("cannot compress %s: it is not as it was (%w)", f.path, cmp.Or(err, fs.ErrInvalid))
	}
	path := c.path(f, k)
	if old, err := os.ReadFile(path); err == nil {
		if back, err := p.unpress(old, f.size); err == nil && bytes.Equal(back, plain) {
			f.ready.Or(1 << k)
			return nil
		}
	}
	b, err := p.press(ctx, plain)
	if err != nil {
		return err
	}
	// Not synced: a torn file does not pass the test above.
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		return fmt.Errorf("cannot keep a compressed file: %w", err)
	}
	back, err := os.ReadFile(path + ".new")
	if err == nil {
		back, err = p.unpress(back, f.size)
	}
	if err != nil || !bytes.Equal(back, plain) {
		return fmt.Errorf("cannot keep a compressed file: %s comes back as something else (%w)", f.path, cmp.Or(err, fs.ErrInvalid))
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("cannot keep a compressed file: %w", err)
	}
	f.ready.Or(1 << k)
	return nil
}

// path is where f in coding k is kept. The number is that of the way it is made.
func (c *Cache) path(f *content, k coding) string {
	return filepath.Join(c.config.Dir, f.hashes.sha256+".2."+k.String())
}

// sweep removes what belongs to no content of x.
func (c *Cache) sweep(x *index) error {
	es, err := os.ReadDir(c.config.Dir)
	if err != nil {
		return fmt.Errorf("cannot tidy the compressed files: %w", err)
	}
	keep := map[string]bool{}
	for _, f := range x.contents {
		for _, k := range codings {
			keep[filepath.Base(c.path(f, k))] = true
		}
	}
	var errs []error
	for _, e := range es {
		if !keep[e.Name()] {
			errs = append(errs, os.RemoveAll(filepath.Join(c.config.Dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}
