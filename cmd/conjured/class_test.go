package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/conjuring/conjured/api"
)

// class is the real program running a folder, as `conjured up` does.
type class struct {
	t          testing.TB
	bin        string
	dir, state string
	settings   string // the box's own settings, a file
	images     string // what its images are called
	url        string
	listen     string
	out        *lockedBuffer
	cmd        *exec.Cmd
	done       chan error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// buildBinary makes the program that is tested, once per test run.
var buildBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "conjured-bin-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "conjured")
	cmd := exec.Command("go", "build", "-o", bin, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
})

// newClass prepares a class in state directories of its own; start runs it.
func newClass(t testing.TB, dir string) *class {
	t.Helper()
	bin, err := buildBinary()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	state, err := os.MkdirTemp("", "conjured-class-")
	if err != nil {
		t.Fatal(err)
	}
	c := &class{t: t, bin: bin, dir: dir, state: state, listen: addr, url: "http://" + addr, settings: state + ".yaml", images: testImages}
	if err := os.WriteFile(c.settings, []byte(testSettings), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c.cmd != nil {
			c.stop(os.Interrupt)
		}
		c.cli("down")
		if p, err := newPlace(state); err == nil {
			os.RemoveAll(p.Run)
		}
		os.RemoveAll(state)
		os.Remove(c.settings)
		if t.Failed() && c.out != nil {
			t.Logf("what conjured up printed:\n%s", c.out)
		}
	})
	return c
}

// start runs `conjured up` and returns at once.
func (c *class) start(args ...string) {
	c.t.Helper()
	c.out = &lockedBuffer{}
	args = append([]string{"up", "--state", c.state, "--listen", c.listen, "--images", c.images, "--settings", c.settings}, args...)
	c.cmd = exec.Command(c.bin, append(args, c.dir)...)
	c.cmd.Stdout, c.cmd.Stderr = c.out, c.out
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan error) { done <- cmd.Wait() }(c.cmd, c.done)
}

// testImages keeps a test's images apart from those of a class that people use; all
// tests share it, so that the second one finds the first one's layers.
const testImages = "conjured-test/class"

// testSettings are the box's settings in tests: nothing waits for a quiet hour.
const testSettings = "seal_after: 0s\n"

// waitOpen waits until the login page answers.
func (c *class) waitOpen(limit time.Duration) {
	c.t.Helper()
	c.eventually(limit, "the login page answers", func() bool {
		res, err := http.Get(c.url + "/hub/login")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK && res.Header.Get("X-JupyterHub-Version") != ""
	})
}

// eventually polls until ok, and fails after limit or when the program has ended.
func (c *class) eventually(limit time.Duration, what string, ok func() bool) {
	c.t.Helper()
	deadline := time.After(limit)
	for !ok() {
		select {
		case err := <-c.done:
			c.cmd = nil
			c.t.Fatalf("%s: conjured ended: %v\n%s", what, err, c.out)
		case <-deadline:
			c.t.Fatalf("%s: not within %s\n%s", what, limit, c.out)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// stop sends a signal and waits for the end; it gives the time that took.
func (c *class) stop(sig os.Signal) time.Duration {
	c.t.Helper()
	began := time.Now()
	_ = c.cmd.Process.Signal(sig)
	select {
	case <-c.done:
	case <-time.After(30 * time.Second):
		_ = c.cmd.Process.Kill()
		<-c.done
		c.t.Errorf("conjured did not stop within 30 s\n%s", c.out)
	}
	c.cmd = nil
	return time.Since(began)
}

// cli runs a command against the class and gives what it printed and its exit code.
func (c *class) cli(args ...string) (stdout, stderr string, code int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.bin, append(args, "--state", c.state)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// write puts a file into the teacher's folder, as an editor would.
func (c *class) write(name, text string) {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.TrimLeft(text, "\n")), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// containers counts this class's running containers by role, "" for every role.
func (c *class) containers(role string) int {
	return len(strings.Fields(c.containerIDs(c.t, role)))
}

// containerIDs are the running containers of a role, sorted, "" for every role.
func (c *class) containerIDs(t testing.TB, role string) string {
	t.Helper()
	p, err := newPlace(c.state)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"ps", "-q", "--no-trunc", "--filter", "label=org.conjured.instance=" + p.Instance}
	if role != "" {
		args = append(args, "--filter", "label=org.conjured.role="+role)
	}
	out, err := exec.Command("docker", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	ids := strings.Fields(string(out))
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

// status is what `conjured status --json` says.
func (c *class) status(t *testing.T) api.Status {
	t.Helper()
	out, errs, code := c.cli("status", "--json")
	var s api.Status
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != 0 {
		t.Fatalf("status: exit %d, %v\n%s%s", code, err, out, errs)
	}
	return s
}

func (c *class) serving(t *testing.T) string { return c.status(t).Serving }

// settled tells whether the newest wish serves.
func (c *class) settled(t *testing.T) bool {
	s := c.status(t)
	return s.Serving == s.Desired && s.Desired == c.wished(t)
}

// wished is the id that the folder has now, by reading it as the daemon does.
func (c *class) wished(t *testing.T) string {
	t.Helper()
	_, _, code := c.cli("apply", c.dir, "--detach")
	if code != 0 {
		return "refused"
	}
	return c.status(t).Desired
}

// idle tells whether no work is going on.
func (c *class) idle(t *testing.T) bool {
	s := c.status(t)
	return s.Serving == s.Desired && len(s.Jobs) == 0
}
