package engine_test

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"github.com/conjuring/conjured/engine"
)

// Debian 12 has Engine 20.10, which speaks 1.41. Releases v0.1 and v0.2 of the client
// library could not talk to it, so an update of the library may not raise its floor.
func TestClientSpeaksToDebian12(t *testing.T) {
	var major, minor int
	if _, err := fmt.Sscanf(client.MinAPIVersion, "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	if major > 1 || minor > 41 {
		t.Errorf("the client library needs API %s; Debian 12 has 1.41", client.MinAPIVersion)
	}
}

func TestConnectStopped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close() // the socket stays, nobody listens
	_, err = engine.Connect(t.Context(), engine.Config{Host: "unix://" + path, Instance: "00000000"})
	wantNotice(t, err, "docker-stopped")
}

func TestConnectAbsent(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := engine.Connect(t.Context(), engine.Config{Host: "unix://" + filepath.Join(t.TempDir(), "docker.sock"), Instance: "00000000"})
	wantNotice(t, err, "docker-absent")
}

func TestConnectTooOld(t *testing.T) {
	for _, tc := range []struct {
		api string
		old bool
	}{{"", true}, {"1.9", true}, {"1.24", true}, {"1.40", true}, {"1.41", false}, {"1.100", false}, {"2.0", false}} {
		t.Run(strconv.Quote(tc.api), func(t *testing.T) {
			_, err := engine.Connect(t.Context(), engine.Config{Host: fakeEngine(t, tc.api), Instance: "00000000"})
			if tc.old {
				wantNotice(t, err, "docker-too-old")
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// fakeEngine answers a ping as an engine of that API version would.
func fakeEngine(t *testing.T, api string) string {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", api)
		if strings.HasSuffix(r.URL.Path, "/version") {
			fmt.Fprintf(w, `{"Version":"x","ApiVersion":%q}`, api)
		}
	})}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return "unix://" + path
}
