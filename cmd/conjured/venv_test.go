package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// What is no course any more has no .venv of ours; somebody's own stays.
func TestG5_venvGoes(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"geo101", "old101", "own101"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(
		os.Symlink("/s/env/gen/old101/1", filepath.Join(dir, "old101/.venv")), os.Symlink("/usr", filepath.Join(dir, "own101/.venv")),
	); err != nil {
		t.Fatal(err)
	}
	wrong := linkAll(dir, map[string]string{"geo101": "/s/env/gen/geo101/1", "missing": "/s/env/gen/missing/1"})
	if len(wrong) != 1 || wrong["missing"] == nil {
		t.Error(wrong)
	}
	for course, want := range map[string]string{"geo101": "/s/env/gen/geo101/1", "old101": "", "own101": "/usr"} {
		if to, _ := os.Readlink(filepath.Join(dir, course, ".venv")); to != want {
			t.Errorf("%s: %q", course, to)
		}
	}
}

// TestG5_venv: a course's .venv points at its generation, follows it, and goes with
// the course; what is not ours stays.
func TestG5_venv(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"geo101", "own101/.venv/bin", "else101", "elsewhere"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(
		os.Symlink("/usr", filepath.Join(dir, "else101/.venv")),
		os.Symlink("elsewhere", filepath.Join(dir, "linked")),
	); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "geo101/.venv")
	for _, to := range []string{"/s/env/gen/geo101/1", "/s/env/gen/geo101/2", "/s/env/gen/geo101/2"} {
		before, _ := os.Lstat(link)
		was, _ := os.Readlink(link)
		if err := linkVenv(dir, "geo101", to); err != nil {
			t.Fatal(err)
		}
		if got, err := os.Readlink(link); err != nil || got != to {
			t.Errorf("%s: %s %v", to, got, err)
		}
		if after, _ := os.Lstat(link); was == to && !os.SameFile(before, after) {
			t.Error("a link that was right is written again")
		}
	}
	for _, course := range []string{"own101", "else101", "linked", "..", "a/b", "", ".hidden", "missing"} {
		if err := linkVenv(dir, course, "/s/env/gen/x/1"); err == nil {
			t.Errorf("%q is linked", course)
		}
	}
	if to, _ := os.Readlink(filepath.Join(dir, "else101/.venv")); to != "/usr" {
		t.Errorf("somebody's link points at %s", to)
	}
	if es, _ := os.ReadDir(filepath.Join(dir, "elsewhere")); len(es) > 0 {
		t.Errorf("a link was followed: %v", es)
	}
	for range 2 {
		if err := linkVenv(dir, "geo101", ""); err != nil {
			t.Fatal(err)
		}
	}
	if es, _ := os.ReadDir(filepath.Join(dir, "geo101")); len(es) > 0 {
		t.Errorf("left %v", es)
	}
	if err := linkVenv(dir, "else101", ""); err == nil {
		t.Error("somebody's link is removed")
	}
	if err := linkVenv(dir, "missing", ""); err != nil {
		t.Errorf("the course is gone already: %v", err)
	}
	if err := linkVenv("/proc/self", "task", "/s/env/gen/x/1"); !errors.Is(err, errNoLinks) {
		t.Errorf("on another kind of file system: %v", err)
	}
}
