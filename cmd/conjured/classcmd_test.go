package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/conjuring/conjured/api"
	"github.com/conjuring/conjured/internal/needs"
)

// TestClass_begin is a lesson of the real program: with class begin a login is in Lab
// without a page that waits, and without it six come at once, while the daemon is
// killed, and nobody is lost.
func TestClass_begin(t *testing.T) {
	needs.All(t, needs.Docker(), needs.Root(), needs.Debootstrap())
	c := newClass(t, copyFolder(t, "testdata/class"))
	c.write("users.csv", crowdRoster(6))
	if _, _, code := c.cli("class", "begin"); code != exitNotRunning {
		t.Errorf("class begin without a daemon: exit %d", code)
	}
	log := filepath.Join(t.TempDir(), "log")
	c.start("--log-file", log)
	t.Cleanup(func() {
		if b, err := os.ReadFile(log); err == nil && t.Failed() {
			t.Logf("the daemon's log:\n%s", b)
		}
	})
	c.waitOpen(8 * time.Minute)
	six := newCrowd(c.url, 6)
	for _, step := range []struct {
		name string
		do   func(*testing.T, *class, crowd)
	}{
		{"servers are there before their students", beginsClass},
		{"the end stops what nobody has used", endsClass},
		{"six at once, and the daemon is killed", killedInTheCrowd},
	} {
		t.Run(step.name, func(t *testing.T) { step.do(t, c, six) })
	}
}

// lessonNow asks for the lesson by a command.
func (c *class) lessonNow(t *testing.T, want int, args ...string) api.Lesson {
	t.Helper()
	out, errs, code := c.cli(append([]string{"class"}, append(args, "--json")...)...)
	var l api.Lesson
	if err := json.Unmarshal([]byte(out), &l); err != nil || code != want {
		t.Fatalf("class %v: exit %d, %v\n%s%s", args, code, err, out, errs)
	}
	return l
}

func beginsClass(t *testing.T, c *class, six crowd) {
	if _, errs, code := c.cli("class", "begin", "nobody"); code != exitFailed || !strings.Contains(errs, "not on the roster") {
		t.Errorf("for somebody unknown: exit %d\n%s", code, errs)
	}
	l := c.lessonNow(t, exitDone, "begin", "pupil0", "pupil1", "pupil2")
	if !l.On || l.Busy || l.Ready != 3 || l.Total != 3 || l.Unused != 3 || len(l.Left) != 0 {
		t.Fatalf("%+v", l)
	}
	for _, s := range six.students[:2] {
		var paths []string
		s.http.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
			paths = append(paths, r.URL.Path)
			return nil
		}
		if err := s.login(t.Context()); err != nil {
			t.Fatal(err)
		}
		body, res, err := s.do(t.Context(), "GET", "/user/"+s.name+"/lab", nil)
		if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(body), "jupyter-config-data") {
			t.Errorf("%s: lab is not there: %v %v", s.name, statusOf(res), err)
		}
		if way := strings.Join(paths, " "); strings.Contains(way, "spawn") {
			t.Errorf("%s had to wait: %s", s.name, way)
		}
		s.http.CheckRedirect = nil
	}
	if l := c.lessonNow(t, exitDone, "status"); l.Unused != 1 {
		t.Errorf("two came, one is unused: %+v", l)
	}
}

func endsClass(t *testing.T, c *class, _ crowd) {
	if l := c.lessonNow(t, exitDone, "end"); l.On || l.Stopped != 1 {
		t.Errorf("%+v", l)
	}
	if n := c.containers("server"); n != 2 {
		t.Errorf("%d servers run, two are used", n)
	}
	if l := c.lessonNow(t, exitDone, "end", "--stop-all"); l.Stopped != 2 || c.containers("server") != 0 {
		t.Errorf("%+v, %d run", l, c.containers("server"))
	}
}

// killedInTheCrowd lets everybody come at once. Each keeps trying, as a page that is
// loaded again does, and logs in only once.
func killedInTheCrowd(t *testing.T, c *class, six crowd) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	lost := make([]error, len(six.students))
	var first sync.Once
	oneIn := make(chan struct{})
	var wg sync.WaitGroup
	for _, s := range six.students {
		if err := s.login(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for i, s := range six.students {
		wg.Go(func() {
			for lost[i] = s.arrive(ctx); lost[i] != nil && ctx.Err() == nil; lost[i] = s.arrive(ctx) {
				time.Sleep(300 * time.Millisecond)
			}
			first.Do(func() { close(oneIn) })
		})
	}
	<-oneIn
	_ = syscall.Kill(c.cmd.Process.Pid, syscall.SIGKILL)
	<-c.done
	c.start("--log-file", filepath.Join(t.TempDir(), "log"))
	wg.Wait()
	for i, err := range lost {
		if err != nil {
			t.Errorf("pupil%d is lost: %v", i, err)
		}
	}
	if n := c.containers("server"); n != len(six.students) {
		t.Errorf("%d servers for %d students", n, len(six.students))
	}
}
