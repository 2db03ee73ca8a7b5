package hub

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// A teacher's file that can't be used never takes the serving hub down, and is told
// by file and line.
func TestA14(t *testing.T) {
	for name, x := range map[string]struct {
		end  fakeEnd
		code string
		want string
	}{
		"failed": {fakeEnd{code: 66, report: `{"state":"failed","file":"srv/a.py","line":3,"error":"NameError: x"}`}, "srv-broken", "can't be used: NameError: x"},
		"trait":  {fakeEnd{code: 1, report: `{"state":"loaded"}`, log: "Traceback\n  File\n[C 2026-11-21 05:20:37.880 JupyterHub application:119] Bad config: port\n"}, "hub-broken", "started: Bad config: port"},
		"killed": {fakeEnd{code: 137, oom: true}, "hub-broken", "more memory than the 1024 MB"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newFakeClass(t)
			if _, err := c.Deploy(t.Context(), c.spec(t, "f1"), progress.Discard); err != nil {
				t.Fatal(err)
			}
			hub := c.container(c.servingHome().name)
			c.engine.broken = func(s engine.Spec) *fakeEnd { return &x.end }
			_, err := c.Deploy(t.Context(), c.spec(t, "f2"), progress.Discard)
			var n *notice.Error
			if !errors.As(err, &n) || n.Code != x.code || !strings.Contains(n.What, x.want) || n.Means == "" || n.Do == "" {
				t.Errorf("got %v", err)
			}
			if c.container(c.servingHome().name) != hub || hub.State != "running" || len(c.engine.all) != 1 {
				t.Errorf("the serving hub was touched, or something is left: %v", c.engine.all)
			}
			if _, err := os.Stat(c.paths.candidate); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the candidate's directory is left: %v", err)
			}
		})
	}
}

// A hub that comes up as a candidate and not on the class's database makes way for
// the one before, with its database.
func TestA14_rollback(t *testing.T) {
	c := newFakeClass(t)
	if _, err := c.Deploy(t.Context(), c.spec(t, "f1"), progress.Discard); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(c.paths.database(), []byte("before"), 0o600)
	c.engine.broken = func(s engine.Spec) *fakeEnd {
		if s.Labels[labelCandidate] == "" && s.Labels[engine.LabelKey] == "f2" {
			os.WriteFile(c.paths.database(), []byte("spoilt"), 0o600)
			return &fakeEnd{code: 1, log: "no"}
		}
		return nil
	}
	_, err := c.Deploy(t.Context(), c.spec(t, "f2"), progress.Discard)
	if n := notice.For(err); len(n) != 1 || n[0].Code != "hub-broken" || !strings.Contains(n[0].Means, "the hub it had") {
		t.Errorf("got %v", err)
	}
	if o, err := c.Observe(t.Context()); err != nil || o != (Observed{"f1", true}) {
		t.Errorf("serving %+v %v", o, err)
	}
	if b, _ := os.ReadFile(c.paths.database()); string(b) != "before" {
		t.Errorf("database %q", b)
	}
}

// Where no hub serves there is nothing to protect: no candidate is tried, and the
// one that served last is the way back.
func TestA14_first(t *testing.T) {
	c := newFakeClass(t)
	candidates := 0
	c.engine.broken = func(s engine.Spec) *fakeEnd {
		if s.Labels[labelCandidate] != "" {
			candidates++
		}
		if s.Labels[engine.LabelKey] == "bad" {
			return &fakeEnd{code: 66, report: `{"state":"failed","file":"srv/a.py","line":3,"error":"no"}`}
		}
		return nil
	}
	_, err := c.Deploy(t.Context(), c.spec(t, "bad"), progress.Discard)
	if n := notice.For(err); len(n) != 1 || n[0].Where() != "srv/a.py:3" || n[0].Means != "nobody can log in yet" {
		t.Errorf("got %v", err)
	}
	if o, err := c.Observe(t.Context()); err != nil || o != (Observed{}) {
		t.Errorf("left: %+v %v", o, err)
	}
	if _, err := c.Deploy(t.Context(), c.spec(t, "good"), progress.Discard); err != nil {
		t.Fatal(err)
	}
	c.engine.Remove(t.Context(), c.servingHome().name) // a power cut
	if _, err := c.Deploy(t.Context(), c.spec(t, "bad"), progress.Discard); err == nil {
		t.Error("a broken file was taken")
	}
	if o, err := c.Observe(t.Context()); err != nil || o != (Observed{"good", true}) {
		t.Errorf("serving %+v %v", o, err)
	}
	if candidates != 0 {
		t.Errorf("%d candidates", candidates)
	}
}
