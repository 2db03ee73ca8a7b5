package homes

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sync(t *testing.T, src, dst, fingerprint string) SyncReport {
	t.Helper()
	r, err := Sync(t.Context(), src, dst, fingerprint, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSync(t *testing.T) {
	src, dst := t.TempDir(), filepath.Join(t.TempDir(), "content", "shared")
	write(t, src, map[string]string{"a": "one", "same": "s", "dir/x": "x", "turns": "file", "in": "-> dir/x", "out": "-> ../../etc/passwd"})
	r := sync(t, src, dst, "1")
	if len(r.Added) != 5 || len(r.Notices) != 1 {
		t.Errorf("%+v", r)
	}
	if _, err := os.Lstat(filepath.Join(dst, "out")); err == nil {
		t.Error("a link that leads out was copied")
	}
	open, err := os.Open(filepath.Join(dst, "a")) // a student reads while the teacher changes it
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	before, _ := os.Stat(dst)
	same, _ := os.Stat(filepath.Join(dst, "same"))

	next := write(t, t.TempDir(), map[string]string{"a": "two", "same": "s", "turns/into": "dir", "new": "n"})
	write(t, dst, map[string]string{tempName + "123": "half"})
	if r := sync(t, next, dst, "1"); !r.Unchanged {
		t.Error("the same fingerprint was looked at")
	}
	r = sync(t, next, dst, "2")
	r.Notices = nil
	want := SyncReport{Added: []string{"new", "turns/into"}, Changed: []string{"a"}, Removed: []string{"dir", "dir/x", "in"}}
	if d := cmp.Diff(want, r); d != "" {
		t.Error(d)
	}
	if got := read(filepath.Join(dst, "a")); got != "two" {
		t.Error(got)
	}
	b := make([]byte, 3)
	if open.Read(b); string(b) != "one" {
		t.Errorf("the open file changed under its reader: %q", b)
	}
	if after, _ := os.Stat(dst); !os.SameFile(before, after) {
		t.Error("the mounted folder was replaced")
	}
	if now, _ := os.Stat(filepath.Join(dst, "same")); !os.SameFile(same, now) || now.Mode().Perm() != 0o644 {
		t.Error("an unchanged file was written anew")
	}
	if r := sync(t, "", dst, "3"); len(r.Removed) != 5 {
		t.Errorf("%+v", r)
	}
}

// A Sync that stops half way leaves no mark, and the next one completes it.
func TestSync_interrupted(t *testing.T) {
	src, dst := write(t, t.TempDir(), map[string]string{"a": "1", "b": "2"}), filepath.Join(t.TempDir(), "shared")
	sync(t, src, dst, "1")
	os.Remove(filepath.Join(src, "a"))
	s := write(t, t.TempDir(), map[string]string{"a": "new"})
	ctx, stop := cancelled(t)
	stop()
	if _, err := Sync(ctx, s, dst, "2", nil); err == nil {
		t.Fatal("a cancelled sync says it is done")
	}
	if r := sync(t, s, dst, "1"); r.Unchanged || read(filepath.Join(dst, "a")) != "new" {
		t.Errorf("%+v", r)
	}
}

func cancelled(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}
