package users

import (
	"crypto/hmac"
	"crypto/sha256"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// What the throttle allows. None of it ever closes an account: see [throttle].
const (
	freeTries   = 5 // wrong passwords for one name from one computer before it has to wait
	longestWait = time.Minute
	forgetAfter = 15 * time.Minute // without a try

	guessedAt   = 20               // wrong passwords for one name, from everywhere, that make it a guessed one
	guessedFade = 30 * time.Second // one of them is forgiven
	firstGuess  = 8 * time.Second  // the first wait of a strange computer for a guessed name

	sprayedAt   = 64               // tries of one address, over all names, after which it is served last
	sprayedFade = 10 * time.Second // one of them is forgiven

	maxPairs     = 8192
	maxNames     = 4096
	maxAddresses = 2048
	maxUsual     = 8 // computers of one account that are remembered as its own
)

// throttle slows down who guesses. It is strict for one name from one computer: five
// wrong passwords are free, then each try waits longer, up to a minute. What others
// do elsewhere never adds to that, so a classmate who hammers on a name does not keep
// its owner out. For the name alone it is soft: while many guess at it, a computer
// from which its owner has not logged in before has one free try in place of five;
// the first try from anywhere is always looked at. An address that tries many names
// is not refused for it, but served last (see turns).
//
// Names that do not exist are treated like those that do. Keys are short keyed
// hashes, so that what was typed into the form is not kept, and each table is
// bounded: when one is full, what matters least goes first.
//
// Nothing here waits or asks for the time. Safe for concurrent use.
type throttle struct {
	key []byte

	mu        sync.Mutex
	pairs     map[pair]tries
	names     map[tag]tries
	addresses map[netip.Prefix]tries
	usual     map[tag][]netip.Prefix // of accounts, the computer used last first
}

// tag stands for a name.
type tag [16]byte

// pair is a name at a computer.
type pair struct {
	name tag
	from netip.Prefix
}

// tries is what is known about a pair, a name or an address.
type tries struct {
	wrong   int
	pending int // being looked at; counted as wrong until it is known
	until   time.Time
	last    time.Time
	refused int // since the last one that was looked at
}

func newThrottle(key []byte) *throttle {
	return &throttle{
		key: key, pairs: map[pair]tries{}, names: map[tag]tries{}, addresses: map[netip.Prefix]tries{},
		usual: map[tag][]netip.Prefix{},
	}
}

// pair names what a try is counted under; name is normalised.
func (t *throttle) pair(name, address string) pair {
	h := hmac.New(sha256.New, t.key)
	h.Write([]byte(name))
	return pair{tag(h.Sum(nil)[:16]), computer(address)}
}

// computer is the network a try is counted under: an IPv4 address, or the 64 bits of
// an IPv6 address that one household has. The zero Prefix is a try from no address,
// that is from a program on this machine.
func computer(address string) netip.Prefix {
	a, err := netip.ParseAddr(address)
	if err != nil || a.IsUnspecified() {
		return netip.Prefix{}
	}
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// admission is how a try is let in.
type admission struct {
	wait    time.Duration // more than 0: not now
	first   bool          // of the tries refused in this wait
	usual   bool          // the account was used from this computer before
	sprayed bool          // the address has tried much: serve it last
	refused int           // tries refused since the last one that was let in
}

// begin tells whether a try may be looked at now. One with no wait must be ended by
// end.
func (t *throttle) begin(now time.Time, p pair) admission {
	t.mu.Lock()
	defer t.mu.Unlock()
	x, from := t.pairs[p].at(now, 0), t.addresses[p.from].at(now, sprayedFade)
	a := admission{usual: slices.Contains(t.usual[p.name], p.from)}
	free, _ := t.allowance(now, p, a.usual)
	switch {
	case now.Before(x.until):
		a.wait = x.until.Sub(now)
	case x.pending > 0 && x.wrong+x.pending >= free:
		a.wait = time.Second // the one before may be the right one
	}
	if a.wait > 0 {
		a.first = x.refused == 0
		x.refused++
		t.pairs[p] = x
		return a
	}
	a.refused, a.sprayed = x.refused, from.wrong+from.pending >= sprayedAt && !a.usual
	x.refused = 0
	x.pending++
	from.pending++
	put(t.pairs, p, x, maxPairs)
	put(t.addresses, p.from, from, maxAddresses)
	return a
}

// allowance is how many wrong tries are free, and the first wait after them.
func (t *throttle) allowance(now time.Time, p pair, usual bool) (int, time.Duration) {
	if !usual && t.names[p.name].at(now, guessedFade).wrong >= guessedAt {
		return 1, firstGuess
	}
	return freeTries, time.Second
}

// outcome is how a try ended.
type outcome int

const (
	notLooked outcome = iota // given up before the password was looked at
	isWrong
	isRight
)

// counts are the wrong tries after one that has ended.
type counts struct{ pair, name, address int }

// end notes how a try ended.
func (t *throttle) end(now time.Time, p pair, o outcome) counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	x, from, name := t.pairs[p].at(now, 0), t.addresses[p.from].at(now, sprayedFade), t.names[p.name].at(now, guessedFade)
	x.pending, from.pending = max(0, x.pending-1), max(0, from.pending-1)
	switch o {
	case isRight:
		x.wrong, x.until = 0, time.Time{}
		t.remember(p)
	case isWrong:
		x.wrong, name.wrong, from.wrong = x.wrong+1, name.wrong+1, from.wrong+1
		x.last, name.last, from.last = now, now, now
		free, first := t.allowance(now, p, slices.Contains(t.usual[p.name], p.from))
		if n := x.wrong - free; n >= 0 {
			x.until = now.Add(min(longestWait, first<<min(n, 6)))
		}
		put(t.names, p.name, name, maxNames)
	}
	if x == (tries{last: x.last}) {
		delete(t.pairs, p)
	} else {
		put(t.pairs, p, x, maxPairs)
	}
	put(t.addresses, p.from, from, maxAddresses)
	return counts{x.wrong, name.wrong, from.wrong}
}

// remember makes a computer one of the account's own.
func (t *throttle) remember(p pair) {
	if !p.from.IsValid() {
		return // every student's program on this machine comes from there
	}
	l := slices.DeleteFunc(t.usual[p.name], func(o netip.Prefix) bool { return o == p.from })
	l = slices.Insert(l, 0, p.from)
	t.usual[p.name] = l[:min(len(l), maxUsual)]
}

// at is x as it is now: wrong tries fade one by one, and all at once in the end.
func (x tries) at(now time.Time, fade time.Duration) tries {
	quiet := now.Sub(x.last)
	if fade > 0 {
		n := min(int(quiet/fade), x.wrong)
		x.wrong -= n
		x.last = x.last.Add(time.Duration(n) * fade)
	}
	if quiet > forgetAfter && x.pending == 0 {
		return tries{}
	}
	return x
}

// put stores x under k in a table of at most limit entries. When it is full, of a few
// entries the one with the fewest wrong tries goes, the oldest of them.
func put[K comparable](table map[K]tries, k K, x tries, limit int) {
	if _, there := table[k]; there || len(table) < limit {
		table[k] = x
		return
	}
	var least K
	var lx tries
	looked, found := 0, false
	for o, y := range table { // begins at a place of its own each time
		if y.pending == 0 && (!found || y.wrong < lx.wrong || y.wrong == lx.wrong && y.last.Before(lx.last)) {
			least, lx, found = o, y, true
		}
		if looked++; looked >= 16 && found || looked == 256 {
			break
		}
	}
	if found {
		delete(table, least)
		table[k] = x
	}
}
