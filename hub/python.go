package hub

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

//go:embed python/conjured_hub/*.py python/conjured_hub/templates/*.html
var pythonFiles embed.FS

// pythonPath is where the hub's container finds the Python half.
const pythonPath = "/opt/conjured/hub-python"

// pythonHash is the Python half's identity.
func pythonHash() (string, error) {
	h := sha256.New()
	err := fs.WalkDir(pythonFiles, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := pythonFiles.ReadFile(path)
		fmt.Fprintf(h, "%s %d\n", path, len(b))
		h.Write(b)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("cannot read the hub's python files: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// writePython writes the Python half into a directory of its own, where a hub that
// runs an older one is not disturbed, and gives that directory.
func (h *Hub) writePython() (string, error) {
	hash, err := pythonHash()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(h.paths.python, hash)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	tmp, err := os.MkdirTemp(h.paths.python, ".new-")
	if err != nil {
		return "", fmt.Errorf("cannot write the hub's python files: %w", err)
	}
	defer os.RemoveAll(tmp)
	sub, err := fs.Sub(pythonFiles, "python")
	if err == nil {
		err = os.CopyFS(tmp, sub)
	}
	if err == nil {
		err = readable(tmp)
	}
	if err == nil {
		err = os.Rename(tmp, dir)
	}
	if err == nil {
		err = syncDir(h.paths.python)
	}
	if err != nil {
		return "", fmt.Errorf("cannot write the hub's python files: %w", err)
	}
	return dir, nil
}

// readable lets the hub's user read a tree, whatever our umask is, and makes it
// durable.
func readable(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(path, 0o755)
		}
		if err := os.Chmod(path, 0o644); err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Sync()
	})
}
