package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/conjuring/conjured/internal/needs"
)

// supervise starts the daemon with a listening socket that is already open, as systemd
// does it.
func (c *class) supervise(l *net.TCPListener) {
	c.t.Helper()
	f, err := l.File()
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	c.out = &lockedBuffer{}
	c.cmd = exec.Command("sh", "-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"`, "sh",
		c.bin, "daemon", "--state", c.state, "--listen", c.listen, "--settings", c.settings)
	c.cmd.ExtraFiles = []*os.File{f}
	c.cmd.Stdout, c.cmd.Stderr = c.out, c.out
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan error) { done <- cmd.Wait() }(c.cmd, c.done)
}

// A supervisor that holds the socket keeps the door over a restart: who comes meanwhile
// waits for a moment, and nobody is turned away. That is so even when the daemon is killed.
func TestSockets_restart(t *testing.T) {
	needs.All(t, needs.Docker(), needs.Root())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := newClass(t, t.TempDir())
	c.listen, c.url = l.Addr().String(), "http://"+l.Addr().String()
	c.supervise(l.(*net.TCPListener))

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var refused, failed, answered, killing int
	var mu sync.Mutex
	var visitors sync.WaitGroup
	for range 4 {
		visitors.Go(func() {
			for ctx.Err() == nil {
				err := knock(c.url)
				mu.Lock()
				switch {
				case errors.Is(err, syscall.ECONNREFUSED):
					refused++
				case err != nil && killing == 0:
					t.Log(err)
					failed++
				case err == nil:
					answered++
				}
				mu.Unlock()
			}
		})
	}
	more := func() {
		mu.Lock()
		before := answered
		mu.Unlock()
		c.eventually(time.Minute, "visitors are answered", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return answered > before+20
		})
	}
	more()
	for range 2 {
		c.stop(syscall.SIGTERM)
		c.supervise(l.(*net.TCPListener))
		more()
	}
	mu.Lock()
	killing = 1 // who is being answered is cut off; who comes is not
	mu.Unlock()
	c.stop(syscall.SIGKILL)
	c.supervise(l.(*net.TCPListener))
	more()
	stop()
	visitors.Wait()
	if refused > 0 || failed > 0 {
		t.Errorf("%d visitors were refused and %d not answered, %d were", refused, failed, answered)
	}
	t.Logf("%d visitors over three restarts, none refused", answered)
}

// knock asks for a page on a connection of its own.
func knock(url string) error {
	once := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	res, err := once.Get(url + "/conjured/health")
	if err != nil {
		return err
	}
	return res.Body.Close()
}

func TestSockets_besides(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	got := besides([]string{":" + port, ":1", "[::]:" + port, "127.0.0.1:2"}, []net.Listener{l})
	if len(got) != 2 || got[0] != ":1" || got[1] != "127.0.0.1:2" {
		t.Errorf("%v", got)
	}
}
