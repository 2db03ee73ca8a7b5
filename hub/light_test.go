package hub

import (
	_ "embed"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

//go:embed testdata/server_story.py
var serverStory string

// A server that starts with less answers all that Lab asks, and its forked kernels are
// what a kernel started by itself is.
func TestServer_real(t *testing.T) {
	c := newRealClass(t)
	if _, err := c.deploy(t, nil); err != nil {
		t.Fatal(err)
	}
	b := c.browser(t)
	if code, page := b.login("amira", "pw-amira"); code != http.StatusFound {
		t.Fatalf("login: %d %s", code, page)
	}
	b.spawn("amira")
	id := serverID("amira", "")
	tok, err := os.ReadFile(filepath.Join(c.paths.own(id), "token"))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	code, err := c.engine.Exec(t.Context(), c.containerName(id), []string{
		"/opt/conjured/bin/launch", "base@current", "python", "-c", serverStory,
		c.paths.sock(id), "/user/amira", string(tok),
	}, "", &out)
	if said := strings.TrimSpace(out.String()); err != nil || code != 0 || said != "done" {
		t.Errorf("exit %d, %v\n%s", code, err, said)
	}
}
