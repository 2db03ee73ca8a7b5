package users

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// Event is what a line of the log tells.
type Event string

// The events.
const (
	EventLogin       Event = "login"              // name and password are right
	EventWrong       Event = "wrong-password"     // of an account
	EventUnknown     Event = "unknown-name"       // nobody is called that
	EventWait        Event = "made-to-wait"       // not looked at
	EventRemoved     Event = "removed-account"    // the right password of somebody not in the class any more
	EventPassword    Event = "password-set"       // By says who
	EventAdded       Event = "account-added"      // by users.csv
	EventRestored    Event = "account-restored"   // its row is back
	EventGone        Event = "account-removed"    // its row is gone
	EventRowPassword Event = "password-in-csv"    // the row has another password
	EventAdmin       Event = "made-teacher"       // the row says admin
	EventNoAdmin     Event = "no-teacher-anymore" // the row does not say admin any more
)

// Entry is one line of the log. It never holds a password, nor a name that was typed
// and belongs to nobody: people type their password into the wrong field.
type Entry struct {
	Time    time.Time `json:"time"`
	Event   Event     `json:"event"`
	User    string    `json:"user,omitempty"`    // an account, also a removed one
	Unknown string    `json:"unknown,omitempty"` // four hex digits, the same for the same unknown name until the daemon restarts
	Address string    `json:"address,omitempty"`
	By      Origin    `json:"by,omitempty"`
	More    int       `json:"more,omitempty"` // tries like this one, or made to wait, since the last line about them
}

const (
	logName  = "log"
	logLimit = 1 << 20 // bytes of one file
	logFiles = 4       // kept, the one in use among them
	logLag   = time.Second

	linesAtOnce = 240             // about tries from one address
	linesRefill = 2 * time.Second // for one more
)

// audit is the log: JSON lines in the directory of accounts, the newest 3 to 4 MiB of
// them. A line is one write. What is said about accounts is on the disk when add
// returns; tries follow within a second, so that a power cut takes a second of them
// and guessing costs no disk. A line that a power cut has torn is left out by readers.
type audit struct {
	dir   string
	limit int64
	key   []byte

	mu      sync.Mutex
	f       *os.File // nil when closed
	size    int64
	torn    bool // the last line has no end
	lag     *time.Timer
	budgets map[netip.Prefix]budget
}

// budget is how many lines an address has left.
type budget struct {
	lines   int
	at      time.Time
	skipped int
}

func openAudit(dir string, key []byte) (*audit, error) {
	a := &audit{dir: dir, limit: logLimit, key: key, budgets: map[netip.Prefix]budget{}}
	if err := a.open(); err != nil {
		return nil, err
	}
	return a, nil
}

// open begins or goes on with the newest file.
func (a *audit) open() error {
	f, err := os.OpenFile(filepath.Join(a.dir, logName), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("cannot open the log of logins: %w", err)
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = errors.New("it is not a file")
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cannot open the log of logins: %w", err), f.Close())
	}
	last := []byte{'\n'}
	if st.Size() > 0 {
		if _, err := f.ReadAt(last, st.Size()-1); err != nil {
			return errors.Join(fmt.Errorf("cannot read the log of logins: %w", err), f.Close())
		}
	}
	a.f, a.size, a.torn = f, st.Size(), last[0] != '\n'
	return nil
}

// unknown is what the log calls a name that nobody has. The key dies with the
// process: whoever carries the disk off cannot test guesses against it.
func (a *audit) unknown(name string) string {
	h := hmac.New(sha256.New, a.key)
	h.Write([]byte("unknown\x00" + name))
	return hex.EncodeToString(h.Sum(nil)[:2])
}

// afford tells whether a line about a try from an address may be written, and how
// many were left out before it.
func (a *audit) afford(from netip.Prefix, now time.Time) (skipped int, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, known := a.budgets[from]
	if !known && len(a.budgets) >= maxAddresses {
		for k, o := range a.budgets { // those that are full again say nothing
			if now.Sub(o.at) > linesAtOnce*linesRefill {
				delete(a.budgets, k)
			}
		}
		if len(a.budgets) >= maxAddresses {
			from = netip.Prefix{} // the rest shares one
			b, known = a.budgets[from]
		}
	}
	if !known {
		b = budget{lines: linesAtOnce, at: now}
	}
	refill := int(now.Sub(b.at) / linesRefill)
	b.lines, b.at = min(linesAtOnce, b.lines+refill), b.at.Add(time.Duration(refill)*linesRefill)
	if b.lines > 0 {
		b.lines--
		skipped, b.skipped, ok = b.skipped, 0, true
	} else {
		b.skipped++
	}
	a.budgets[from] = b
	return skipped, ok
}

// add writes a line; sure also waits until it is on the disk.
func (a *audit) add(e Entry, sure bool) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("cannot write the log of logins: %w", err)
	}
	line = append(line, '\n')
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.f == nil {
		return ErrClosed
	}
	if a.size+int64(len(line)) > a.limit && a.size > 0 {
		if err := a.rotate(); err != nil {
			return err
		}
	}
	if a.torn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := a.f.Write(line)
	a.size += int64(n)
	a.torn = a.torn && n == 0 || n > 0 && line[n-1] != '\n'
	if err == nil && sure {
		err = a.f.Sync()
	} else if err == nil && a.lag == nil {
		a.lag = time.AfterFunc(logLag, a.flush)
	}
	if err != nil {
		return fmt.Errorf("cannot write the log of logins: %w", err)
	}
	return nil
}

// flush brings what was written to the disk. What it cannot is tried with the next
// lines; there is nobody to tell.
func (a *audit) flush() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lag = nil
	if a.f != nil {
		_ = a.f.Sync()
	}
}

// rotate begins a new file and lets go of the oldest; a.mu is held. A power cut in
// the middle leaves a number out, which readers do not mind.
func (a *audit) rotate() error {
	err := a.f.Sync()
	path := filepath.Join(a.dir, logName)
	for i := logFiles - 1; i > 0 && err == nil; i-- {
		err = os.Rename(logFile(path, i-1), logFile(path, i))
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("cannot begin a new log of logins: %w", err)
	}
	old := a.f
	if err := a.open(); err != nil {
		return err // the old one goes on
	}
	return errors.Join(old.Close(), syncDir(a.dir))
}

// logFile names the i-th newest file.
func logFile(path string, i int) string {
	if i == 0 {
		return path
	}
	return path + "." + strconv.Itoa(i)
}

func (a *audit) close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.f == nil {
		return nil
	}
	if a.lag != nil {
		a.lag.Stop()
	}
	err := errors.Join(a.f.Sync(), a.f.Close())
	a.f = nil
	return err
}
