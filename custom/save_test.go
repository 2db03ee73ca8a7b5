package custom

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/conjuring/conjured/notice"
	"github.com/google/go-cmp/cmp"
)

func full() files {
	return original().with(files{
		"requirements.txt": "tqdm\n-r reqs/more.txt\n./wheels/humanize-4.0-py3-none-any.whl\n", "reqs/more.txt": "rich\n",
		"wheels/humanize-4.0-py3-none-any.whl": "PK", "srv/templates/login.html": "<p>", "shared/empty/": "", "shared/deep/a/b.txt": "b",
		OverrideYML: conjuringWith("hostname: ${H}"), ".env": "H=box\n", "conjured.yaml": "class: Maths\n",
		"courses.csv": "course,student\ngeo-101,john\nstaff,teachers\n", "geo-101/environment.yml": "channels: [conda-forge]\ndependencies: [gdal, pip: [-r requirements.txt]]\n", "geo-101/requirements.txt": "rich\n",
		"geo-101/apt.txt": "tree\n", "geo-101/postBuild": "true\n", "geo-101/big.csv": "not a part of the setup", "staff/uv.lock": "version = 1\n", "staff/runtime.txt": "python-3.11\n", "staff/humanize-4.0-py3-none-any.whl": "PK",
		"staff/requirements.txt": "./humanize-4.0-py3-none-any.whl\n", ".binder/pyproject.toml": "[project]\ndependencies = ['click']\n", "environment-a.yml": "name: art\n",
	})
}

func save(t *testing.T, dir string) (*Folder, string) {
	t.Helper()
	must(t, os.Symlink("deep/a", filepath.Join(dir, "shared/link")))
	must(t, os.Chmod(filepath.Join(dir, "shared/hello.sh"), 0o755))
	f, l := Read(t.Context(), dir, Options{})
	wantNoErrors(t, l)
	dst := filepath.Join(t.TempDir(), "saved")
	must(t, f.Save(t.Context(), dst))
	return f, dst
}

func TestSaveAndLoad(t *testing.T) {
	f, dst := save(t, full().write(t, t.TempDir()))
	g, err := Load(t.Context(), dst, Policy{})
	must(t, err)
	if d := cmp.Diff(f.Fingerprints(), g.Fingerprints()); d != "" || f.ID() != g.ID() || f.Name() != g.Name() {
		t.Errorf("fingerprints or name changed:\n%s", d)
	}
	for what, pair := range map[string][2]any{
		"requirements": {f.Requirements(), g.Requirements()}, "override": {f.Override(), g.Override()}, "srv": {f.Srv(), g.Srv()},
		"shared": {f.Shared(), g.Shared()}, "home_default": {f.HomeDefault(), g.HomeDefault()}, "environments": {f.EnvironmentFiles(), g.EnvironmentFiles()},
		"specs": {f.Environments(), g.Environments()}, "apt": {f.AptPackages(), g.AptPackages()}, "notices": {f.Notices(), g.Notices()},
	} {
		want(t, what, pair[1], pair[0])
	}
	if len(g.Roster().Rows) != 2 || g.Roster().Read || g.Users() != nil {
		t.Errorf("roster of the copy: %+v", g.Roster())
	}
	must(t, filepath.WalkDir(dst, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if data, err := os.ReadFile(name); err != nil || strings.Contains(string(data), "aBadPswd") {
				t.Errorf("%s holds a password (%v)", name, err)
			}
		}
		return err
	}))
	if info, err := os.Stat(filepath.Join(dst, "shared/hello.sh")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("shared/hello.sh: %v %v", info, err)
	}
	if err := f.Save(t.Context(), dst); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second Save: %v", err)
	}
}

func TestSaveNoticesChanges(t *testing.T) {
	for what, change := range map[string]func(dir string) error{
		"other bytes": func(d string) error {
			return os.WriteFile(d+"/shared/hello.sh", []byte("#!/bin/sh\necho HELLO\n"), 0o644)
		},
		"longer":  func(d string) error { return os.WriteFile(d+"/shared/deep/a/b.txt", []byte("bb"), 0o644) },
		"shorter": func(d string) error { return os.Truncate(d+"/shared/deep/a/b.txt", 0) },
		"gone":    func(d string) error { return os.RemoveAll(d + "/shared/deep") },
		"now a link": func(d string) error {
			_ = os.Remove(d + "/shared/hello.sh")
			return os.Symlink("/etc/passwd", d+"/shared/hello.sh")
		},
		"all is gone": os.RemoveAll,
		"other wheel": func(d string) error {
			return os.WriteFile(d+"/wheels/humanize-4.0-py3-none-any.whl", []byte("QK"), 0o644)
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir := full().write(t, filepath.Join(t.TempDir(), "c"))
			f, _ := Read(t.Context(), dir, Options{})
			must(t, change(dir))
			top := t.TempDir()
			err := f.Save(t.Context(), filepath.Join(top, "saved"))
			var n *notice.Error
			if !errors.As(err, &n) || n.Code != "folder-changed" || n.Means == "" || n.Do == "" {
				t.Errorf("Save: %v", err)
			}
			if left, _ := os.ReadDir(top); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestLoadNoticesDamage(t *testing.T) {
	for what, change := range map[string]func(dir string) error{
		"other bytes":  func(d string) error { return os.WriteFile(d+"/shared/hello.sh", []byte("x"), 0o644) },
		"one more":     func(d string) error { return os.WriteFile(d+"/srv/evil.py", []byte("x"), 0o644) },
		"one less":     func(d string) error { return os.Remove(d + "/reqs/more.txt") },
		"a directory":  func(d string) error { return os.Remove(d + "/shared/empty") },
		"another link": func(d string) error { _ = os.Remove(d + "/shared/link"); return os.Symlink("empty", d+"/shared/link") },
		"unfinished":   func(d string) error { return os.Remove(d + "/" + savedName) },
		"torn":         func(d string) error { return os.Truncate(d+"/"+savedName, 100) },
		"gone":         os.RemoveAll,
	} {
		t.Run(what, func(t *testing.T) {
			_, dst := save(t, full().write(t, t.TempDir()))
			must(t, change(dst))
			_, err := Load(t.Context(), dst, Policy{})
			var n *notice.Error
			if !errors.As(err, &n) || n.Code != "setup-damaged" {
				t.Errorf("Load: %v", err)
			}
		})
	}
}
