package users

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func roster(t testing.TB, csv string) Roster {
	t.Helper()
	r, _ := Parse("users.csv", []byte(head+csv))
	return r
}

func apply(t testing.TB, s *Store, csv string) Changes {
	t.Helper()
	c, err := s.Apply(t.Context(), roster(t, csv))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func login(t testing.TB, s *Store, name, password string, want error) {
	t.Helper()
	if _, err := s.Authenticate(t.Context(), name, password); !errors.Is(err, want) {
		t.Errorf("%s with %q: %v, want %v", name, password, err, want)
	}
}

// hashAll waits for the background by doing its work.
func hashAll(t testing.TB, s *Store) {
	t.Helper()
	if err := s.settleAll(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestU7_uids(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	apply(t, s, "ann,pw\nbob,pw\n")
	apply(t, s, "carl,pw\nbob,pw\n")
	apply(t, s, "dora,pw\nann,pw\nbob,pw\n")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	defer s.Close()
	for name, want := range map[string]int{"ann": 2000, "bob": 2001, "carl": 2002, "dora": 2003} {
		if got, err := s.UID(name); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", name, got, err, want)
		}
	}
	if a, _ := s.Lookup("carl"); !a.Disabled {
		t.Error("carl has no row and is not disabled")
	}
}

func TestU10_adminComesAndGoes(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	apply(t, s, "ann,pw,true\nbob,pw\n")
	if a, err := s.Authenticate(t.Context(), "Ann", "pw"); err != nil || !a.Admin {
		t.Fatalf("%+v, %v", a, err)
	}
	c := apply(t, s, "ann,pw\nbob,pw,yes\n")
	if got := c.String(); got != "bob is a teacher (admin) now; ann is not a teacher (admin) any more" {
		t.Error(got)
	}
	if a, _ := s.Authenticate(t.Context(), "ann", "pw"); a.Admin {
		t.Error("ann is still admin")
	}
	apply(t, s, "bob,pw,yes\n")
	login(t, s, "ann", "pw", ErrDisabled)
	login(t, s, "ann", "no", ErrBadLogin)
	login(t, s, "nobody", "", ErrBadLogin)
}

func TestU11_passwords(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	apply(t, s, "ann,first pw\nbob,bobs\n")
	login(t, s, "ann", "first pw", nil) // at once, before its hash is made
	login(t, s, "ann", "wrong", ErrBadLogin)
	if err := s.SetPassword(t.Context(), "ann", "my own secret", FromStudent); err != nil {
		t.Fatal(err)
	}
	if c := apply(t, s, "bob,bobs\nann,first pw\n"); !c.Empty() {
		t.Error("order of rows:", c)
	}
	login(t, s, "ann", "my own secret", nil)
	login(t, s, "ann", "first pw", ErrBadLogin)
	hashAll(t, s)
	s.Close()
	data, _ := os.ReadFile(filepath.Join(dir, fileName))
	for _, secret := range []string{"first pw", "my own secret", "bobs"} {
		if strings.Contains(string(data), secret) {
			t.Error("a plain password is on the disk")
		}
	}

	// After a restart the process knows no marks; the student's own one survives.
	s = open(t, dir)
	apply(t, s, "ann,first pw\nbob,bobs\n")
	login(t, s, "ann", "my own secret", nil)
	login(t, s, "bob", "bobs", nil)
	apply(t, s, "ann,second pw\nbob,bobs\n")
	login(t, s, "ann", "my own secret", ErrBadLogin)
	login(t, s, "ann", "second pw", nil)
	if err := s.SetPassword(t.Context(), "ann", "again my own", FromStudent); err != nil {
		t.Fatal(err)
	}
	s.Close()

	// The row changed while we were off: its new value wins.
	s = open(t, dir)
	defer s.Close()
	apply(t, s, "ann,third pw\nbob,bobs\n")
	login(t, s, "ann", "again my own", ErrBadLogin)
	login(t, s, "ann", "third pw", nil)
	for _, bad := range []string{"", "short", "a\nbcdefg", " blank ", strings.Repeat("x", MaxPassword+1)} {
		if err := s.SetPassword(t.Context(), "ann", bad, FromStudent); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestU3_generatedPassphrase(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	c := apply(t, s, "ann,,true\n")
	if len(c.Generated) != 1 {
		t.Fatal(c)
	}
	s.stop() // the power goes before the background is done
	<-s.done
	s.lock.Close()
	s = open(t, dir)
	defer s.Close()
	if c := apply(t, s, "ann,,true\n"); !c.Empty() {
		t.Error(c)
	}
	login(t, s, "ann", c.Generated[0].Password, nil)
	if weaker(s.now.Load().byName["ann"].Own) {
		t.Error("the first login did not make the hash strong")
	}
	p, err := s.ResetPassword(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	login(t, s, "ann", p, nil)
}

// users.csv is not kept on the box: what Apply took must outlive it by itself.
func TestU11_powerCutBeforeHashing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.stop() // no background: the power goes right after Apply
	<-s.done
	s.done = make(chan struct{})
	apply(t, s, "ann,pw\nbob,pw2\n")
	s.lock.Close()
	s = open(t, dir)
	defer s.Close()
	login(t, s, "ann", "pw", nil)
	login(t, s, "ann", "pw2", ErrBadLogin)
	if weaker(s.now.Load().byName["ann"].Roster) {
		t.Error("the first login did not make the hash strong")
	}
	apply(t, s, "ann,pw\nbob,pw2\n")
	hashAll(t, s)
	for _, file := range []string{fileName, oldFileName} {
		if data, _ := os.ReadFile(filepath.Join(dir, file)); strings.Contains(string(data), "m=1024,") {
			t.Errorf("%s still holds a brief hash", file)
		}
	}
}

func TestHeldAccountsStay(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	apply(t, s, "ann,pw\nbob,pw\n")
	apply(t, s, "ann,\"pw\nbob,pw\n")
	login(t, s, "ann", "pw", nil)
	if _, err := s.Apply(t.Context(), Roster{}); err == nil {
		t.Error("a roster that was not read was applied")
	}
}

func TestAuthenticate_cancel(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	s.hashes.slots <- struct{}{}
	s.hashes.slots <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Authenticate(ctx, "ann", "pw"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-s.hashes.slots
	<-s.hashes.slots
}

// A class that changes at random, with the power going at random around each
// write: a UID belongs to one name for ever, and applying twice changes nothing.
func TestUIDs_property(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		s := open(t, dir)
		defer func() { s.Close() }()
		owner, uids := map[int]string{}, map[string]int{}
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			names := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}), rapid.ID).Draw(rt, "names")
			r := Roster{Read: true}
			for i, n := range names {
				r.Rows = append(r.Rows, Row{Line: i + 2, User: n, Password: rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "pw")})
			}
			s.write = cut(rapid.SampledFrom([]string{"", "", "before", "torn", "after"}).Draw(rt, "fault"))
			if _, err := s.Apply(t.Context(), r); err != nil {
				s.Close()
				s = open(t, dir)
				continue
			}
			for _, a := range s.List() {
				if o, ok := owner[a.UID]; ok && o != a.Name {
					rt.Fatalf("UID %d of %s was given to %s", a.UID, o, a.Name)
				}
				if u, ok := uids[a.Name]; ok && u != a.UID {
					rt.Fatalf("%s had UID %d and has %d", a.Name, u, a.UID)
				}
				owner[a.UID], uids[a.Name] = a.Name, a.UID
			}
			if c, err := s.Apply(t.Context(), r); err != nil || !c.Empty() || c.save {
				rt.Fatalf("applied twice: %v, %v", c, err)
			}
		}
	})
}

// cut makes a writer that loses power at a step of saveFile.
func cut(at string) func(string, []byte) error {
	return func(dir string, data []byte) error {
		switch at {
		case "before":
			return errors.New("power cut")
		case "torn": // what renameio leaves when it dies: a temporary file
			os.WriteFile(filepath.Join(dir, ".accounts.json123"), data[:len(data)/2], 0o600)
			return errors.New("power cut")
		case "after":
			return errors.Join(saveFile(dir, data), errors.New("power cut"))
		}
		return saveFile(dir, data)
	}
}

func TestOpen_damagedFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	apply(t, s, "ann,pw\n")
	apply(t, s, "ann,pw\nbob,pw\n")
	s.Close()
	os.WriteFile(filepath.Join(dir, fileName), []byte("{"), 0o600)
	s = open(t, dir)
	defer s.Close()
	apply(t, s, "carl,pw\nann,pw\nbob,pw\n")
	ann, _ := s.UID("ann")
	carl, _ := s.UID("carl")
	if ann != 2000 || carl < 2000+skipAfter || len(s.Health()) != 1 {
		t.Error(ann, carl, s.Health())
	}
	if _, err := Open(Config{Dir: dir}); err == nil {
		t.Error("two processes may give UIDs away")
	}
}

func BenchmarkApply200(b *testing.B) {
	var csv strings.Builder
	for i := range 200 {
		fmt.Fprintf(&csv, "u%d,pw%d,\n", i, i)
	}
	for b.Loop() {
		s := open(b, b.TempDir())
		start := time.Now()
		apply(b, s, csv.String())
		login(b, s, "u199", "pw199", nil)
		b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "ms/roster-to-login")
		s.Close()
	}
}
