package dockertest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Engine is a Docker Engine that ends with its test.
type Engine struct {
	Host string // for DOCKER_HOST
	Data string // where images and containers are stored

	t       testing.TB
	dir     string
	network *exec.Cmd // holds the network namespace, which outlives the engine
	cmd     *exec.Cmd
	ended   chan struct{} // closed when cmd has ended
	log     string
}

// New starts one. The test needs root and Docker's programs.
func New(t testing.TB) *Engine {
	t.Helper()
	dir, err := os.MkdirTemp("", "conjured-docker-")
	if err != nil {
		t.Fatal(err)
	}
	d := &Engine{t: t, dir: dir, Host: "unix://" + dir + "/docker.sock", Data: dir + "/data", log: dir + "/log"}
	d.network = exec.Command("sleep", "infinity")
	d.network.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := d.network.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.remove)
	d.Start()
	return d
}

// Docker runs the client against this engine.
func (d *Engine) Docker(args ...string) (string, error) {
	out, err := exec.Command("docker", append([]string{"-H", d.Host}, args...)...).CombinedOutput()
	return string(out), err
}

// Start starts the engine as scripts/docker.sh does, and waits until it answers.
func (d *Engine) Start() {
	d.t.Helper()
	if err := d.TryStart(); err != nil {
		d.t.Fatal(err)
	}
}

// TryStart is Start of an engine that may not be able to: then the error is what it said.
func (d *Engine) TryStart() error {
	// Of one that was killed. Where process 1 does not bury the dead, as in many
	// containers, the numbers in them seem to be of living processes.
	for _, file := range []string{"pid", "exec/containerd/containerd.pid", "log"} {
		if err := os.RemoveAll(filepath.Join(d.dir, file)); err != nil {
			return err
		}
	}
	d.cmd = exec.Command("nsenter", "--net=/proc/"+strconv.Itoa(d.network.Process.Pid)+"/ns/net", "dockerd", "--live-restore",
		"--data-root", d.Data, "--exec-root", d.dir+"/exec", "--pidfile", d.dir+"/pid", "-H", d.Host)
	log, err := os.Create(d.log)
	if err != nil {
		return err
	}
	defer log.Close()
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = d.cmd.Wait() // how it ended stands in its log
		close(ended)
	}()
	d.ended = ended
	deadline := time.After(time.Minute)
	for {
		if _, err := d.Docker("version"); err == nil {
			return nil
		}
		select {
		case <-ended:
		case <-deadline:
		case <-time.After(200 * time.Millisecond):
			continue
		}
		said, _ := os.ReadFile(d.log)
		return fmt.Errorf("docker does not answer:\n%s", said)
	}
}

// Kill ends the engine, and with it its containerd; what runs in containers goes on.
func (d *Engine) Kill() {
	_ = d.cmd.Process.Kill()
	<-d.ended
}

// Load copies images from the machine's engine.
func (d *Engine) Load(images ...string) {
	d.t.Helper()
	save := exec.Command("docker", append([]string{"save"}, images...)...)
	load := exec.Command("docker", "-H", d.Host, "load", "-q")
	var err error
	if load.Stdin, err = save.StdoutPipe(); err != nil {
		d.t.Fatal(err)
	}
	if err := save.Start(); err != nil {
		d.t.Fatal(err)
	}
	if out, err := load.CombinedOutput(); err != nil {
		d.t.Fatalf("docker load: %v\n%s", err, out)
	}
	if err := save.Wait(); err != nil {
		d.t.Fatal(err)
	}
}

// remove ends and removes all of it.
func (d *Engine) remove() {
	if ids, err := d.Docker("ps", "-aq"); err == nil && ids != "" {
		_, _ = d.Docker(append([]string{"rm", "-f"}, strings.Fields(ids)...)...)
	}
	if d.ended != nil {
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		<-d.ended
	}
	_ = d.network.Process.Kill()
	_ = d.network.Wait()
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], d.dir+"/") {
			_ = syscall.Unmount(f[1], syscall.MNT_DETACH)
		}
	}
	if err := os.RemoveAll(d.dir); err != nil {
		d.t.Error(err)
	}
}
