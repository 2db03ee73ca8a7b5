package layers_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/layers"
	"github.com/conjuring/conjured/progress"
)

// latest is complete by itself: a Lab from the sealed environment, not as root, with
// nothing mounted.
func TestSeal(t *testing.T) {
	b, e, r := built(t)
	dir := t.TempDir()
	var out strings.Builder
	code, err := e.Run(t.Context(), engine.Spec{
		Image: r.System, Entrypoint: []string{"/bin/sh"}, Mounts: []engine.Mount{{Source: dir, Target: "/opt/conjured/env"}},
		// The Lab set, moved, stands for what uv would install anew.
		Cmd: []string{"-ec", `cd /opt/conjured/env; mkdir -p label/base kernels gen/base/8; cp -a /opt/conjured/lab gen/base/7
sed -i 's|/opt/conjured/lab|/opt/conjured/env/gen/base/7|' gen/base/7/bin/* gen/base/7/pyvenv.cfg; ln -s ../../gen/base/7 label/base/current; touch gen/base/7/ok gen/base/7/lease gen/base/8/unfinished`},
	}, &out)
	if err != nil || code != 0 {
		t.Fatalf("%d, %v\n%s", code, err, out.String())
	}
	seal := layers.Sealing{SystemKey: r.Key, Dir: dir, Paths: []string{"gen/base/7", "label/base/current", "kernels"}, ID: "seven"}
	id, err := b.Seal(t.Context(), seal, logTo(t))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := b.Seal(t.Context(), seal, progress.Discard); err != nil || again != id {
		t.Errorf("again: %s, %v", again, err)
	}
	for _, path := range []string{"gen/base/9", "../secret", "gen/*/8"} {
		bad := layers.Sealing{SystemKey: r.Key, Dir: dir, Paths: []string{path}, ID: path}
		if _, err := b.Seal(t.Context(), bad, progress.Discard); err == nil {
			t.Errorf("sealed %q", path)
		}
	}
	// Somebody rolls back while the files are copied.
	moved := seal
	moved.ID, moved.Still = "eight", func() (bool, error) { return false, nil }
	if _, err := b.Seal(t.Context(), moved, progress.Discard); !errors.Is(err, layers.ErrMoved) {
		t.Errorf("sealed what moved: %v", err)
	}
	img, err := e.Image(t.Context(), testRepository+":latest")
	if err != nil || img.ID != id {
		t.Errorf("latest is %s, %v", img.ID, err)
	}
	if out, code := sh(t, e, id, "id -u; command -v jupyterhub-singleuser; ls /opt/conjured/env/gen/base; command -v python"); code != 0 ||
		out != "1000\n/opt/conjured/env/label/base/current/bin/jupyterhub-singleuser\n7\n/opt/conjured/env/label/base/current/bin/python\n" {
		t.Errorf("%d, %q", code, out)
	}
	runLab(t, e, id)
}

// runLab starts an image as `docker run` would, and waits until its Lab answers.
func runLab(t *testing.T, e *engine.Engine, image string) {
	t.Helper()
	id, err := e.Create(t.Context(), engine.Spec{Image: image, Network: "none"})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Remove(context.Background(), id)
	if err := e.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	code, err := e.Exec(t.Context(), id, []string{"python", "-c", `
import time, urllib.request, urllib.error
for _ in range(300):
    try:
        print(urllib.request.urlopen("http://127.0.0.1:8888/api").status); break
    except (urllib.error.URLError, ConnectionError): time.sleep(0.2)
`}, "", &out)
	if err != nil || code != 0 || out.String() != "200\n" {
		logs, _ := e.Logs(context.Background(), id, 50)
		t.Errorf("%d, %v, %q\n%s", code, err, out.String(), logs)
	}
}
