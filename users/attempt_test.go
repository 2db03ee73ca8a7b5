package users

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/conjuring/conjured/notice"
)

// try is a login through the door.
func try(s *Store, name, password, from string) error {
	_, err := s.Login(context.Background(), Try{name, password, from})
	return err
}

// logOf is the log, a line as "event who from".
func logOf(t testing.TB, s *Store) []string {
	t.Helper()
	var out []string
	for e, err := range ReadLog(s.dir, LogFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s%s %s", e.Event, e.User, strings.Repeat("?", min(1, len(e.Unknown))), e.Address)))
	}
	return out
}

// Whoever guesses has to wait, in words; the owner at the usual computer does not,
// nor anybody at a computer of their own.
func TestLoginSlowsGuessing(t *testing.T) {
	var told []notice.Notice
	s, err := Open(Config{Dir: t.TempDir(), Notify: func(n notice.Notice) { told = append(told, n) }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	apply(t, s, "ann,blue bicycle\n")
	if err := try(s, "Ann", "blue bicycle", "10.0.0.1"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ann", "my secret password"} {
		for range freeTries {
			if err := try(s, name, "guess", "10.0.0.66"); !errors.Is(err, ErrBadLogin) {
				t.Fatal(err)
			}
		}
		var later *Later
		err := try(s, name, "blue bicycle", "10.0.0.66")
		var n *notice.Error
		if !errors.As(err, &later) || later.RetryAfter() != time.Second || !errors.As(err, &n) {
			t.Fatalf("%s: %v", name, err)
		}
		if want := "too many wrong tries for this name from this computer; wait 1 second"; n.What != want {
			t.Errorf("%q, want %q", n.What, want)
		}
	}
	for _, from := range []string{"10.0.0.1", "10.0.0.2"} {
		if err := try(s, "ann", "blue bicycle", from); err != nil {
			t.Errorf("ann at %s: %v", from, err)
		}
	}
	want := []string{"account-added ann", "login ann 10.0.0.1"}
	for range freeTries {
		want = append(want, "wrong-password ann 10.0.0.66")
	}
	want = append(want, "made-to-wait ann 10.0.0.66")
	for range freeTries {
		want = append(want, "unknown-name ? 10.0.0.66")
	}
	want = append(want, "made-to-wait ? 10.0.0.66", "login ann 10.0.0.1", "login ann 10.0.0.2")
	if got := logOf(t, s); !slices.Equal(got, want) {
		t.Errorf("log:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	data := readAll(t, filepath.Join(s.dir, logName))
	for _, secret := range []string{"blue", "guess", "secret"} {
		if strings.Contains(data, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	if len(told) != 0 {
		t.Errorf("told of a few wrong passwords: %v", told)
	}
}

// The teacher hears of guessing once, with the name if it is one of the class.
func TestLoginTellsOfGuessing(t *testing.T) {
	var told []notice.Notice
	s, err := Open(Config{Dir: t.TempDir(), Notify: func(n notice.Notice) { told = append(told, n) }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	apply(t, s, "ann,pw\n")
	for range 3 {
		for n := range guessedAt + 1 {
			s.alarm("ann", "10.0.0.66", counts{pair: n})
			s.alarm("ann", "10.0.0.66", counts{name: n})
			s.alarm("not a name", "10.0.0.66", counts{pair: n, name: n})
		}
		s.alarm("not a name", "10.0.0.66", counts{address: sprayedAt})
	}
	var said []string
	for _, n := range told {
		said = append(said, n.What)
		if n.Means == "" || n.Do == "" {
			t.Errorf("%+v", n)
		}
	}
	want := []string{
		"many wrong passwords were tried for ann from the computer 10.0.0.66",
		"many wrong passwords were tried for ann, from several computers",
		"many wrong passwords, for several names, come from the computer 10.0.0.66",
	}
	if !slices.Equal(said, want) {
		t.Errorf("told %q", said)
	}
}

// A thousand wrong passwords from five computers, for one name or for many, leave a
// right login at two seconds or less: a bound that issue 4 sets, with real argon2id.
func TestLoginBesideGuessing(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	apply(t, s, "ann,blue bicycle\nben,red kite\n")
	hashAll(t, s)
	for _, victim := range []func(i int) string{
		func(int) string { return "ann" },
		func(i int) string { return fmt.Sprintf("name%d", i) },
	} {
		var guessers sync.WaitGroup
		ctx, stop := context.WithCancel(t.Context())
		for i := range 1000 {
			guessers.Go(func() { _, _ = s.Login(ctx, Try{victim(i), "wrong", fmt.Sprintf("10.0.0.%d", 100+i%5)}) })
		}
		for _, who := range []Try{{"ann", "blue bicycle", "10.0.0.1"}, {"ben", "red kite", "10.0.0.2"}} {
			began := time.Now()
			if _, err := s.Login(t.Context(), who); err != nil {
				t.Errorf("%s: %v", who.Name, err)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("%s waited %s", who.Name, took)
			}
		}
		stop() // the rest of them would wait for their rests
		guessers.Wait()
	}
}

// Thirty at once from one address, a class behind one router, all come in.
func TestLoginThirtyAtOnce(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	var csv strings.Builder
	for i := range 30 {
		fmt.Fprintf(&csv, "pupil%d,pw number %d\n", i, i)
	}
	apply(t, s, csv.String())
	var all sync.WaitGroup
	for i := range 30 {
		all.Go(func() {
			if err := try(s, fmt.Sprintf("pupil%d", i), fmt.Sprintf("pw number %d", i), "10.0.0.1"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// A login that is given up frees its place and counts for nothing.
func TestLoginGivenUp(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	apply(t, s, "ann,pw\n")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 3 * freeTries {
		if _, err := s.Login(gone, Try{"ann", "wrong", "10.0.0.1"}); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if err := try(s, "ann", "pw", "10.0.0.1"); err != nil {
		t.Error(err)
	}
	if s.turns.busy != 0 {
		t.Errorf("%d places are lost", s.turns.busy)
	}
}
