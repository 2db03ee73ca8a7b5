package users

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// guess makes a wrong try, or gives the wait.
func guess(th *throttle, now time.Time, name, from string) time.Duration {
	p := th.pair(name, from)
	a := th.begin(now, p)
	if a.wait == 0 {
		th.end(now, p, isWrong)
	}
	return a.wait
}

// Five wrong passwords are free, then each further one waits longer, up to a minute.
func TestThrottleLadder(t *testing.T) {
	th := newThrottle(nil)
	now := noon
	for i := range freeTries {
		if w := guess(th, now, "ann", "10.0.0.1"); w != 0 {
			t.Fatalf("free try %d waits %s", i+1, w)
		}
	}
	for _, want := range []int{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		if w := guess(th, now, "ann", "10.0.0.1"); w != time.Duration(want)*time.Second {
			t.Fatalf("waits %s, want %d s", w, want)
		}
		now = now.Add(time.Duration(want)*time.Second - 1)
		if w := guess(th, now, "ann", "10.0.0.1"); w != 1 {
			t.Fatalf("a moment too early: %s", w)
		}
		now = now.Add(1)
		if w := guess(th, now, "ann", "10.0.0.1"); w != 0 {
			t.Fatalf("after %d s: %s", want, w)
		}
	}
	guess(th, now, "ann", "10.0.0.1")
	now = now.Add(longestWait)
	p := th.pair("ann", "10.0.0.1")
	if a := th.begin(now, p); a.wait != 0 || a.refused != 1 {
		t.Fatalf("%+v", a)
	}
	th.end(now, p, isRight)
	for range freeTries {
		if w := guess(th, now, "ann", "10.0.0.1"); w != 0 {
			t.Error("the right password did not forgive the wrong ones")
		}
	}
}

// Tries that run at the same moment count before they are known to be wrong.
func TestThrottleTogether(t *testing.T) {
	th := newThrottle(nil)
	in := 0
	for range 100 {
		if th.begin(noon, th.pair("ann", "10.0.0.1")).wait == 0 {
			in++
		}
	}
	if in != freeTries {
		t.Errorf("%d tries at once, want %d", in, freeTries)
	}
}

func TestComputer(t *testing.T) {
	for _, same := range [][2]string{
		{"::ffff:10.0.0.1", "10.0.0.1"},
		{"2001:db8::1", "2001:db8::ffff:2"},
		{"fe80::1%eth0", "fe80::2%wlan0"},
		{"0.0.0.0", ""},
		{"", "made up"},
	} {
		if a, b := computer(same[0]), computer(same[1]); a != b {
			t.Errorf("%s is %s, %s is %s", same[0], a, same[1], b)
		}
	}
	if computer("2001:db8:0:1::1") == computer("2001:db8:0:2::1") || computer("10.0.0.1") == computer("10.0.0.2") {
		t.Error("neighbours are taken for one")
	}
}

// move is one step of a random evening.
type move struct {
	after      time.Duration
	name, from string
	out        outcome
}

func moves(t *rapid.T, names, froms []string, label string) []move {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) move {
		return move{
			time.Duration(rapid.IntRange(0, 30_000).Draw(t, "ms")) * time.Millisecond,
			rapid.SampledFrom(names).Draw(t, "name"), rapid.SampledFrom(froms).Draw(t, "from"),
			outcome(rapid.IntRange(0, 1).Draw(t, "outcome")),
		}
	}), 0, 150).Draw(t, label)
}

// What others do, with her name or without, never changes what ann may do at the
// computer she uses: nobody locks a classmate out.
func TestThrottleNobodyLocksOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hers := moves(t, []string{"ann"}, []string{"10.0.0.1"}, "hers")
		others := moves(t, []string{"ann", "ben", "nobody"}, []string{"10.0.0.2", "10.0.0.3", "", "2001:db8::1"}, "others")
		alone, crowd := newThrottle(nil), newThrottle(nil)
		for _, th := range []*throttle{alone, crowd} {
			p := th.pair("ann", "10.0.0.1")
			th.begin(noon, p)
			th.end(noon, p, isRight)
		}
		now := noon
		for _, m := range hers {
			for range min(len(others), 5) {
				o := others[0]
				others = others[1:]
				guess(crowd, now, o.name, o.from)
			}
			now = now.Add(m.after)
			p := alone.pair(m.name, m.from)
			a, b := alone.begin(now, p), crowd.begin(now, p)
			if a.wait != b.wait || b.sprayed {
				t.Fatalf("alone %+v, in the crowd %+v", a, b)
			}
			if a.wait == 0 {
				alone.end(now, p, m.out)
				crowd.end(now, p, m.out)
			}
		}
	})
}

// A name that exists and one that does not are treated the same as long as nobody
// logs in, and nobody ever waits more than a minute or is refused at the first try.
func TestThrottleUnknownNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := moves(t, []string{"one"}, []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}, "moves")
		a, b := newThrottle(nil), newThrottle(nil)
		tried := map[string]bool{}
		now := noon
		for _, m := range all {
			now = now.Add(m.after)
			p, q := a.pair("ann", m.from), b.pair("nobody at all", m.from)
			x, y := a.begin(now, p), b.begin(now, q)
			if x != y {
				t.Fatalf("%+v and %+v", x, y)
			}
			if x.wait > longestWait || x.wait > 0 && !tried[m.from] {
				t.Fatalf("waits %s", x.wait)
			}
			tried[m.from] = true
			if x.wait == 0 {
				a.end(now, p, m.out)
				b.end(now, q, m.out)
			}
		}
	})
}

// While many guess at a name, a strange computer has one free try; the owner's own
// has all of them.
func TestThrottleGuessedName(t *testing.T) {
	th := newThrottle(nil)
	home := th.pair("ann", "10.0.0.1")
	th.begin(noon, home)
	th.end(noon, home, isRight)
	for i := range guessedAt {
		guess(th, noon, "ann", fmt.Sprintf("10.0.1.%d", i))
	}
	if w := guess(th, noon, "ann", "10.0.2.1"); w != 0 {
		t.Errorf("the first try waits %s", w)
	}
	if w := guess(th, noon, "ann", "10.0.2.1"); w != firstGuess {
		t.Errorf("the second waits %s, want %s", w, firstGuess)
	}
	for range freeTries {
		if w := guess(th, noon, "ann", "10.0.0.1"); w != 0 {
			t.Errorf("at home: %s", w)
		}
	}
	if w := guess(th, noon.Add(time.Hour), "ann", "10.0.2.1"); w != 0 {
		t.Errorf("an hour later: %s", w)
	}
}

// The tables stay small whatever is tried, and a guesser does not get rid of a wait
// by filling them.
func TestThrottleBounds(t *testing.T) {
	th := newThrottle(nil)
	for range freeTries + 1 {
		guess(th, noon, "ann", "10.0.0.1")
	}
	now := noon.Add(500 * time.Millisecond)
	for i := range 3 * maxPairs {
		guess(th, now, fmt.Sprintf("name%d", i), fmt.Sprintf("10.%d.%d.1", 1+i/250%200, i%250))
	}
	if len(th.pairs) > maxPairs || len(th.names) > maxNames || len(th.addresses) > maxAddresses {
		t.Errorf("%d pairs, %d names, %d addresses", len(th.pairs), len(th.names), len(th.addresses))
	}
	if w := guess(th, now, "ann", "10.0.0.1"); w == 0 {
		t.Error("the wait is forgotten")
	}
	if len(th.usual) != 0 {
		t.Error("somebody's computer is remembered without a login")
	}
}

// An account's computers are bounded too, the newest win, and programs on this
// machine are nobody's computer.
func TestThrottleUsual(t *testing.T) {
	th := newThrottle(nil)
	for i := range 20 {
		th.remember(th.pair("ann", fmt.Sprintf("10.0.0.%d", i)))
	}
	th.remember(th.pair("ann", "0.0.0.0"))
	if l := th.usual[th.pair("ann", "").name]; len(l) != maxUsual || l[0] != computer("10.0.0.19") {
		t.Errorf("%v", l)
	}
}

// A hundred tries of one address delay another's by one or two, and those served
// last leave the processor free most of the time.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hash = 50 * time.Millisecond
		q := turns{atOnce: 2}
		began := time.Now()
		try := func(from string, a admission, took *time.Duration) {
			done, err := q.take(t.Context(), computer(from), a)
			if err != nil {
				return
			}
			time.Sleep(hash)
			done()
			if took != nil {
				*took = time.Since(began)
			}
		}
		var slow, other, usual, last time.Duration
		for range 200 {
			go try("10.0.0.1", admission{}, &last)
			go try("10.0.0.9", admission{sprayed: true}, &slow)
		}
		synctest.Wait()
		go try("10.0.0.2", admission{}, &other)
		go try("10.0.0.1", admission{usual: true}, &usual)
		time.Sleep(time.Minute)
		synctest.Wait()
		if other > 3*hash || usual > 3*hash {
			t.Errorf("another address waited %s, a usual computer behind the same one %s", other, usual)
		}
		// two at a time, the first two and those that may wait, and the two others
		if want := (mostWaiting + 4) / 2 * hash; last > want {
			t.Errorf("the crowd took %s, want %s", last, want)
		}
		if want := last + (mostSlow-1)*(1+restFactor)*hash; slow < want || slow > want+time.Second {
			t.Errorf("those served last took %s, want about %s", slow, want)
		}
		if q.busy != 0 || q.slow || len(q.normal.lines)+len(q.crowded.lines)+len(q.normal.order)+len(q.crowded.order) != 0 {
			t.Errorf("something is left: %+v", &q)
		}
	})
}
