package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ownDocker is a Docker Engine of a test's own, with directories and a network of its
// own, so that it can be killed: the machine's own goes on untouched.
type ownDocker struct {
	t       *testing.T
	dir     string
	host    string    // for DOCKER_HOST
	network *exec.Cmd // holds the network namespace, which outlives the engine
	cmd     *exec.Cmd
	out     *lockedBuffer
}

func newOwnDocker(t *testing.T) *ownDocker {
	t.Helper()
	dir, err := os.MkdirTemp("", "conjured-docker-")
	if err != nil {
		t.Fatal(err)
	}
	d := &ownDocker{t: t, dir: dir, host: "unix://" + dir + "/docker.sock", out: &lockedBuffer{}}
	d.network = exec.Command("sleep", "infinity")
	d.network.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := d.network.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.remove)
	d.start()
	return d
}

// docker runs the client against this engine.
func (d *ownDocker) docker(args ...string) (string, error) {
	out, err := exec.Command("docker", append([]string{"-H", d.host}, args...)...).CombinedOutput()
	return string(out), err
}

// start starts the engine as scripts/docker.sh does, and waits until it answers.
func (d *ownDocker) start() {
	d.t.Helper()
	// Of one that was killed. Where process 1 does not bury the dead, as in many
	// containers, the numbers in them seem to be of living processes.
	for _, file := range []string{"pid", "exec/containerd/containerd.pid"} {
		if err := os.RemoveAll(filepath.Join(d.dir, file)); err != nil {
			d.t.Fatal(err)
		}
	}
	d.cmd = exec.Command("nsenter", "--net=/proc/"+strconv.Itoa(d.network.Process.Pid)+"/ns/net", "dockerd", "--live-restore",
		"--data-root", d.dir+"/data", "--exec-root", d.dir+"/exec", "--pidfile", d.dir+"/pid", "-H", d.host)
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.out
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		if _, err := d.docker("version"); err == nil {
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("docker does not answer:\n%s", d.out)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// kill ends the engine, and with it its containerd; what runs in containers goes on.
func (d *ownDocker) kill() {
	_ = d.cmd.Process.Kill()
	_ = d.cmd.Wait()
}

// load copies images from the machine's engine.
func (d *ownDocker) load(images ...string) {
	d.t.Helper()
	save := exec.Command("docker", append([]string{"save"}, images...)...)
	load := exec.Command("docker", "-H", d.host, "load", "-q")
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
func (d *ownDocker) remove() {
	if ids, err := d.docker("ps", "-aq"); err == nil && ids != "" {
		_, _ = d.docker(append([]string{"rm", "-f"}, strings.Fields(ids)...)...)
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	_ = d.cmd.Wait()
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
