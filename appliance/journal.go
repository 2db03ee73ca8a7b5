package appliance

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"github.com/conjuring/conjured/notice"
)

const (
	stateVersion = 1       // of the schema of state.json
	maxState     = 8 << 20 // bytes of state.json that are read
	stateFile    = "state.json"
	prevFile     = "state.prev.json"
	lockFile     = "lock"
)

// Journal is the Store in a directory: state.json, the one before it in
// state.prev.json, and the history in history.jsonl and history.1.jsonl.
type Journal struct {
	dir  string
	lock *os.File
}

// envelope is the form of state.json: the checksum is of the bytes of State.
type envelope struct {
	Version int             `json:"version"`
	SHA256  string          `json:"sha256"`
	State   json.RawMessage `json:"state"`
}

// OpenJournal opens or makes the journal in dir and locks it until [Journal.Close];
// a second daemon on the same directory gets a [notice.Error] "state-in-use".
func OpenJournal(dir string) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the journal: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the journal: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(inUse(dir, err), lock.Close())
	}
	return &Journal{dir: dir, lock: lock}, nil
}

// Close lets another process open the journal.
func (j *Journal) Close() error { return j.lock.Close() }

// Load reads the newest state that is whole. A state of a newer version is a
// [notice.Error] "state-newer", and nothing is touched; a torn file is passed over with
// a notice; when both files are torn they are put aside and the zero State is given.
func (j *Journal) Load() (State, notice.List, error) {
	s, err := j.read(stateFile)
	if err == nil || isNotice(err) {
		return s, nil, err
	}
	prev, prevErr := j.read(prevFile)
	switch {
	case isNotice(prevErr):
		return State{}, nil, prevErr
	case prevErr == nil:
		return prev, torn(), nil
	case errors.Is(err, fs.ErrNotExist) && errors.Is(prevErr, fs.ErrNotExist):
		return State{}, nil, nil
	}
	for _, name := range []string{stateFile, prevFile} {
		path := filepath.Join(j.dir, name)
		if err := os.Rename(path, path+".torn"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return State{}, nil, fmt.Errorf("cannot put a torn state aside: %w", err)
		}
	}
	return State{}, lost(), nil
}

func (j *Journal) read(name string) (State, error) {
	f, err := os.Open(filepath.Join(j.dir, name))
	if err != nil {
		return State{}, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxState))
	if err != nil {
		return State{}, err
	}
	return decode(raw)
}

// decode checks version and checksum of a state file.
func decode(raw []byte) (State, error) {
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return State{}, fmt.Errorf("cannot read the state: %w", err)
	}
	if e.Version > stateVersion {
		return State{}, newer(e.Version)
	}
	if sum := sha256.Sum256(e.State); e.Version != stateVersion || e.SHA256 != hex.EncodeToString(sum[:]) {
		return State{}, errors.New("cannot read the state: its checksum does not fit")
	}
	var s State
	if err := json.Unmarshal(e.State, &s); err != nil {
		return State{}, fmt.Errorf("cannot read the state: %w", err)
	}
	return s, nil
}

// encode is the inverse of decode.
func encode(s State) ([]byte, error) {
	state, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the state: %w", err)
	}
	sum := sha256.Sum256(state)
	return json.Marshal(envelope{Version: stateVersion, SHA256: hex.EncodeToString(sum[:]), State: state})
}

// Save replaces state.json and keeps the one before as state.prev.json. There is no
// instant at which neither file is whole.
func (j *Journal) Save(s State) error {
	raw, err := encode(s)
	if err != nil {
		return err
	}
	path := filepath.Join(j.dir, stateFile)
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(j.dir), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return fmt.Errorf("cannot save the state: %w", err)
	}
	defer f.Cleanup() //nolint:errcheck // a temporary file left behind does no harm
	if _, err := f.Write(raw); err != nil {
		return fmt.Errorf("cannot save the state: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("cannot save the state: %w", err)
	}
	if err := j.keepPrevious(); err != nil {
		return fmt.Errorf("cannot keep the state before: %w", err)
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("cannot save the state: %w", err)
	}
	return syncDir(j.dir)
}

// keepPrevious gives state.json the name state.prev.json as well, if it is whole: a torn
// one must not push out the last that can be read.
func (j *Journal) keepPrevious() error {
	if _, err := j.read(stateFile); err != nil {
		return nil //nolint:nilerr // torn or not there: keep what prevFile holds
	}
	fresh := filepath.Join(j.dir, prevFile+".new")
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Link(filepath.Join(j.dir, stateFile), fresh); err != nil {
		return err
	}
	return os.Rename(fresh, filepath.Join(j.dir, prevFile))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("cannot sync the journal: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("cannot sync the journal: %w", err)
	}
	return nil
}

func isNotice(err error) bool {
	var n *notice.Error
	return errors.As(err, &n)
}

func newer(version int) error {
	return &notice.Error{Notice: notice.Notice{
		Code: "state-newer", Severity: notice.SeverityError, File: "journal/" + stateFile,
		What:  fmt.Sprintf("the box's state was written by a newer conjured (version %d, this one knows %d)", version, stateVersion),
		Means: "this conjured does not start, so that nothing of the class is damaged; nothing was changed",
		Do:    "start the newer conjured again, or give this one another state directory",
	}}
}

func inUse(dir string, err error) error {
	return &notice.Error{Err: err, Notice: notice.Notice{
		Code: "state-in-use", Severity: notice.SeverityError,
		What:  fmt.Sprintf("another conjured already works with %s", dir),
		Means: "this one does not start; the class of the other one goes on",
		Do:    "use the one that runs (conjured status), or stop it first",
	}}
}

func torn() notice.List {
	return notice.List{{
		Code: "state-torn", Severity: notice.SeverityWarning, File: "journal/" + stateFile,
		What:  "the newest note of the box's state cannot be read, so the one before it is used",
		Means: "the class goes on; the very last change may have been forgotten",
		Do:    "look whether the last change is there; bring the folder again if it is not",
	}}
}

func lost() notice.List {
	return notice.List{{
		Code: "state-lost", Severity: notice.SeverityError, File: "journal/" + stateFile,
		What:  "the box's notes of its state cannot be read and were put aside as state.json.torn",
		Means: "what still runs goes on and students' files are untouched, but the box does not know which setup it should serve",
		Do:    "bring the folder again, and have the box's disk looked at",
	}}
}
