package hub

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// secrets are the tokens between daemon and hub. They are kept, since a hub that
// outlives the daemon goes on using them.
type secrets struct {
	Ask     string `json:"ask"`     // the hub's questions on ask.sock
	Proxy   string `json:"proxy"`   // the hub's routes on proxy.sock
	Service string `json:"service"` // our calls to JupyterHub's REST API
	Desk    string `json:"desk"`    // our own pages as a client of JupyterHub's OAuth
}

func newSecrets() secrets {
	return secrets{Ask: token(), Proxy: token(), Service: token(), Desk: token()}
}

// token is 256 bits in hex.
func token() string {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// loadSecrets reads the tokens, or makes them, and makes the cookie secret that
// keeps browsers logged in.
func loadSecrets(p paths) (secrets, error) {
	var s secrets
	b, err := os.ReadFile(p.secrets())
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil || s.Ask == "" || s.Proxy == "" || s.Service == "" {
		s = newSecrets()
		if err := writeJSON(p.secrets(), s, 0o600); err != nil {
			return s, err
		}
	}
	if s.Desk == "" { // written before there were pages of our own
		s.Desk = token()
		if err := writeJSON(p.secrets(), s, 0o600); err != nil {
			return s, err
		}
	}
	return s, cookieSecret(filepath.Join(p.data, "cookie_secret"))
}

// cookieSecret makes the file JupyterHub signs cookies with, unless it is there.
func cookieSecret(path string) error {
	if st, err := os.Lstat(path); err == nil && st.Mode().IsRegular() && st.Size() > 0 {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot look at the cookie secret: %w", err)
	}
	return writeFor(path, []byte(token()+"\n"), 0o600, HubUID)
}

// give writes what the hub may know into its directory, where only it can read.
func (s secrets) give(dir string) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("cannot write the hub's tokens: %w", err)
	}
	return writeFor(filepath.Join(dir, "secrets.json"), b, 0o400, HubUID)
}

// writeFor writes a file whole, for uid to read.
func writeFor(path string, b []byte, mode os.FileMode, uid int) error {
	t, err := renameio.NewPendingFile(path, renameio.WithPermissions(mode), renameio.IgnoreUmask())
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	defer func() { _ = t.Cleanup() }() // nothing to do once it was renamed
	if _, err := t.Write(b); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	if os.Geteuid() == 0 {
		if err := t.Chown(uid, uid); err != nil {
			return fmt.Errorf("cannot set the owner of %s: %w", path, err)
		}
	}
	if err := t.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

func writeJSON(path string, v any, mode os.FileMode) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return writeFor(path, append(b, '\n'), mode, 0)
}

// syncDir makes a rename in dir outlive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("cannot sync %s: %w", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("cannot sync %s: %w", dir, err)
	}
	return nil
}
