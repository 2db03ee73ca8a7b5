package usbwatch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	maxDirs = 4096             // directories watched; beyond that the folder is polled
	maxWait = time.Second      // a signal comes at the latest this long after the first event
	poll    = 2 * time.Second  // between looks while watching is not possible
	look    = 10 * time.Second // between looks while it is: whatever an event missed
)

// Folder signals changes of the tree at dir, which may be replaced, removed and made
// again while it is watched. A signal comes when the tree was quiet for settle, or a
// second after the first change when it never is. At most one signal waits. When
// watching is not possible the folder is looked at every two seconds instead. The channel
// closes when ctx ends. The error is about an impossible argument only.
func Folder(ctx context.Context, dir string, settle time.Duration, log *slog.Logger) (<-chan struct{}, error) {
	dir, err := filepath.Abs(dir)
	if err != nil || settle < 0 {
		return nil, fmt.Errorf("cannot watch %q: %w", dir, errors.Join(err, errors.New("needs a folder and a time that is not negative")))
	}
	w := &watch{dir: dir, settle: settle, log: log, out: make(chan struct{}, 1)}
	w.rewatch()
	w.seen = w.stamp()
	go w.run(ctx)
	return w.out, nil
}

// watch belongs to the goroutine of run.
type watch struct {
	dir    string
	settle time.Duration
	log    *slog.Logger
	out    chan struct{}

	notify *fsnotify.Watcher // nil while the folder is polled
	seen   stamp
}

// stamp sums up a tree so that a change shows: count, sizes, newest time, identity.
type stamp struct {
	files int
	sum   uint64
}

func (w *watch) run(ctx context.Context) {
	defer close(w.out)
	defer w.unwatch()
	quiet, latest := stopped(), stopped()
	next := time.NewTimer(w.interval())
	defer func() { quiet.Stop(); latest.Stop(); next.Stop() }()
	pending := false
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-w.events():
			if w.ignored(e.Name) || e.Op == fsnotify.Chmod {
				continue
			}
			if !pending {
				pending = true
				latest.Reset(max(maxWait, w.settle))
			}
			quiet.Reset(w.settle)
			w.follow(e)
			continue
		case err := <-w.errors():
			w.log.Warn("missed changes of the folder", "dir", w.dir, "error", err)
		case <-next.C:
			if !pending && w.stamp() == w.seen {
				next.Reset(w.interval())
				continue
			}
		case <-quiet.C:
		case <-latest.C:
		}
		pending = false
		quiet.Stop()
		latest.Stop()
		w.signal()
		next.Reset(w.interval())
	}
}

// signal watches what is there now, and then says that something changed: whoever
// reads after the signal sees every change that has not its own signal to come.
func (w *watch) signal() {
	w.rewatch()
	w.seen = w.stamp()
	select {
	case w.out <- struct{}{}:
	default:
	}
}

// follow watches a directory as soon as it appears.
func (w *watch) follow(e fsnotify.Event) {
	if w.notify == nil || !e.Has(fsnotify.Create) {
		return
	}
	if fi, err := os.Lstat(e.Name); err == nil && fi.IsDir() && (inside(w.dir, e.Name) || e.Name == w.dir) {
		w.rewatch()
	}
}

// rewatch watches the directory above the folder, so that a replaced folder shows, and
// each directory in it. Without enough watches the folder is polled.
func (w *watch) rewatch() {
	if w.notify == nil {
		n, err := fsnotify.NewWatcher()
		if err != nil {
			w.degrade(err)
			return
		}
		w.notify = n
	}
	if err := w.addAll(); err != nil {
		w.degrade(err)
	}
}

func (w *watch) addAll() error {
	// A folder made anew at the same path has other inodes; dead watches are gone by then.
	if err := w.notify.Add(filepath.Dir(w.dir)); err != nil {
		return err
	}
	dirs := 0
	return filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil // it went away: its parent's event brings us back
		case !d.IsDir():
			return nil
		case w.ignored(path):
			return fs.SkipDir
		}
		if dirs++; dirs > maxDirs {
			return fmt.Errorf("more than %d folders", maxDirs)
		}
		if err := w.notify.Add(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

func (w *watch) degrade(err error) {
	w.log.Warn("cannot watch the folder; looking every two seconds instead", "dir", w.dir, "error", err)
	w.unwatch()
}

func (w *watch) unwatch() {
	if w.notify != nil {
		w.notify.Close()
		w.notify = nil
	}
}

func (w *watch) interval() time.Duration {
	if w.notify == nil {
		return poll
	}
	return look
}

func (w *watch) events() <-chan fsnotify.Event {
	if w.notify == nil {
		return nil
	}
	return w.notify.Events
}

func (w *watch) errors() <-chan error {
	if w.notify == nil {
		return nil
	}
	return w.notify.Errors
}

// ignored tells whether a path is students' work, or beside the folder.
func (w *watch) ignored(path string) bool {
	if path == w.dir {
		return false
	}
	if !inside(w.dir, path) {
		return true
	}
	for _, name := range []string{"home", "home_backup"} {
		if top := filepath.Join(w.dir, name); path == top || inside(top, path) {
			return true
		}
	}
	return false
}

func inside(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != "." && filepath.IsLocal(rel)
}

// stamp looks at no more than 100 000 files, and opens none.
func (w *watch) stamp() stamp {
	var s stamp
	_ = filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if w.ignored(path) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		fi, err := d.Info()
		if err != nil {
			return nil
		}
		if s.files++; s.files > 100_000 {
			return fs.SkipAll
		}
		h := uint64(14695981039346656037)
		for _, c := range []byte(path) {
			h = (h ^ uint64(c)) * 1099511628211
		}
		if !fi.IsDir() {
			h = (h ^ uint64(fi.Size())) * 1099511628211
			h = (h ^ uint64(fi.ModTime().UnixNano())) * 1099511628211
		}
		s.sum += h
		return nil
	})
	return s
}

func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}
