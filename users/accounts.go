package users

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"

	"github.com/conjuring/conjured/notice"
)

const (
	firstUID    = 2000  // useradd -K UID_MIN=2000, as Conjuring did (U7)
	lastUID     = 59999 // Debian's ordinary accounts end here
	skipAfter   = 1000  // UIDs left out when the newest file is lost
	fileName    = "accounts.json"
	oldFileName = "accounts-previous.json"
	fileVersion = 1
)

// record is one account as it is saved, and, unexported, what only this process
// may know. Records are never changed in place: a snapshot may hold them.
type record struct {
	Name   string `json:"name"`
	UID    int    `json:"uid"`
	Admin  bool   `json:"admin,omitempty"`
	Row    int    `json:"row,omitempty"`
	ID     string `json:"id,omitempty"`
	Gone   bool   `json:"gone,omitempty"`   // no row any more; everything else is kept for its return
	Roster string `json:"roster,omitempty"` // argon2id of the row's password
	Own    string `json:"own,omitempty"`    // argon2id of the password that was chosen since
	OwnBy  Origin `json:"own_by,omitempty"`

	mark    [32]byte // keyed HMAC of the last row password this process saw; zero when none
	todo    string   // row password that Roster holds at brief cost, or that must be compared with it
	fresh   bool     // todo is known to be new: it is valid now, and Own is void already
	todoOwn string   // generated passphrase that Own holds at brief cost
}

func (r record) account() Account {
	a := Account{Name: r.Name, UID: r.UID, Admin: r.Admin, Disabled: r.Gone, Row: r.Row, Password: FromRoster}
	if r.Own != "" {
		a.Password = r.OwnBy
	}
	return a
}

// accounts is one immutable snapshot.
type accounts struct {
	next   int // the next UID to give away
	byName map[string]record
}

func (a accounts) clone() accounts { return accounts{a.next, maps.Clone(a.byName)} }

func (a accounts) sorted() []record {
	return slices.SortedFunc(maps.Values(a.byName), func(x, y record) int { return cmp.Compare(x.UID, y.UID) })
}

type savedAccounts struct {
	Version  int      `json:"version"`
	Next     int      `json:"next"`
	Accounts []record `json:"accounts"`
}

func (a accounts) encode() ([]byte, error) {
	return json.MarshalIndent(savedAccounts{fileVersion, a.next, a.sorted()}, "", " ")
}

func decodeAccounts(data []byte) (accounts, error) {
	var s savedAccounts
	if err := json.Unmarshal(data, &s); err != nil {
		return accounts{}, fmt.Errorf("cannot read the saved accounts: %w", err)
	}
	if s.Version > fileVersion {
		return accounts{}, &notice.Error{Notice: notice.Notice{
			Code: "users-newer", Severity: notice.SeverityError,
			What:  fmt.Sprintf("the saved accounts were written by a newer conjured (format %d, this one knows %d)", s.Version, fileVersion),
			Means: "nothing was changed; nobody can log in with this version", Do: "install the newer conjured again",
		}}
	}
	a := accounts{next: max(s.Next, firstUID), byName: map[string]record{}}
	seen := map[int]string{}
	for _, r := range s.Accounts {
		if o, ok := seen[r.UID]; ok || r.UID < firstUID || r.UID >= a.next {
			return accounts{}, fmt.Errorf("cannot use the saved accounts: UID %d of %q (also %q) is not possible", r.UID, r.Name, o)
		}
		seen[r.UID] = r.Name
		a.byName[r.Name] = r
	}
	return a, nil
}

// loadAccounts reads dir, or the copy before the last save when the newest file is
// damaged. UIDs may have been given away since, so a gap is left.
func loadAccounts(dir string) (a accounts, damaged error, err error) {
	data, err := os.ReadFile(filepath.Join(dir, fileName))
	if errors.Is(err, fs.ErrNotExist) {
		if data, err = os.ReadFile(filepath.Join(dir, oldFileName)); errors.Is(err, fs.ErrNotExist) {
			return accounts{next: firstUID, byName: map[string]record{}}, nil, nil
		}
	}
	if err == nil {
		if a, err = decodeAccounts(data); err == nil {
			return a, nil, nil
		}
	}
	var newer *notice.Error
	if errors.As(err, &newer) {
		return a, nil, err
	}
	damaged = err
	if data, err = os.ReadFile(filepath.Join(dir, oldFileName)); err != nil {
		return a, damaged, fmt.Errorf("cannot read the accounts: %w", damaged)
	}
	if a, err = decodeAccounts(data); err != nil {
		return a, damaged, fmt.Errorf("cannot read the accounts nor their previous copy: %w", err)
	}
	a.next += skipAfter
	return a, damaged, nil
}

// saveFile replaces the accounts on disk: after a power cut there are the old ones
// or the new ones. The old ones stay beside as a second copy.
func saveFile(dir string, data []byte) error {
	path, old := filepath.Join(dir, fileName), filepath.Join(dir, oldFileName)
	if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot save accounts: %w", err)
	}
	if err := os.Link(path, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot save accounts: %w", err)
	}
	if err := renameio.WriteFile(path, data, 0o600, renameio.IgnoreUmask(), renameio.WithTempDir(dir)); err != nil {
		return fmt.Errorf("cannot save accounts: %w", err)
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
