package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/conjuring/conjured/internal/needs"
)

// Whatever a student puts in the place of the socket, neither the daemon nor the next
// start is led astray by it.
func TestPlace_tricks(t *testing.T) {
	c := newFakeClass(t)
	c.run(t)
	id := serverID("amira", "")
	place := c.paths.place(id)
	outside := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(outside, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	other, err := net.Listen("unix", filepath.Join(c.paths.run, "other.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for name, trick := range map[string]func(sock string) error{
		"a link to another socket":    func(s string) error { return os.Symlink(other.Addr().String(), s) },
		"a link to the daemon's":      func(s string) error { return os.Symlink(c.paths.askSock(), s) },
		"a link to nothing":           func(s string) error { return os.Symlink("/nonexistent", s) },
		"a pipe nobody writes to":     func(s string) error { return unix.Mkfifo(s, 0o666) },
		"a folder":                    func(s string) error { return os.Mkdir(s, 0o755) },
		"a file":                      func(s string) error { return os.WriteFile(s, []byte("HTTP/1.1 200 OK\r\n\r\n"), 0o666) },
		"a socket nobody answers":     func(s string) error { return unix.Mknod(s, unix.S_IFSOCK|0o666, 0) },
		"a link to a precious folder": func(s string) error { return os.Symlink(filepath.Dir(outside), s+"d") },
		"names with new lines":        func(s string) error { return os.WriteFile(s+"\n\x1b[31m", nil, 0o666) },
		"a deep tree":                 func(s string) error { return os.MkdirAll(s+"/a/b/c/d/e/f/g", 0o700) },
		"many files": func(s string) error {
			var errs []error
			for i := range 3000 {
				errs = append(errs, os.WriteFile(fmt.Sprint(s, i), nil, 0o600))
			}
			return errors.Join(errs...)
		},
	} {
		if _, events := c.start(t, "amira"); events == "" {
			t.Fatal("no news of the start")
		}
		if err := os.RemoveAll(c.paths.sock(id)); err != nil {
			t.Fatal(err)
		}
		if err := trick(c.paths.sock(id)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://x/", nil)
		if resp, err := over(c.paths.sock(id), 0).Do(r); err == nil {
			resp.Body.Close()
			t.Errorf("%s was connected to", name)
		}
		if err := c.stopServer(t.Context(), id); err != nil {
			t.Errorf("%s: the server can't be stopped: %v", name, err)
		}
		if _, err := os.Lstat(place); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the place is still there: %v", name, err)
		}
		if _, err := os.Stat(outside); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if a, _ := c.start(t, "amira"); a.ID != id {
		t.Errorf("the next start: %+v", a)
	}
}

// A place is the student's until the socket is there, and then nobody's.
func TestSealPlace(t *testing.T) {
	needs.All(t, needs.Root())
	c := newFakeClass(t)
	a := Account{Name: "amira", UID: 2001, GID: 2001}
	id := serverID("amira", "")
	if err := c.preparePlace(id, a, "token"); err != nil {
		t.Fatal(err)
	}
	touch := func(name string) error {
		cmd := exec.Command("touch", filepath.Join(c.paths.place(id), name))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 2001, Gid: 2001}}
		return cmd.Run()
	}
	os.Chmod(filepath.Dir(c.paths.run), 0o711)
	if err := errors.Join(touch("s.sock"), touch("evil")); err != nil {
		t.Fatalf("before: %v", err)
	}
	if err := c.sealPlace(id); err != nil {
		t.Fatal(err)
	}
	if touch("late") == nil {
		t.Error("after: a file was made")
	}
	l, err := os.ReadDir(c.paths.place(id))
	if err != nil || len(l) != 1 || l[0].Name() != "s.sock" {
		t.Errorf("left: %v %v", l, err)
	}
	for i := range maxLeft + 1 {
		if err := os.WriteFile(filepath.Join(c.paths.place(id), fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if c.sealPlace(id) == nil {
		t.Error("a full place was taken")
	}
}
