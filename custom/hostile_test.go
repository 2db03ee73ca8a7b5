package custom

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/conjuring/conjured/internal/needs"
	"github.com/conjuring/conjured/notice"
	"golang.org/x/sys/unix"
)

func TestFolderItself(t *testing.T) {
	top := t.TempDir()
	files{"real/apt.txt": "tree\n", "file": "x"}.write(t, top)
	must(t, os.Symlink("real", filepath.Join(top, "link")))
	for name, code := range map[string]string{"link": "folder-is-link", "link/": "folder-is-link", "file": "folder-not-directory", "gone": "folder-absent"} {
		f, l := Read(t.Context(), top+"/"+name, Options{})
		if f != nil {
			t.Errorf("%s was read", name)
		}
		wantNotice(t, l, sevError, code, "", 0)
		if r := Check(t.Context(), top+"/"+name, Policy{}); r.OK() || r.Roster == nil || r.Environments == nil {
			t.Errorf("%s: report %+v", name, r)
		}
	}
}

func TestLinksStayInside(t *testing.T) {
	top := t.TempDir()
	secret := filepath.Join(top, "secret")
	must(t, os.WriteFile(secret, []byte("numpy-geheim\n"), 0o644))
	dir := filepath.Join(top, "class")
	must(t, os.Mkdir(dir, 0o755))
	files{"real.txt": "tree\n", "shared/a/data.csv": "1", "home_default/": ""}.write(t, dir)
	for name, target := range map[string]string{
		"requirements.txt": "../secret", "users.csv": secret, "base.Dockerfile": "nowhere", "apt.txt": "real.txt",
		"shared/ok": "a/data.csv", "shared/a/up": "../ok", "shared/out": "../../secret", "shared/abs": secret,
		"shared/dir": "a", "shared/trick": "dir/../../real.txt", "shared/same": "dir/../ok", "home_default/data": "/shared/a/data.csv", "home_default/x": "/shared/../etc", "srv": top,
	} {
		must(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	f, l := Read(t.Context(), dir, Options{})
	for _, name := range []string{"requirements.txt", "users.csv", "shared/out", "shared/abs", "shared/trick", "shared/same", "home_default/x"} {
		wantNotice(t, l, sevError, "link-leaves-folder", name, 0)
	}
	wantNotice(t, l, sevError, "link-broken", "base.Dockerfile", 0)
	wantNotice(t, l, sevError, "not-a-folder", "srv", 0)
	want(t, "apt.txt through a link inside", len(f.AptPackages()), 1)
	var links []string
	for _, e := range append(f.HomeDefault(), f.Shared()...) {
		if e.Link != "" {
			links = append(links, e.Path+" -> "+e.Link)
		}
	}
	want(t, "links", links, []string{"home_default/data -> /shared/a/data.csv", "shared/a/up -> ../ok", "shared/dir -> a", "shared/ok -> a/data.csv"})
	if strings.Contains(dump(l), "geheim") || strings.Contains(string(f.Requirements().Text), "geheim") {
		t.Error("a file outside was read")
	}
}

func TestSpecialFiles(t *testing.T) {
	dir := files{"shared/": "", "srv/": "", "home_default/": ""}.write(t, t.TempDir())
	for _, name := range []string{"apt.txt", "users.csv", "shared/pipe", "srv/pipe.py", ".env", "environment.yml"} {
		must(t, syscall.Mkfifo(filepath.Join(dir, name), 0o644))
	}
	l0, err := net.Listen("unix", filepath.Join(dir, "home_default/s"))
	must(t, err)
	defer l0.Close()
	_, l := Read(t.Context(), dir, Options{})
	for _, name := range []string{"apt.txt", "users.csv", ".env", "environment.yml"} {
		wantNotice(t, l, sevError, "not-a-file", name, 0)
	}
	for _, name := range []string{"shared/pipe", "srv/pipe.py", "home_default/s"} {
		wantNotice(t, l, sevError, "content-special", name, 0)
	}
}

func TestDevices(t *testing.T) {
	needs.All(t, needs.Root())
	dir := files{"shared/": ""}.write(t, t.TempDir())
	must(t, unix.Mknod(filepath.Join(dir, "shared/zero"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))))
	must(t, unix.Mknod(filepath.Join(dir, "requirements.txt"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))))
	_, l := Read(t.Context(), dir, Options{})
	wantNotice(t, l, sevError, "content-special", "shared/zero", 0)
	wantNotice(t, l, sevError, "not-a-file", "requirements.txt", 0)
}

func TestOddNames(t *testing.T) {
	dir := files{"shared/Maps.txt": "1", "shared/maps.txt": "2", "shared/e\u0301.txt": "1", "shared/\u00e9.txt": "2"}.write(t, t.TempDir())
	for _, name := range []string{"shared/\xff\xfe", "shared/a\nb", "srv/x\x1b[2J.py", "environment\xff.yml"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	_, l := Read(t.Context(), dir, Options{})
	wantNotice(t, l, sevWarn, "names-differ-by-case", "shared/maps.txt", 0)
	wantNotice(t, l, sevWarn, "names-differ-by-case", "shared/\u00e9.txt", 0)
	wantNotice(t, l, sevError, "name-not-utf8", "shared/\ufffd", 0)
	wantNotice(t, l, sevError, "name-control", "shared/a\ufffdb", 0)
	wantNotice(t, l, sevError, "name-control", "srv/x\ufffd[2J.py", 0)
	wantNotice(t, l, sevError, "name-not-utf8", "environment\ufffd.yml", 0)
	if s := dump(l); strings.Contains(s, "\x1b") || !utf8.ValidString(s) {
		t.Error("a notice holds bytes that a terminal obeys")
	}
}

func TestLimits(t *testing.T) {
	dir := files{
		"shared/" + strings.Repeat("d/", MaxDepth+2) + "x": "x", "requirements.txt": strings.Repeat("a", MaxText+1), "srv/big.py": strings.Repeat("a", MaxSrvFile+1),
		"environment.yml": strings.Repeat("a", MaxYAML+1), "apt.txt": "tree\n" + strings.Repeat("b", MaxLine+1) + "\n", "home_default/huge": "",
	}.write(t, t.TempDir())
	must(t, os.Truncate(filepath.Join(dir, "home_default/huge"), MaxFile+1)) // sparse
	_, l := Read(t.Context(), dir, Options{})
	for _, name := range []string{"requirements.txt", "srv/big.py", "environment.yml", "home_default/huge"} {
		wantNotice(t, l, sevError, "file-too-large", name, 0)
	}
	wantNotice(t, l, sevError, "line-too-long", "apt.txt", 2)
	wantNotice(t, l, sevError, "content-too-deep", "shared/"+strings.TrimSuffix(strings.Repeat("d/", MaxDepth), "/"), 0)
}

func TestHundredThousandFiles(t *testing.T) {
	dir := files{"shared/": "", "apt.txt": "Vim\n"}.write(t, t.TempDir())
	for i := range 100 { // hard links in folders: quick to make, and 100,000 all the same
		sub := filepath.Join(dir, "shared", fmt.Sprint(i))
		must(t, os.Mkdir(sub, 0o755))
		one := filepath.Join(sub, "0")
		must(t, os.WriteFile(one, nil, 0o644))
		for j := range 999 {
			must(t, os.Link(one, filepath.Join(sub, fmt.Sprint(j+1))))
		}
	}
	_, l := Read(t.Context(), dir, Options{})
	wantNotice(t, l, sevError, "content-too-many", "shared", 0)
	wantNotice(t, l, sevError, "apt-name", "apt.txt", 1) // and all other problems too
}

func TestTenThousandRows(t *testing.T) {
	var b strings.Builder
	b.WriteString("name,password,admin\n")
	for i := range 10_000 {
		fmt.Fprintf(&b, "user%d,pw,\n", i)
	}
	_, l := read(t, files{"users.csv": b.String()}, Options{})
	if !l.HasErrors() || len(l) > 100 {
		t.Errorf("%d notices:\n%.2000s", len(l), dump(l))
	}
}

func TestManyMistakesAreFewNotices(t *testing.T) {
	_, l := read(t, files{"apt.txt": strings.Repeat("Vim;\n", 5000)}, Options{})
	if len(l) > MaxNotices+5 || !strings.Contains(dump(l), fmt.Sprintf("and %d more like this", 5000-MaxNotices)) {
		t.Errorf("%d notices", len(l))
	}
}

func TestUnreadable(t *testing.T) {
	needs.All(t, needs.Root()) // to become somebody who is not root
	dir := files{"apt.txt": "tree\n", "shared/secret": "x", "srv/x.py": ""}.write(t, t.TempDir())
	for _, name := range []string{"apt.txt", "shared/secret", "srv"} {
		must(t, os.Chmod(filepath.Join(dir, name), 0))
	}
	for d := dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o755))
	}
	var l notice.List
	asNobody(t, func() { _, l = Read(t.Context(), dir, Options{}) })
	for _, name := range []string{"apt.txt", "shared/secret", "srv"} {
		wantNotice(t, l, sevError, "file-unreadable", name, 0)
	}
}

// asNobody calls f on a thread that has no rights over other people's files.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // ends with the goroutine, and so do its lost rights
		if _, _, e := syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0); e != 0 {
			done <- e
			return
		}
		f()
		done <- nil
	}()
	must(t, <-done)
}

func TestVanishesWhileRead(t *testing.T) {
	all := original().with(files{"shared/a/1": "x", "shared/a/2": "y", "srv/b.py": "", "requirements.txt": "-r more.txt\n", "more.txt": "tqdm\n", "geo/requirements.txt": "a\n", "geo/postBuild": "", ".binder/runtime.txt": "python-3.12"})
	var opens int
	_, l := Read(t.Context(), all.write(t, t.TempDir()), Options{opened: func(string) { opens++ }})
	wantNoErrors(t, l)
	for at := 2; at <= opens; at++ { // the folder is gone from the nth opening on
		dir := all.write(t, filepath.Join(t.TempDir(), "c"))
		n := 0
		f, l := Read(t.Context(), dir, Options{opened: func(string) {
			if n++; n == at {
				must(t, os.RemoveAll(dir))
			}
		}})
		if f != nil && !l.HasErrors() {
			dst := filepath.Join(t.TempDir(), "saved")
			if err := f.Save(t.Context(), dst); err == nil {
				t.Errorf("gone at opening %d of %d, and nobody noticed:\n%s", at, opens, dump(l))
			}
		}
	}
}

func TestCancel(t *testing.T) {
	dir := original().write(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	f, l := Read(ctx, dir, Options{opened: func(rel string) {
		if rel == "base.Dockerfile" {
			cancel()
		}
	}})
	if f != nil {
		t.Error("a folder in spite of being stopped")
	}
	wantNotice(t, l, sevError, "reading-stopped", "", 0)
	g, _ := Read(t.Context(), dir, Options{})
	top := t.TempDir()
	if err := g.Save(ctx, filepath.Join(top, "x")); !errors.Is(err, context.Canceled) {
		t.Errorf("Save: %v", err)
	}
	if left, _ := os.ReadDir(top); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
