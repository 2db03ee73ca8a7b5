package layers

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/conjuring/conjured/engine"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

// The tests an image passes before a name moves to it. They run at once, since each
// mostly waits for the disk.
const (
	smokeBase   = `command -v apt-get >/dev/null || { echo "there is no apt-get"; exit 1; }`
	smokeSystem = `set -e
for f in hub/bin/jupyterhub lab/bin/jupyter-lab lab/bin/python rattler/bin/python bin/uv bin/launch; do
	[ -s /opt/conjured/$f ] || { echo "conjured: $f is empty"; exit 1; }
done
/opt/conjured/hub/bin/jupyterhub --version & hub=$!
/opt/conjured/lab/bin/jupyter-lab --version & lab=$!
/opt/conjured/lab/bin/python -c "import ipykernel, jupyterhub, notebook" & imports=$!
/opt/conjured/rattler/bin/python -I -c "import rattler; rattler.VirtualPackage.detect()" & rattler=$!
/opt/conjured/bin/uv --version
sh -n /opt/conjured/bin/launch
sh -n /conda.sh
command -v git >/dev/null
command -v flock >/dev/null
wait $hub; wait $lab; wait $imports; wait $rattler`
	smokeLatest = `set -e
jupyter-lab --version
python -c "import ipykernel, jupyterhub, notebook"
/opt/conjured/bin/launch base@current python -c "pass"
for e in /opt/conjured/env/label/*; do [ -f "$e/current/ok" ] || { echo "$e has no packages"; exit 1; }; done
touch "$HOME/.smoke"`
)

// smoke runs an image's test: no network, nothing of the machine mounted, not root
// unless the image says so.
func (b *Builder) smoke(ctx context.Context, s Step, sink progress.Sink) error {
	script, user := smokeSystem, "1000:1000"
	switch s.Stage {
	case StageBase:
		script = smokeBase
	case StageLatest:
		script, user = smokeLatest, "" // its own user is part of what is tested
	}
	sink.Progress(progress.Event{Job: Job, Step: "testing the new image (" + s.Stage + ")"})
	code, text, err := b.testRun(ctx, s.Key, s.Ref, script, user)
	if err != nil {
		return err
	}
	if code == 0 {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	n := notice.Notice{
		Code: "image-smoke-failed", Severity: notice.SeverityError,
		What:  fmt.Sprintf("the new image (%s) was built, but does not work: %s", s.Stage, lastWords(lines, fmt.Errorf("code %d, %s", code, lines[len(lines)-1]))),
		Means: "it is not used; a class that is running stays on the image it has",
		Do:    "look at what changed last in base.Dockerfile or apt.txt and take it back, then try again",
	}
	if s.Stage == StageBase {
		n.File = BaseFile
	}
	return &notice.Error{Notice: n, Err: failedTest(code)}
}

// failedTest is the exit code of an image's test, other than 0.
type failedTest int

func (f failedTest) Error() string { return fmt.Sprintf("the test ended with code %d", int(f)) }

// testRun runs a script in an image, as user, or as its own user and in its own
// environment when that is "".
func (b *Builder) testRun(ctx context.Context, key, ref, script, user string) (code int, text string, err error) {
	spec := engine.Spec{
		Name: "conjured-" + b.engine.Instance() + "-smoke-" + brief(key), Image: ref, Network: "none", User: user,
		Entrypoint: []string{"/bin/sh"}, Cmd: []string{"-c", script}, Env: []string{"HOME=/tmp"},
		CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges"}, Pids: 512,
		Labels: map[string]string{engine.LabelRole: "build", engine.LabelKey: key},
	}
	if user == "" {
		spec.Env = nil
	}
	if c, err := b.engine.Inspect(ctx, spec.Name); err == nil && c.Labels[engine.LabelInstance] == b.engine.Instance() {
		if err := b.engine.Remove(ctx, c.ID); err != nil { // of a build that was killed
			return 0, "", err
		}
	}
	var out bytes.Buffer
	code, err = b.engine.Run(ctx, spec, &out)
	return code, out.String(), err
}

// A record says that the image of a key has passed its test. A build killed between
// the two leaves an image without one, which is then tested again.
func (b *Builder) testedDir() string { return filepath.Join(b.dir, "tested") }

func (b *Builder) tested(key string) (imageID string) {
	data, err := os.ReadFile(filepath.Join(b.testedDir(), key))
	if err != nil {
		return ""
	}
	return string(data)
}

func (b *Builder) recordTested(key, imageID string) error {
	if err := renameio.WriteFile(filepath.Join(b.testedDir(), key), []byte(imageID), 0o600); err != nil {
		return fmt.Errorf("cannot record that an image was tested: %w", err)
	}
	return syncDir(b.testedDir())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
