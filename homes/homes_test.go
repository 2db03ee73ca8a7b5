package homes

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/conjuring/conjured/internal/needs"
	"github.com/conjuring/conjured/progress"
)

const (
	annUID = 2345
	gid    = 2000
)

func newHomes(t *testing.T) *Homes {
	t.Helper()
	needs.All(t, needs.Root())
	h, err := New(Config{Dir: filepath.Join(t.TempDir(), "homes")})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// write makes files of a folder; a content "-> x" is a link, a name ending in / a
// folder.
func write(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, content := range files {
		p := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(p), 0o755)
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			err = errors.Join(err, os.Symlink(target, p))
		} else if strings.HasSuffix(name, "/") {
			err = errors.Join(err, os.MkdirAll(p, 0o755))
		} else {
			err = errors.Join(err, os.WriteFile(p, []byte(content), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func prepare(t *testing.T, h *Homes, skeleton string) Report {
	t.Helper()
	r, err := h.Prepare(t.Context(), "ann", annUID, gid, skeleton, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func read(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "absent"
	}
	return string(b)
}

func ownerOf(t *testing.T, path string) (uid int, perm os.FileMode) {
	t.Helper()
	st, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(st.Sys().(*syscall.Stat_t).Uid), st.Mode().Perm()
}

func TestU8_newDefaultFiles(t *testing.T) {
	h := newHomes(t)
	sk := write(t, t.TempDir(), map[string]string{"a.txt": "a", "b.txt": "b", "lesson/one.ipynb": "1", "empty/": "", "link": "-> a.txt"})
	if r := prepare(t, h, sk); !r.Created || len(r.Added) != 4 {
		t.Errorf("%+v", r)
	}
	home := h.Path("ann")
	for _, p := range []string{"", "a.txt", "lesson", "lesson/one.ipynb", "empty", "link", "shared"} {
		if uid, _ := ownerOf(t, filepath.Join(home, p)); uid != annUID {
			t.Errorf("%q belongs to %d", p, uid)
		}
	}
	os.WriteFile(filepath.Join(home, "a.txt"), []byte("mine"), 0o644)
	os.Remove(filepath.Join(home, "b.txt"))
	os.RemoveAll(filepath.Join(home, "lesson"))
	write(t, home, map[string]string{"taken.txt": "student's"})
	write(t, sk, map[string]string{"a.txt": "newer", "taken.txt": "teacher's", "lesson/two.ipynb": "2"})
	r := prepare(t, h, sk)
	if d := cmp.Diff([]string{"lesson/two.ipynb"}, r.Added); d != "" || r.Created {
		t.Error(d, r.Created)
	}
	for p, want := range map[string]string{"a.txt": "mine", "b.txt": "absent", "lesson/one.ipynb": "absent", "lesson/two.ipynb": "2", "taken.txt": "student's"} {
		if got := read(filepath.Join(home, p)); got != want {
			t.Errorf("%s: %q, want %q", p, got, want)
		}
	}
	os.Remove(filepath.Join(home, "taken.txt"))
	if r := prepare(t, h, sk); len(r.Added)+len(r.Notices) != 0 {
		t.Errorf("nothing was new: %+v", r)
	}
}

func TestU9_homesAreClosed(t *testing.T) {
	h := newHomes(t)
	prepare(t, h, "")
	home := h.Path("ann")
	if _, perm := ownerOf(t, home); perm != 0o700 {
		t.Errorf("mode %v", perm)
	}
	link := filepath.Join(home, "shared")
	if l, err := os.Readlink(link); l != "/shared" {
		t.Error(l, err)
	}
	os.Remove(link)
	os.Mkdir(link, 0o755)
	os.Chmod(home, 0o755)
	prepare(t, h, "")
	if st, _ := os.Lstat(link); !st.IsDir() {
		t.Error("the student's own folder shared was replaced")
	}
	if _, perm := ownerOf(t, home); perm != 0o700 {
		t.Errorf("mode %v", perm)
	}
}

// The old start walked every home with chown -R; only the home itself is put right.
func TestU12_noChownLoop(t *testing.T) {
	h := newHomes(t)
	home := write(t, h.Path("ann"), map[string]string{"old.txt": "x"}) // root's, as from another machine
	r := prepare(t, h, "")
	if uid, _ := ownerOf(t, home); uid != annUID || len(r.Notices) != 1 || r.Notices[0].Code != "home-owner" {
		t.Errorf("%d %+v", uid, r)
	}
	if uid, _ := ownerOf(t, filepath.Join(home, "old.txt")); uid != 0 {
		t.Errorf("a file inside was given to %d", uid)
	}
}

func TestHostileLinks(t *testing.T) {
	h := newHomes(t)
	prepare(t, h, "")
	home, outside := h.Path("ann"), t.TempDir()
	write(t, home, map[string]string{"lesson": "-> " + outside, "file": "-> " + filepath.Join(outside, "victim")})
	sk := write(t, t.TempDir(), map[string]string{"lesson/one.ipynb": "1", "lesson/deep/two": "2", "file": "f", "ok": "ok"})
	r := prepare(t, h, sk)
	if left, _ := os.ReadDir(outside); len(left) != 0 {
		t.Error("something was written through a link:", left)
	}
	if read(filepath.Join(home, "ok")) != "ok" || len(r.Notices) != 1 || r.Notices[0].Code != "home-in-the-way" {
		t.Errorf("%+v", r)
	}
	for _, name := range []string{"", ".given", "../x", "a/b", "a\x00"} {
		if _, err := h.Prepare(t.Context(), name, annUID, gid, "", nil); err == nil {
			t.Errorf("%q was taken for a name", name)
		}
	}
}

// A student swaps a folder for a link to somebody else's files as fast as possible
// while new default files arrive.
func TestHostileRace(t *testing.T) {
	h := newHomes(t)
	prepare(t, h, "")
	home, outside := h.Path("ann"), t.TempDir()
	os.Chmod(outside, 0o711)
	sk := t.TempDir()
	names := []string{"d/e/"}
	for i := range 60 {
		names = append(names, "d/e/f"+string(rune('A'+i)))
	}
	for _, n := range names {
		write(t, sk, map[string]string{n: "x"})
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		d, away, link := filepath.Join(home, "d"), filepath.Join(home, "away"), filepath.Join(home, "link")
		os.Symlink(outside, link)
		for ctx.Err() == nil {
			os.Rename(d, away)
			os.Rename(link, d)
			os.Rename(d, link)
			os.Rename(away, d)
		}
	}()
	for range 20 {
		os.Remove(filepath.Join(h.dir, ".given", "ann"))
		if _, err := h.Prepare(t.Context(), "ann", annUID, gid, sk, nil); err != nil {
			t.Error(err)
		}
	}
	stop()
	<-done
	if left, _ := os.ReadDir(outside); len(left) != 0 {
		t.Error("something was written through a link:", left)
	}
	if uid, _ := ownerOf(t, outside); uid != 0 {
		t.Error("a folder outside was given to", uid)
	}
}

// Power cuts at each step: the next start completes the home, no file is half.
func TestPowerCut(t *testing.T) {
	for _, existing := range []bool{false, true} {
		h := newHomes(t)
		sk := write(t, t.TempDir(), map[string]string{"a": "aaa", "b/c": "ccc", "d": "ddd"})
		if existing {
			prepare(t, h, "")
		}
		var steps []string
		h.fault = func(s string) error {
			if slices.Contains(steps, s) {
				return nil
			}
			steps = append(steps, s)
			return errCut
		}
		for n := 0; ; n++ {
			_, err := h.Prepare(t.Context(), "ann", annUID, gid, sk, nil)
			if err == nil {
				break
			}
			if !errors.Is(err, errCut) || n > 20 {
				t.Fatal(err, steps)
			}
			for p, want := range map[string]string{"a": "aaa", "b/c": "ccc", "d": "ddd"} {
				if got := read(filepath.Join(h.Path("ann"), p)); got != want && got != "absent" {
					t.Errorf("%s is half: %q", p, got)
				}
			}
		}
		if len(steps) < 7 {
			t.Error("few cuts:", steps)
		}
		for p, want := range map[string]string{"a": "aaa", "b/c": "ccc", "d": "ddd"} {
			if got := read(filepath.Join(h.Path("ann"), p)); got != want {
				t.Errorf("%s: %q", p, got)
			}
		}
	}
}

func TestPrepare_cancel(t *testing.T) {
	h := newHomes(t)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := h.Prepare(ctx, "ann", annUID, gid, write(t, t.TempDir(), map[string]string{"a": "a"}), nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
