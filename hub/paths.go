package hub

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// paths names every file of this package. The run directory has the same path
// inside the containers.
type paths struct {
	run, hubDir, servers, upstream, private, candidate string
	state, data, python, lab                           string
}

func newPaths(c Config) paths {
	return paths{
		run: c.Run, hubDir: filepath.Join(c.Run, "hub"), servers: filepath.Join(c.Run, "servers"),
		upstream: filepath.Join(c.Run, "upstream"), private: filepath.Join(c.Run, "private"),
		candidate: filepath.Join(c.Run, "candidate"),
		state:     filepath.Join(c.State, "hub"), data: filepath.Join(c.State, "hub", "data"),
		python: filepath.Join(c.State, "hub", "python"),
		lab:    filepath.Join(c.State, "hub", "lab"),
	}
}

func (p paths) hubSock() string           { return filepath.Join(p.hubDir, "hub.sock") }
func (p paths) askSock() string           { return filepath.Join(p.hubDir, "ask.sock") }
func (p paths) upstreamSock() string      { return filepath.Join(p.upstream, "hub-api.sock") }
func (p paths) place(id string) string    { return filepath.Join(p.servers, id) }
func (p paths) sock(id string) string     { return filepath.Join(p.servers, id, "s.sock") }
func (p paths) own(id string) string      { return filepath.Join(p.private, id) }
func (p paths) serving() string           { return filepath.Join(p.state, "serving.json") }
func (p paths) secrets() string           { return filepath.Join(p.state, "secrets.json") }
func (p paths) lesson() string            { return filepath.Join(p.state, "lesson.json") }
func (p paths) database() string          { return filepath.Join(p.data, "jupyterhub.sqlite") }
func (p paths) url(sock string) string    { return "http+unix://" + escape(sock) }
func (p paths) target(sock string) string { return p.url(sock) + ":80" }

// escape makes a path a host name, in lower case since JupyterHub makes it so.
func escape(path string) string { return strings.ToLower(url.PathEscape(path)) }

// make makes the directories. The hub's own belong to it; a place's parent lets
// everybody pass and nobody look.
func (p paths) make() error {
	for _, d := range []struct {
		path string
		mode os.FileMode
		uid  int
	}{
		{p.run, 0o711, 0},
		{p.hubDir, 0o700, HubUID},
		{p.servers, 0o711, 0},
		{p.upstream, 0o755, 0},
		{p.private, 0o700, 0},
		{p.state, 0o711, 0},
		{p.data, 0o700, HubUID},
		{p.python, 0o755, 0},
		{p.lab, 0o755, 0},
	} {
		if err := makeDir(d.path, d.mode, d.uid, d.uid); err != nil {
			return err
		}
	}
	return nil
}

// makeDir makes a directory or puts its mode and owner right. A link in its place
// is an error.
func makeDir(path string, mode os.FileMode, uid, gid int) error {
	if err := os.MkdirAll(path, mode); err != nil {
		return fmt.Errorf("cannot make %s: %w", path, err)
	}
	st, err := os.Lstat(path)
	if err != nil || !st.IsDir() {
		return fmt.Errorf("cannot use %s: it is not a directory", path)
	}
	if err := os.Chmod(path, mode); err != nil {
		return fmt.Errorf("cannot set the mode of %s: %w", path, err)
	}
	if os.Geteuid() != 0 {
		return nil // a test; the daemon is root
	}
	if err := os.Chown(path, uid, gid); err != nil {
		return fmt.Errorf("cannot set the owner of %s: %w", path, err)
	}
	return nil
}
