package usbwatch

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const patience = 20 * time.Second

func start(t *testing.T) (string, <-chan struct{}) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "custom")
	if err := os.MkdirAll(filepath.Join(dir, "home", "amira"), 0o755); err != nil {
		t.Fatal(err)
	}
	ch, err := Folder(t.Context(), dir, 50*time.Millisecond, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return dir, ch
}

func want(t *testing.T, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatalf("no signal after %s", what)
	}
}

func put(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(time.Now().String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFolderSeesChanges(t *testing.T) {
	dir, ch := start(t)
	put(t, filepath.Join(dir, "users.csv"))
	want(t, ch, "a new file")
	put(t, filepath.Join(dir, "shared", "deep", "er", "a.txt"))
	want(t, ch, "a file in new folders")
	// An editor's way to save: a file beside, renamed over.
	put(t, filepath.Join(dir, "shared", "deep", "er", "a.tmp"))
	if err := os.Rename(filepath.Join(dir, "shared", "deep", "er", "a.tmp"), filepath.Join(dir, "shared", "deep", "er", "a.txt")); err != nil {
		t.Fatal(err)
	}
	want(t, ch, "a save by rename")
}

func TestFolderSurvivesReplacement(t *testing.T) {
	dir, ch := start(t)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	want(t, ch, "removal")
	put(t, filepath.Join(dir, "users.csv"))
	want(t, ch, "making it again")
	put(t, dir+".new/users.csv")
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir+".new", dir); err != nil {
		t.Fatal(err)
	}
	want(t, ch, "replacing it")
	put(t, filepath.Join(dir, "apt.txt"))
	want(t, ch, "a file in the replaced folder")
}

func TestFolderIgnoresStudentsWork(t *testing.T) {
	w := &watch{dir: "/t/custom"}
	for path, ignored := range map[string]bool{
		"/t/custom": false, "/t/custom/home": true, "/t/custom/home/amira/x": true, "/t/custom/home_backup": true,
		"/t/custom/home_default/x": false, "/t/custom/shared/home/x": false, "/t/other": true, "/t/custom.old/x": true,
	} {
		if got := w.ignored(path); got != ignored {
			t.Errorf("ignored(%q) = %v", path, got)
		}
	}
}

func TestFolderPollsWithoutWatches(t *testing.T) {
	dir := t.TempDir()
	w := &watch{dir: dir, log: slog.New(slog.DiscardHandler), out: make(chan struct{}, 1)}
	w.degrade(os.ErrPermission)
	w.seen = w.stamp()
	ctx, cancel := context.WithCancel(t.Context())
	go w.run(ctx)
	put(t, filepath.Join(dir, "users.csv"))
	want(t, w.out, "a change seen by looking")
	cancel()
	for range w.out { // closes when ctx ends
	}
}
