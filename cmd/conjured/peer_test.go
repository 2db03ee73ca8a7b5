package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// startPeer runs stock JupyterHub from the directory that scripts/bench.sh made, with
// more lines of configuration. stop ends it and its servers.
func startPeer(t *testing.T, more string) (url string, stop func()) {
	t.Helper()
	dir := os.Getenv("CONJURED_BENCH_PEER")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	work := t.TempDir()
	config := filepath.Join(work, "jupyterhub_config.py")
	text := fmt.Sprintf(`
c.JupyterHub.bind_url = "http://%s/"
c.JupyterHub.hub_port = %d
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:%d"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = "%s/home/{username}"
c.Spawner.args = ["--allow-root"]
c.Spawner.default_url = "/lab"
%s
`, addr, freePort(t), freePort(t), work, more)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(dir, "venv/bin/jupyterhub"), "-f", config)
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "PATH="+dir+"/venv/bin:"+dir+"/node_modules/.bin:"+os.Getenv("PATH"))
	if err := cmd.Start(); err != nil {
		t.Fatalf("stock JupyterHub: %v", err)
	}
	stop = sync.OnceFunc(func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() })
	t.Cleanup(stop)
	url = "http://" + addr
	for range 600 {
		if res, err := http.Get(url + "/hub/login"); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK { // its proxy answers before its hub does
				return url, stop
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("stock JupyterHub does not answer")
	return "", nil
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
