package appliance

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/conjuring/conjured/notice"
)

func someState(wish uint64) State {
	s := setup("r1", "i1", "e1")
	return State{
		Desired: Desired{Setup: s, Wish: wish},
		Actual: Actual{
			Roster: "r1", Images: map[string]bool{"i1": true}, Serving: s, Good: []Setup{s},
			Failures: map[string]Failure{"image:i2": {Kind: Image, Setup: "x", Wish: wish, Tries: 1, Notices: notice.List{{Code: "c", What: "<w> & ü"}}}},
			Last:     map[Kind]Entry{Deploy: {Time: time.Date(2026, 11, 21, 4, 0, 0, 0, time.UTC), Kind: Deploy, Outcome: OutcomeDone}},
		},
		Running: []Action{{Kind: Seal, Setup: s}},
	}
}

func openJournal(t *testing.T, dir string) *Journal {
	t.Helper()
	j, err := OpenJournal(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

// What every Store promises, for the real one and for the tests' own.
func TestStoreConformance(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) (s Store, reopen func() Store){
		"memory": func(*testing.T) (Store, func() Store) {
			m := &memStore{}
			return m, func() Store { return m.afterCut() }
		},
		"journal": func(t *testing.T) (Store, func() Store) {
			dir := filepath.Join(t.TempDir(), "journal")
			j := openJournal(t, dir)
			return j, func() Store {
				if err := j.Close(); err != nil {
					t.Fatal(err)
				}
				return openJournal(t, dir)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, reopen := open(t)
			if got, lost, err := s.Load(); err != nil || lost != nil || cmp.Diff(State{}, got) != "" {
				t.Errorf("an empty store gives %+v, %v, %v", got, lost, err)
			}
			for wish := range uint64(3) {
				want := someState(wish)
				if err := s.Save(want); err != nil {
					t.Fatal(err)
				}
				got, lost, err := s.Load()
				if d := cmp.Diff(want, got); d != "" || lost != nil || err != nil {
					t.Errorf("wish %d: %v %v\n%s", wish, lost, err, d)
				}
			}
			if err := s.Record(Entry{Kind: Image, Outcome: OutcomeFailed}); err != nil {
				t.Error(err)
			}
			got, lost, err := reopen().Load()
			if d := cmp.Diff(someState(2), got); d != "" || lost != nil || err != nil {
				t.Errorf("after reopening: %v %v\n%s", lost, err, d)
			}
		})
	}
}

// A file torn at any length, or with any byte changed, is passed over for the one before.
func TestTornState(t *testing.T) {
	dir := t.TempDir()
	j := openJournal(t, dir)
	for wish := range uint64(2) {
		if err := j.Save(someState(wish)); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, stateFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, raw []byte) {
		t.Helper()
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		got, lost, err := j.Load()
		if err != nil || len(lost) != 1 || lost[0].Code != "state-torn" || cmp.Diff(someState(0), got) != "" {
			t.Errorf("%s: wish %d, %v, %v", what, got.Desired.Wish, lost, err)
		}
	}
	for n := 0; n < len(whole); n += 37 {
		check("cut short", whole[:n])
	}
	check("zeroed", make([]byte, len(whole)))
	check("one letter", []byte(strings.Replace(string(whole), `"r1"`, `"r2"`, 1)))
	check("version 0", []byte(strings.Replace(string(whole), `"version":1`, `"version":0`, 1)))

	// the next save must not push the readable one out
	if err := os.WriteFile(path, whole[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := j.Save(someState(7)); err != nil {
		t.Fatal(err)
	}
	if prev, err := j.read(prevFile); err != nil || prev.Desired.Wish != 0 {
		t.Errorf("the state before is wish %d, %v", prev.Desired.Wish, err)
	}

	for _, name := range []string{stateFile, prevFile} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, lost, err := j.Load()
	if err != nil || len(lost) != 1 || lost[0].Code != "state-lost" || got.Desired.Wish != 0 {
		t.Errorf("both torn: %+v, %v, %v", got, lost, err)
	}
	if _, err := os.Stat(path + ".torn"); err != nil {
		t.Error(err)
	}
}

func TestNewerStateIsNotTouched(t *testing.T) {
	for _, name := range []string{stateFile, prevFile} {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		content := []byte(`{"version":2,"something":"else"}`)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		w := newWorld()
		c := w.config()
		c.Store = openJournal(t, dir)
		_, err := New(c)
		if l := notice.For(err); len(l) != 1 || l[0].Code != "state-newer" {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != string(content) {
			t.Errorf("%s: now %q, %v", name, got, err)
		}
	}
}

func TestJournalHasOneOwner(t *testing.T) {
	dir := t.TempDir()
	j := openJournal(t, dir)
	_, err := OpenJournal(dir)
	var n *notice.Error
	if !errors.As(err, &n) || n.Code != "state-in-use" {
		t.Errorf("a second one: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	openJournal(t, dir)
}

func TestHistoryIsBounded(t *testing.T) {
	dir := t.TempDir()
	j := openJournal(t, dir)
	long := notice.List{{Code: "c", What: strings.Repeat("x", 50_000)}, {Code: "d", What: strings.Repeat("y", 50_000)}}
	const n = 80
	for i := range n {
		if err := j.Record(Entry{Kind: Image, Setup: "s", Outcome: OutcomeFailed, Duration: time.Duration(i), Notices: long}); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.OpenFile(filepath.Join(dir, historyFile), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"kind":"im`); err != nil { // the power went
		t.Fatal(err)
	}
	_ = f.Close()
	if err := j.Record(Entry{Kind: Seal, Outcome: OutcomeDone}); err != nil {
		t.Fatal(err)
	}
	got, err := j.History(2)
	if err != nil || len(got) != 2 || got[0].Duration != n-1 || got[1].Kind != Seal {
		t.Errorf("history ends with %d entries, %v", len(got), err)
	}
	size := int64(0)
	for _, name := range []string{historyFile, olderFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > 2*maxHistory+2*maxEntry {
		t.Errorf("history takes %d bytes", size)
	}
}
