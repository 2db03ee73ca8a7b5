package hub

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/conjuring/conjured/engine"
)

// settled waits until no more servers are started ahead.
func settled(t *testing.T, c *fakeClass) Lesson {
	t.Helper()
	var l Lesson
	until(t, "the round is over", func() bool {
		var err error
		if l, err = c.Lesson(t.Context()); err != nil {
			t.Fatal(err)
		}
		return !l.Busy
	})
	return l
}

func begin(t *testing.T, c *fakeClass, users ...string) Lesson {
	t.Helper()
	if l, err := c.BeginLesson(t.Context(), users...); err != nil || !l.On || !l.Busy {
		t.Fatalf("%+v %v", l, err)
	}
	return settled(t, c)
}

// A lesson starts a server for everybody, survives the daemon, and ends with those
// that nobody has used.
func TestLesson(t *testing.T) {
	c, j := newLessonClass(t, nil)
	stop := c.run(t)
	if _, err := c.BeginLesson(t.Context(), "amira", "nobody"); err == nil {
		t.Error("a lesson for somebody who is not on the roster")
	}
	if l := begin(t, c); l.Total != 3 || l.Ready != 3 || l.Unused != 3 || !j.isReady("amira", "ben", "teacher") {
		t.Fatalf("%+v %v", l, j.users)
	}
	for _, m := range []string{labPath, c.paths.upstream, "/etc/passwd"} {
		if spec := c.container(c.containerName(serverID("ben", ""))).spec; !slices.ContainsFunc(spec.Mounts, func(x engine.Mount) bool { return x.Target == m }) {
			t.Errorf("a server started ahead has no %s", m)
		}
	}
	servers := len(c.engine.all)
	stop()
	c.again(t) // the machine comes back in the middle
	c.run(t)
	if l := settled(t, c); !l.On || l.Ready != 3 || l.Unused != 3 || len(c.engine.all) != servers {
		t.Errorf("after a new daemon: %+v, %d containers", l, len(c.engine.all))
	}
	j.login(t, "amira")
	if n, err := c.EndLesson(t.Context(), false); err != nil || n != 2 {
		t.Errorf("stopped %d %v", n, err)
	}
	if l, err := c.Servers(t.Context()); err != nil || len(l) != 1 || l[0].User != "amira" {
		t.Errorf("%+v %v", l, err)
	}
	if n, err := c.EndLesson(t.Context(), true); err != nil || n != 1 {
		t.Errorf("stopped %d %v", n, err)
	}
}

// What does not fit is said, and tried again.
func TestLesson_memory(t *testing.T) {
	var free atomic.Int64
	free.Store(650 * mib)
	c, j := newLessonClass(t, func(c *Config) {
		c.Lesson.Memory = func() (int64, int64, error) { return free.Load(), 2 * gib, nil }
		c.Lesson.Server = 130 * mib
	})
	c.engine.broken = func(s engine.Spec) *fakeEnd {
		if s.Labels[engine.LabelRole] == roleServer {
			free.Add(-130 * mib)
		}
		return nil
	}
	c.run(t)
	l := begin(t, c)
	if l.Ready != 1 || len(l.Left) != 2 || l.Left[0].User != "ben" || !strings.Contains(l.Left[0].Why, "not enough free memory") {
		t.Fatalf("%+v", l)
	}
	free.Store(8 * gib)
	if l := begin(t, c); l.Ready != 3 || len(l.Left) != 0 || !j.isReady("ben", "teacher") {
		t.Errorf("%+v", l)
	}
}

// The lesson's end ends what is being started.
func TestLesson_cancel(t *testing.T) {
	c, _ := newLessonClass(t, nil)
	c.engine.broken = func(s engine.Spec) *fakeEnd {
		if s.Labels[engine.LabelRole] == roleServer {
			return &fakeEnd{hang: true}
		}
		return nil
	}
	c.run(t)
	if _, err := c.BeginLesson(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "one is being started", func() bool {
		l, err := c.Lesson(t.Context())
		return err == nil && l.Starting == 1
	})
	if _, err := c.EndLesson(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if l := settled(t, c); l.On || l.Starting != 0 || l.Unused != 0 {
		t.Errorf("%+v", l)
	}
}

// By themselves servers start once a boot, and only when all of them fit.
func TestLesson_auto(t *testing.T) {
	var boot atomic.Value
	boot.Store("b1")
	var free atomic.Int64
	free.Store(64 * gib)
	c, j := newLessonClass(t, func(c *Config) {
		c.Lesson.Auto = true
		c.Lesson.Boot = func() (string, error) { return boot.Load().(string), nil }
		c.Lesson.Memory = func() (int64, int64, error) { return free.Load(), 64 * gib, nil }
	})
	stop := c.run(t)
	until(t, "everybody has a server", func() bool { return j.isReady("amira", "ben", "teacher") })
	if l := settled(t, c); l.On || l.Unused != 3 {
		t.Errorf("%+v", l)
	}
	if err := c.cullAll(t); err != nil {
		t.Error(err)
	}
	stop()
	c.again(t)
	stop = c.run(t)
	if l := settled(t, c); l.Ready != 0 || l.Total != 0 {
		t.Errorf("again in the same boot: %+v", l)
	}
	stop()
	boot.Store("b2")
	free.Store(6700 * mib) // a tenth of the machine is kept
	c.again(t)
	c.run(t)
	if l := settled(t, c); l.Ready != 0 || l.Total != 0 {
		t.Errorf("they do not fit: %+v", l)
	}
}

// cullAll lets all the time pass that an unused server has.
func (c *fakeClass) cullAll(t *testing.T) error {
	c.cullOnce(t.Context(), time.Now().Add(unusedLimit+time.Second))
	l, err := c.Servers(t.Context())
	if err == nil && len(l) != 0 {
		err = fmt.Errorf("left: %+v", l)
	}
	return err
}

// Culled is what nobody has used: not what a browser has touched, not while a lesson
// is on, and not what a student has started.
func TestCull(t *testing.T) {
	c, j := newLessonClass(t, nil)
	c.run(t)
	begin(t, c, "amira", "ben")
	c.start(t, "teacher")
	later := time.Now().Add(unusedLimit + time.Second)
	c.cullOnce(t.Context(), later)
	if l, err := c.Servers(t.Context()); err != nil || len(l) != 3 {
		t.Errorf("culled in a lesson: %+v %v", l, err)
	}
	c.lesson.mu.Lock()
	c.lesson.state.On = false
	c.lesson.mu.Unlock()
	c.cullOnce(t.Context(), later.Add(-time.Minute))
	if l, err := c.Servers(t.Context()); err != nil || len(l) != 3 {
		t.Errorf("culled too early: %+v %v", l, err)
	}
	j.mu.Lock()
	j.routes["ben"] = time.Now().Add(time.Second)
	j.mu.Unlock()
	c.cullOnce(t.Context(), later)
	l, err := c.Servers(t.Context())
	if err != nil || len(l) != 2 || l[0].User != "ben" || l[1].User != "teacher" {
		t.Errorf("%+v %v", l, err)
	}
}

// Thirty come at once, and the daemon is replaced in the middle, twice: nobody is lost.
func TestThirty_daemonDies(t *testing.T) {
	c, j := newLessonClass(t, func(c *Config) { c.Starts = 2 })
	var all []string
	for i := range 30 {
		name := fmt.Sprintf("s%02d", i)
		all = append(all, name)
		c.roster.set(Account{Name: name, UID: 3000 + i, GID: 1000})
		j.users[name] = map[string]known{"": {Pending: "spawn"}}
	}
	stop := c.run(t)
	for _, name := range all {
		go j.spawn(name)
	}
	for _, n := range []int{5, 15} {
		until(t, "some are ready", func() bool {
			j.mu.Lock()
			defer j.mu.Unlock()
			return len(j.routes) >= n
		})
		stop()
		h := c.Hub
		c.again(t)
		if c.secrets != h.secrets {
			t.Fatal("the new daemon has other secrets")
		}
		stop = c.run(t)
	}
	until(t, "all are ready", func() bool { return j.isReady(all...) })
	if len(j.failed) != 0 {
		t.Errorf("lost: %v", j.failed)
	}
	if l, err := c.Servers(t.Context()); err != nil || len(l) != 30 {
		t.Errorf("%d servers, %v", len(l), err)
	}
}

// What dies is told to JupyterHub; what it has forgotten is given back.
func TestAttend(t *testing.T) {
	c, j := newLessonClass(t, nil)
	c.run(t)
	begin(t, c)
	if err := c.engine.Stop(context.Background(), c.containerName(serverID("ben", "")), 0); err != nil {
		t.Fatal(err)
	}
	until(t, "JupyterHub knows", func() bool { return !j.isReady("ben") })
	j.mu.Lock()
	j.users = map[string]map[string]known{}
	j.mu.Unlock()
	before := len(c.engine.all)
	if err := c.agree(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "they are given back", func() bool { return j.isReady("amira", "teacher") })
	if j.isReady("ben") || len(c.engine.all) != before {
		t.Errorf("what is dead was started: %d containers, %d before", len(c.engine.all), before)
	}
	until(t, "amira's server has grown up", func() bool {
		c.engine.mu.Lock()
		defer c.engine.mu.Unlock()
		return c.engine.all[c.containerName(serverID("amira", ""))].spec.CPUShares == serverShares
	})
}
