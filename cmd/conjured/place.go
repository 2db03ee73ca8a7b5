package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/conjuring/conjured/notice"
)

// defaultState is where the appliance keeps everything.
const defaultState = "/var/lib/conjured"

// schema is the number of the state directory's layout. A directory with a larger
// one was written by a newer conjured and is not touched.
const schema = 1

// place is where one instance keeps its state and its sockets.
type place struct {
	State    string // absolute
	Run      string // absolute, short (a socket's path has at most 107 bytes), lower case
	Instance string // 8 hex digits of the state directory's hash: the label of our Docker objects
}

// newPlace names the directories of the instance with this state directory.
func newPlace(state string) (place, error) {
	abs, err := filepath.Abs(state)
	if err != nil {
		return place{}, fmt.Errorf("cannot find the state directory: %w", err)
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	sum := sha256.Sum256([]byte(abs))
	p := place{State: abs, Instance: hex.EncodeToString(sum[:4]), Run: "/run/conjured"}
	if abs != defaultState {
		p.Run += "-" + p.Instance
	}
	return p, nil
}

func (p place) apiSocket() string       { return filepath.Join(p.Run, "api.sock") }
func (p place) setups() string          { return filepath.Join(p.State, "setups") }
func (p place) setup(id string) string  { return filepath.Join(p.setups(), id) }
func (p place) built() string           { return filepath.Join(p.State, "built") }
func (p place) join(e ...string) string { return filepath.Join(append([]string{p.State}, e...)...) }

// open makes the directories and takes the lock that keeps a second daemon away from
// them. Close the file to give the lock back.
func (p place) open() (*os.File, error) {
	for dir, mode := range map[string]fs.FileMode{p.State: 0o755, p.Run: 0o711, p.setups(): 0o700, p.built(): 0o700} {
		if err := os.MkdirAll(dir, mode); err != nil {
			return nil, stateUnusable(p.State, err)
		}
	}
	if err := p.checkSchema(); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(p.join("lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, stateUnusable(p.State, err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		pid, _ := os.ReadFile(lock.Name())
		lock.Close()
		return nil, alreadyRunning(p.State, strings.TrimSpace(string(pid)))
	}
	if err := lock.Truncate(0); err == nil {
		_, err = lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		if err != nil {
			return nil, stateUnusable(p.State, err)
		}
	}
	return lock, nil
}

func (p place) checkSchema() error {
	file := p.join("schema")
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return writeFile(file, []byte(strconv.Itoa(schema)+"\n"), 0o644)
	}
	if err != nil {
		return stateUnusable(p.State, err)
	}
	if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err != nil || n > schema {
		return &notice.Error{Notice: notice.Notice{
			Code: "state-newer", Severity: notice.SeverityError,
			What:  fmt.Sprintf("%s was written by a newer conjured (layout %s, this one knows %d)", p.State, strings.TrimSpace(string(b)), schema),
			Means: "nothing in it was touched, and no class was started",
			Do:    "install the newer conjured again, or give this one another directory with --state",
		}}
	}
	return nil
}

func stateUnusable(dir string, err error) error {
	return &notice.Error{Err: err, Notice: notice.Notice{
		Code: "state-unusable", Severity: notice.SeverityError,
		What:  fmt.Sprintf("the state directory %s cannot be used (%v)", dir, err),
		Means: "no class was started",
		Do:    "run conjured as root, or choose another directory with --state",
	}}
}

func alreadyRunning(dir, pid string) error {
	return &notice.Error{Notice: notice.Notice{
		Code: "already-running", Severity: notice.SeverityError,
		What:  fmt.Sprintf("conjured already runs with the state directory %s (process %s)", dir, pid),
		Means: "the class that it serves goes on",
		Do:    "use that one (conjured status), stop it first, or give this one another directory with --state",
	}}
}
