package hub

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/conjuring/conjured/engine"
)

//go:embed python/conjured_hub/*.py python/conjured_hub/templates/*.html
var pythonFiles embed.FS

//go:embed python/conjured_server/*.py
var serverFiles embed.FS

// pythonPath is where the hub's container finds the Python half, and startPath where
// students' containers find what starts their server.
const (
	pythonPath = "/opt/conjured/hub-python"
	startPath  = "/opt/conjured/server-python"
)

// pythonHash is the identity of the Python half, or of what starts a server.
func pythonHash(files embed.FS) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := files.ReadFile(path)
		fmt.Fprintf(h, "%s %d\n", path, len(b))
		h.Write(b)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("cannot read the python files: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// writePython writes files into a directory of their own, where a container that
// runs older ones is not disturbed, and gives that directory.
func (h *Hub) writePython(files embed.FS) (string, error) {
	hash, err := pythonHash(files)
	if err != nil {
		return "", err
	}
	return publish(h.paths.python, hash, func(tmp string) error {
		sub, err := fs.Sub(files, "python")
		if err != nil {
			return err
		}
		return os.CopyFS(tmp, sub)
	})
}

// publish gives parent/name, a directory that is there whole or not at all. When it is
// not there, fill makes its content; the name stands for the content.
func publish(parent, name string, fill func(dir string) error) (string, error) {
	dir := filepath.Join(parent, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	tmp, err := os.MkdirTemp(parent, ".new-")
	if err != nil {
		return "", fmt.Errorf("cannot write %s: %w", dir, err)
	}
	defer os.RemoveAll(tmp)
	if err = fill(tmp); err == nil {
		err = readable(tmp)
	}
	if err == nil {
		err = os.Rename(tmp, dir)
	}
	if errors.Is(err, fs.ErrExist) { // several servers start at once
		return dir, nil
	}
	if err == nil {
		err = syncDir(parent)
	}
	if err != nil {
		return "", fmt.Errorf("cannot write %s: %w", dir, err)
	}
	return dir, nil
}

// withOurStart adds to a student's container the files that start its server.
func (h *Hub) withOurStart(s engine.Spec) (engine.Spec, error) {
	dir, err := h.writePython(serverFiles)
	if err != nil {
		return s, err
	}
	s.Mounts = append(s.Mounts, engine.Mount{Source: dir, Target: startPath, ReadOnly: true, NoCreate: true})
	return s, nil
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
