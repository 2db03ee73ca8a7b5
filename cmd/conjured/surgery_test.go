package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/conjuring/conjured/internal/dockertest"
	"github.com/conjuring/conjured/internal/needs"
	"github.com/conjuring/conjured/notice"
)

func TestOperate(t *testing.T) {
	dead := wounds{}
	for _, c := range []struct {
		why  string
		w    wounds
		want surgery
	}{
		{"Docker works", wounds{answers: true}, noSurgery},
		{"Docker works, whatever its list says", wounds{answers: true, names: true}, noSurgery},
		{"the list of names is torn", wounds{names: true}, namesAside},
		{"it did not help", wounds{names: true, done: []surgery{namesAside}}, recordsAside},
		{"nobody knows why", dead, recordsAside},
		{"the records were not it", wounds{done: []surgery{recordsAside}}, storeAside},
		{"students work in containers", wounds{running: 3, done: []surgery{recordsAside}}, noSurgery},
		{"everything was done", wounds{done: []surgery{recordsAside, storeAside}}, noSurgery},
		{"builds do not mend it", wounds{answers: true, beyond: true}, storeAside},
		{"builds do not mend it, and students work", wounds{answers: true, beyond: true, running: 1}, noSurgery},
		{"a new store", wounds{answers: true, beyond: true, done: []surgery{storeAside}}, noSurgery},
	} {
		if got := operate(c.w); got != c.want {
			t.Errorf("%s: %q, want %q", c.why, got, c.want)
		}
	}
	// Whatever is seen, it comes to an end.
	for bits := range 16 {
		w := wounds{answers: bits&1 > 0, beyond: bits&2 > 0, names: bits&4 > 0, running: bits & 8}
		for s := operate(w); s != noSurgery; s = operate(w) {
			if slices.Contains(w.done, s) {
				t.Fatalf("%+v: %s twice", w, s)
			}
			w.done = append(w.done, s)
		}
	}
}

// testCare is a Docker of the test's own.
type testCare struct{ d *dockertest.Engine }

func (c testCare) Answers(context.Context) bool {
	_, err := c.d.Docker("version")
	return err == nil
}
func (c testCare) Stop(context.Context) error  { c.d.Kill(); return nil }
func (c testCare) Start(context.Context) error { return c.d.TryStart() }

// A Docker that does not start any more starts again, with all that could be kept.
func TestRepairDocker(t *testing.T) {
	needs.All(t, needs.Docker(), needs.Root())
	d := dockertest.New(t)
	tree := filepath.Join(t.TempDir(), "tree.tar")
	if err := os.WriteFile(tree, dockertest.Tree(t, nil).Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"import", tree, "kept:1"},
		{"volume", "create", "kept"},
		{"run", "--rm", "--network", "none", "-v", "kept:/kept", "kept:1", "/bin/sh", "-c", "echo work > /kept/file"},
	} {
		if out, err := d.Docker(args...); err != nil {
			t.Fatalf("%s: %s", args, out)
		}
	}
	cut := func(file string, size int64) {
		d.Kill()
		if err := os.Truncate(filepath.Join(d.Data, file), size); err != nil {
			t.Fatal(err)
		}
		if d.TryStart() == nil {
			t.Fatalf("Docker starts over a torn %s", file)
		}
	}
	repair := func(beyond bool, running int) string {
		done, err := repairDocker(t.Context(), testCare{d}, d.Data, beyond, func() int { return running })
		if err != nil {
			return notice.For(err)[0].Code
		}
		return fmt.Sprint(done)
	}
	works := func(why string) {
		if out, err := d.Docker("run", "--rm", "--network", "none", "-v", "kept:/kept", "kept:1", "/bin/cat", "/kept/file"); err != nil || out != "work\n" {
			t.Errorf("%s: %v %s", why, err, out)
		}
	}
	cut("image/overlay2/repositories.json", 0)
	if got := repair(false, 2); got != "[names]" {
		t.Errorf("torn names: %s", got)
	}
	ids, err := d.Docker("images", "-aq")
	if err != nil || len(strings.Fields(ids)) != 1 {
		t.Fatalf("images after the names were lost: %q, %v", ids, err)
	}
	if out, err := d.Docker("tag", strings.TrimSpace(ids), "kept:1"); err != nil {
		t.Fatal(out)
	}
	works("torn names")
	cut("network/files/local-kv.db", 100)
	if got := repair(false, 2); got != "[records]" {
		t.Errorf("torn records: %s", got)
	}
	works("torn records")
	if got := repair(false, 0); got != "[]" {
		t.Errorf("nothing is wrong: %s", got)
	}
	if got := repair(true, 1); got != "docker-not-repaired" {
		t.Errorf("while a student works: %s", got)
	}
	if got := repair(true, 0); got != "[store]" {
		t.Errorf("a store that no build mends: %s", got)
	}
	if out, err := d.Docker("images", "-aq"); err != nil || out != "" {
		t.Errorf("the store is not new: %q, %v", out, err)
	}
	if out, err := d.Docker("import", tree, "kept:1"); err != nil {
		t.Fatal(out)
	}
	works("a new store, the volumes of the old")
}

// Only the newest of what was put aside stays, and what is not there is left alone.
func TestPutAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "buildkit")
	for range 3 {
		if err := errors.Join(os.MkdirAll(filepath.Join(path, "x"), 0o700), putAside(path), putAside(path)); err != nil {
			t.Fatal(err)
		}
	}
	left, err := filepath.Glob(path + "*")
	if err != nil || len(left) != 1 || left[0] != path+brokenMark+"3" {
		t.Errorf("left %v, %v", left, err)
	}
	if got := dockerRoot(filepath.Join(t.TempDir(), "daemon.json")); got != "/var/lib/docker" {
		t.Errorf("without a setting: %s", got)
	}
	file := filepath.Join(t.TempDir(), "daemon.json")
	if err := os.WriteFile(file, []byte(`{"data-root": "/mnt/docker"}`), 0o600); err != nil || dockerRoot(file) != "/mnt/docker" {
		t.Errorf("with one: %s, %v", dockerRoot(file), err)
	}
}
