package history

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// settings are given to every git command. The repository's own configuration is the
// file that Open writes, and no other file is read.
func settings() []string {
	return []string{
		"core.fsync", "all",
		"core.fsyncMethod", "fsync",
		"core.hooksPath", "/dev/null",
		"core.logAllRefUpdates", "false",
		"core.fsmonitor", "false",
		"core.packedGitLimit", "256m", // also with a hostile pack
		"core.packedGitWindowSize", "1m",
		"core.bigFileThreshold", "2m",
		"gc.auto", "0",
		"maintenance.auto", "false",
		"pack.threads", "1",
		"pack.writeReverseIndex", "false", // one file less to sync per write
		"protocol.allow", "never",
		"index.threads", "1",
	}
}

// environment is the whole environment of a git command that works on dir.
func environment(dir string) []string {
	env := []string{
		"GIT_DIR=" + dir, // with it git neither looks around nor asks who owns the directory
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_ATTR_NOSYSTEM=1", "GIT_NO_REPLACE_OBJECTS=1", "GIT_NO_LAZY_FETCH=1", "GIT_ALLOW_PROTOCOL=none",
		"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=/bin/false", "SSH_ASKPASS=/bin/false", "GIT_OPTIONAL_LOCKS=0",
		"HOME=/nonexistent", "XDG_CONFIG_HOME=/nonexistent", "PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "TZ=UTC",
	}
	s := settings()
	for i := 0; i < len(s); i += 2 {
		n := strconv.Itoa(i / 2)
		env = append(env, "GIT_CONFIG_KEY_"+n+"="+s[i], "GIT_CONFIG_VALUE_"+n+"="+s[i+1])
	}
	return append(env, "GIT_CONFIG_COUNT="+strconv.Itoa(len(s)/2))
}

// program runs git on one repository.
type program struct {
	path string   // of the binary
	dir  string   // the repository
	lock *os.File // the writer's lock, which the command then holds too; nil for readers
	poor bool     // it reads what a stranger made: at most maxMemory
}

// maxMemory of a command, in bytes of address space: a small file can claim to unpack
// to far more than the machine has.
const maxMemory = 2 << 30

// command prepares a command that ends within a second or so after ctx.
func (p program) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, p.path, args...)
	c.Env, c.Dir = environment(p.dir), "/"
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) } // git then removes its lock files
	c.WaitDelay = time.Second
	if p.lock != nil {
		c.ExtraFiles = []*os.File{p.lock}
	}
	return c
}

// run runs a command to its end; out may be nil.
func (p program) run(ctx context.Context, in io.Reader, out io.Writer, args ...string) error {
	c := p.command(ctx, args...)
	said := &limited{left: 4 << 10}
	c.Stdin, c.Stdout, c.Stderr = in, out, said
	err := c.Start()
	if err == nil {
		if p.poor {
			poor(c)
		}
		err = c.Wait()
	}
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("git %s: %w%s", args[0], err, said)
	}
	return nil
}

// poor limits a command that has just been started, and waits for its input.
func poor(c *exec.Cmd) {
	_ = unix.Prlimit(c.Process.Pid, unix.RLIMIT_AS, &unix.Rlimit{Cur: maxMemory, Max: maxMemory}, nil)
}

// lines runs a command and gives the lines of its output, at most 16 MB of them.
func (p program) lines(ctx context.Context, args ...string) ([]string, error) {
	out := &limited{left: 16 << 20}
	if err := p.run(ctx, nil, out, args...); err != nil {
		return nil, err
	}
	if out.left == 0 {
		return nil, fmt.Errorf("git %s: too much output", args[0])
	}
	ls := strings.Split(out.buf.String(), "\n")
	return slices.DeleteFunc(ls, func(l string) bool { return l == "" }), nil
}

// limited keeps the first bytes written to it and drops the rest.
type limited struct {
	buf  bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	l.buf.Write(p[:n])
	return len(p), nil
}

// String is ": " and what was said, on one line, or nothing.
func (l *limited) String() string {
	s := strings.Join(strings.Fields(strings.ToValidUTF8(l.buf.String(), "?")), " ")
	if s == "" {
		return ""
	}
	return ": " + s
}
