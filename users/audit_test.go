package users

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func readAll(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// entries are the users named in the log, in order.
func entries(t interface{ Fatal(...any) }, dir string, f LogFilter) []string {
	var out []string
	for e, err := range ReadLog(dir, f) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e.User)
	}
	return out
}

// What happens to accounts is in the log, with who did it.
func TestLogChanges(t *testing.T) {
	s := open(t, t.TempDir())
	apply(t, s, "ann,pw\nben,\n")
	apply(t, s, "ann,other pw,yes\n")
	apply(t, s, "ann,other pw\nben,pw two\n")
	if err := s.SetPassword(t.Context(), "ann", "my own secret", FromStudent); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ResetPassword(t.Context(), "ben"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	want := `account-added ann roster
account-added ben roster
password-set ben generated
account-removed ben roster
password-in-csv ann roster
made-teacher ann roster
account-restored ben roster
password-in-csv ben roster
no-teacher-anymore ann roster
password-set ann student
password-set ben teacher
`
	var got strings.Builder
	for e, err := range ReadLog(s.dir, LogFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&got, e.Event, e.User, e.By)
	}
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
}

// The computers an account uses are known again after a restart.
func TestLogRemembersComputers(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	apply(t, s, "ann,pw\n")
	if err := try(s, "ann", "pw", "10.0.0.1"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, dir)
	defer s.Close()
	if a := s.throttle.begin(time.Now(), s.throttle.pair("ann", "10.0.0.1")); !a.usual {
		t.Errorf("%+v", a)
	}
	if a := s.throttle.begin(time.Now(), s.throttle.pair("ann", "10.0.0.2")); a.usual {
		t.Errorf("%+v", a)
	}
}

// Whatever a power cut leaves of the last lines, the log opens again, reads what was
// whole, and goes on.
func TestLogTorn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "conjured-log-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		var want []string
		n := 0
		for range rapid.IntRange(1, 4).Draw(t, "runs") {
			a, err := openAudit(dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			a.limit = 400 // a few lines a file
			for range rapid.IntRange(0, 5).Draw(t, "lines") {
				n++
				want = append(want, fmt.Sprint(n))
				if err := a.add(Entry{Event: EventLogin, User: fmt.Sprint(n)}, false); err != nil {
					t.Fatal(err)
				}
			}
			a.f.Close() // as a process ends that is killed
			data, err := os.ReadFile(filepath.Join(dir, logName))
			if err != nil {
				t.Fatal(err)
			}
			last := strings.LastIndexByte(strings.TrimSuffix(string(data), "\n"), '\n') + 1
			if cut := rapid.IntRange(1, 60).Draw(t, "cut"); cut > 1 && strings.HasSuffix(string(data), "\n") {
				cut = min(cut, len(data)-last)
				want = want[:len(want)-1]
				if err := os.Truncate(filepath.Join(dir, logName), int64(len(data)-cut)); err != nil {
					t.Fatal(err)
				}
			}
		}
		got := entries(t, dir, LogFilter{})
		if len(got) == 0 && len(want) > 0 || !strings.HasSuffix(strings.Join(want, " "), strings.Join(got, " ")) {
			t.Fatalf("read %v, wrote %v", got, want)
		}
	})
}

// The log keeps the newest lines and no more than its files hold.
func TestLogBounds(t *testing.T) {
	dir := t.TempDir()
	a, err := openAudit(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	a.limit = 4 << 10
	for i := range 1000 {
		if err := a.add(Entry{Event: EventLogin, User: fmt.Sprint(i)}, false); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != logFiles {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Size() > a.limit || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %d bytes, %v %v", f.Name(), info.Size(), info.Mode(), err)
		}
	}
	got := entries(t, dir, LogFilter{})
	if len(got) < 150 || got[len(got)-1] != "999" || got[0] != fmt.Sprint(1000-len(got)) {
		t.Errorf("%d lines from %s to %s", len(got), got[0], got[len(got)-1])
	}
	if one := entries(t, dir, LogFilter{User: "998"}); len(one) != 1 {
		t.Errorf("of one account: %v", one)
	}
	if none := entries(t, dir, LogFilter{Since: time.Now().Add(time.Hour)}); len(none) != 0 {
		t.Errorf("of the future: %v", none)
	}
}

// Following misses nothing, also when the file is a new one meanwhile.
func TestLogFollow(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a, err := openAudit(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer a.close()
		a.limit = 200
		const lines = 40
		go func() {
			for i := range lines {
				_ = a.add(Entry{Event: EventLogin, User: fmt.Sprint(i)}, false)
				time.Sleep(lookPace / 2) // slower than files are let go of
			}
		}()
		n := 0
		for e, err := range FollowLog(t.Context(), dir, LogFilter{}) {
			if err != nil || e.User != fmt.Sprint(n) {
				t.Fatalf("line %d: %+v %v", n, e, err)
			}
			if n++; n == lines {
				break
			}
		}
	})
}

// A flood of tries costs a bounded number of lines; what is left out is counted.
func TestLogFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &audit{budgets: map[netip.Prefix]budget{}}
		from, written, left := computer("10.0.0.1"), 0, 0
		for range 100_000 {
			if skipped, ok := a.afford(from, time.Now()); ok {
				written, left = written+1, left+skipped
			}
			time.Sleep(time.Millisecond)
		}
		if written > linesAtOnce+50 || written+left+a.budgets[from].skipped != 100_000 {
			t.Errorf("%d lines, %d left out, %d to tell", written, left, a.budgets[from].skipped)
		}
		for i := range 2 * maxAddresses {
			a.afford(computer(fmt.Sprintf("10.1.%d.%d", i/250, i%250)), time.Now())
		}
		if len(a.budgets) > maxAddresses+1 {
			t.Errorf("%d addresses are remembered", len(a.budgets))
		}
	})
}
