package chp

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
)

// JupyterHub's own tests of its proxy, from its own package, start this program as
// they start the original: with paths only, and with a host name for each user.
func TestJupyterHub(t *testing.T) {
	p := findPeers(t)
	bin := filepath.Dir(called(t))
	t.Cleanup(func() { endAll(t, "PATH="+bin+":") })
	here, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(p.dir + "/lib/python3*/site-packages/jupyterhub/tests")
	if err != nil || len(found) != 1 {
		t.Fatalf("JupyterHub's tests: %q, %v", found, err)
	}
	for name, c := range map[string]struct {
		env    []string
		files  []string
		passed int // at least; JupyterHub's own skips are not among them
	}{
		"paths": {nil, []string{"test_proxy.py", "test_unix_socket.py", "test_internal_ssl_connections.py"}, 36},
		// The other two have nothing to say about hosts; they pass, and take their time.
		"hosts": {[]string{"JUPYTERHUB_TEST_SUBDOMAIN_HOST=http://localhost.jovyan.org:8000"}, []string{"test_proxy.py"}, 34},
	} {
		t.Run(name, func(t *testing.T) {
			tmp, err := os.MkdirTemp("", "hub") // short, and lower case: the hub takes a socket's path for a host name
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(tmp)
			args := []string{"-m", "pytest", "-W", "ignore", "-q", "--color=no", "-p", "no:cacheprovider", "-p", "here", "-c", here + "/pytest.ini", "--rootdir", found[0]}
			for _, file := range c.files {
				args = append(args, filepath.Join(found[0], file))
			}
			cmd := exec.CommandContext(t.Context(), p.python(), args...)
			cmd.Dir = tmp
			cmd.Env = append(os.Environ(), "PATH="+bin+":"+p.dir+"/bin:"+os.Getenv("PATH"), "PYTHONPATH="+here, "PYTHONDONTWRITEBYTECODE=1", "TMPDIR="+tmp)
			cmd.Env = append(cmd.Env, c.env...)
			out, err := cmd.CombinedOutput()
			if m := regexp.MustCompile(`(\d+) passed`).FindSubmatch(out); err != nil || m == nil || number(m[1]) < c.passed {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// endAll kills the processes whose environment holds mark: JupyterHub's tests leave some
// of the servers behind that they start, each in a session of its own.
func endAll(t *testing.T, mark string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		b, err := os.ReadFile(name)
		if pid := number([]byte(filepath.Base(filepath.Dir(name)))); err == nil && pid > 1 && bytes.Contains(b, []byte(mark)) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func number(b []byte) int {
	n, _ := strconv.Atoi(string(b))
	return n
}
