package users

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/conjuring/conjured/notice"
)

// Config of a Store.
type Config struct {
	Dir    string              // State/users; made with mode 0700 if absent
	Log    *slog.Logger        // nil forgets
	Notify func(notice.Notice) // tells the teacher of guessing, seldom; nil tells nobody. Must not block
}

// Store keeps the accounts of this box. One process at a time may open a
// directory. All methods may be called at the same time: readers use an immutable
// snapshot, writers take turns.
//
// A row's password is known to change by a keyed HMAC whose key lives in this
// process only; on the disk there is nothing but argon2id, since a fast hash beside
// its key would give away weak passwords to whoever carries the disk off. New rows
// are valid at once and saved with an argon2id of brief cost, which the background
// replaces by one of full cost within seconds; if the power goes in between, the
// next login of that student does. The first roster after a restart is compared
// with the saved hashes in the background, and for a student who set a password of
// their own at the latest when they log in.
type Store struct {
	dir    string
	log    *slog.Logger
	lock   *os.File
	key    [32]byte
	now    atomic.Pointer[accounts]
	turn   chan struct{} // held by the one writer
	hashes hashes
	write  func(dir string, data []byte) error // the seam where tests cut the power
	wake   chan struct{}                       // there is work for the background
	used   chan struct{}                       // argon2id ran, memory can be given back later
	stop   context.CancelFunc
	done   chan struct{}
	health notice.List // what Open found; fixed after Open

	throttle *throttle
	turns    turns
	audit    *audit
	notify   func(notice.Notice)
	alarms   alarms
}

// Open reads the accounts of a directory and starts the background work, which
// Close ends. Its error is a *notice.Error when the directory is in use or was
// written by a newer version.
func Open(c Config) (*Store, error) {
	s := &Store{
		dir: c.Dir, log: c.Log, turn: make(chan struct{}, 1), hashes: hashes{make(chan struct{}, hashesAtOnce)},
		write: saveFile, wake: make(chan struct{}, 1), used: make(chan struct{}, 1), done: make(chan struct{}),
		turns: turns{atOnce: hashesAtOnce}, notify: c.Notify,
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	rand.Read(s.key[:])
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the directory of accounts: %w", err)
	}
	lock, err := lockDir(c.Dir)
	if err != nil {
		return nil, err
	}
	a, damaged, err := loadAccounts(c.Dir)
	if err != nil {
		lock.Close()
		return nil, err
	}
	if damaged != nil {
		s.log.Error("accounts file damaged", "error", damaged)
		s.health = notice.List{{
			Code: "users-restored", Severity: notice.SeverityWarning,
			What:  "the saved accounts were damaged, probably by the disk; the copy before the last change is used",
			Means: "everybody in users.csv can log in; a password changed just before the damage may be the old one again",
			Do:    "make a backup of the students' files soon, and have the disk checked",
		}}
	}
	s.lock = lock
	s.now.Store(&a)
	if err := s.openAudit(); err != nil {
		lock.Close()
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go s.background(ctx)
	return s, nil
}

// lockDir makes sure that one process at a time gives UIDs away.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock the accounts: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, &notice.Error{Err: err, Notice: notice.Notice{
			Code: "users-in-use", Severity: notice.SeverityError,
			What:  "another conjured is using the accounts in " + dir,
			Means: "that one keeps running; this one changed nothing", Do: "stop the other one first, or use its commands",
		}}
	}
	return f, nil
}

// Close ends the background work and lets another process open the directory.
// A hash that is still of brief cost is replaced when that student logs in next.
func (s *Store) Close() error {
	s.stop()
	<-s.done
	return errors.Join(s.audit.close(), s.lock.Close())
}

// Health is what Open had to repair; empty when all was well.
func (s *Store) Health() notice.List { return s.health }

// Lookup finds an account, also a disabled one. The error is ErrNoAccount.
func (s *Store) Lookup(name string) (Account, error) {
	r, ok := s.now.Load().byName[Normalise(name)]
	if !ok {
		return Account{}, fmt.Errorf("%q: %w", name, ErrNoAccount)
	}
	return r.account(), nil
}

// UID of an account, also of a disabled one. The error is ErrNoAccount.
func (s *Store) UID(name string) (int, error) {
	a, err := s.Lookup(name)
	return a.UID, err
}

// List is all accounts by UID, disabled ones too.
func (s *Store) List() []Account {
	var out []Account
	for _, r := range s.now.Load().sorted() {
		out = append(out, r.account())
	}
	return out
}

// update runs change on a copy of the accounts, saves it, and only then shows it
// to readers. change reports whether the disk must know.
func (s *Store) update(ctx context.Context, change func(*accounts) (save bool, err error)) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-s.done:
		return ErrClosed
	default:
	}
	a := s.now.Load().clone()
	save, err := change(&a)
	if err != nil {
		return err
	}
	if save {
		data, err := a.encode()
		if err != nil {
			return fmt.Errorf("cannot save accounts: %w", err)
		}
		if err := s.write(s.dir, data); err != nil {
			return err
		}
	}
	s.now.Store(&a)
	return nil
}

// markOf is the keyed HMAC of a row's password.
func (s *Store) markOf(uid int, password string) (m [32]byte) {
	h := hmac.New(sha256.New, s.key[:])
	h.Write([]byte(strconv.Itoa(uid) + "\x00"))
	h.Write(typed(password))
	return [32]byte(h.Sum(nil))
}

func nudge(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// background hashes what Apply left to do. It uses one of the two slots, so a
// login never waits for more than one hash of it.
func (s *Store) background(ctx context.Context) {
	defer close(s.done)
	idle := time.NewTimer(time.Hour)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
			if err := s.settleAll(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("password hashes not saved", "error", err)
				time.AfterFunc(30*time.Second, func() { nudge(s.wake) })
			}
			idle.Reset(2 * time.Second)
		case <-s.used:
			idle.Reset(2 * time.Second)
		case <-idle.C:
			debug.FreeOSMemory() // argon2id leaves 19 MiB of garbage per run
		}
	}
}
