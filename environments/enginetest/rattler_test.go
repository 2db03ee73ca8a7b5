package enginetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// scripts is where conda.py is.
const scripts = "../build"

// rattler is conda.py with the real py-rattler, as build.py calls it.
type rattler struct {
	t    *testing.T
	w    *World
	tool Tools
	n    int
	env  []string // more of the environment
}

func newRattler(t *testing.T, w *World) Engine {
	return &rattler{t: t, w: w, tool: RealTools(t)}
}

// run asks conda.py one thing.
func (r *rattler) run(ctx context.Context, verb string, job map[string]any) (json.RawMessage, error) {
	dir := r.t.TempDir()
	job["cache"] = filepath.Join(r.w.Root, "cache")
	job["mirror"] = r.w.Mirror
	in, out := filepath.Join(dir, "job.json"), filepath.Join(dir, "result.json")
	b, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.WriteFile(in, b, 0o644), os.MkdirAll(filepath.Join(r.w.Root, "cache"), 0o755)); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, r.tool.Python, "-I", filepath.Join(scripts, "conda.py"), verb, in, out)
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "HOME=" + dir}, r.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	said, ran := cmd.CombinedOutput()
	b, err = os.ReadFile(out)
	if err != nil {
		return nil, fmt.Errorf("conda.py gave no result: %w %v %s", err, ran, said)
	}
	var answer struct {
		OK            bool
		Kind, Message string
		Names         []string
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return nil, err
	}
	if !answer.OK {
		return nil, &Failure{Kind(answer.Kind), answer.Names, errors.New(answer.Message)}
	}
	return b, nil
}

func (r *rattler) Resolve(ctx context.Context, ask Ask) (Plan, error) {
	channels := ask.Channels
	if channels == nil {
		channels = []string{"conda-forge"}
	}
	locked := ask.Locked.Private
	if locked == nil {
		locked = []any{}
	}
	b, err := r.run(ctx, "solve", map[string]any{
		"platform": "linux-64", "channels": channels, "specs": ask.Conda, "locked": locked, "constraints": []string{}, "offline": ask.Offline,
	})
	if err != nil {
		return Plan{}, err
	}
	var solved struct {
		Packages []map[string]any
	}
	if err := json.Unmarshal(b, &solved); err != nil {
		return Plan{}, err
	}
	p := Plan{Private: solved.Packages}
	for _, x := range solved.Packages {
		p.Packages = append(p.Packages, Package{true, x["name"].(string), x["version"].(string)})
		if !strings.HasPrefix(x["url"].(string), "https://conda.anaconda.org/") {
			return Plan{}, fmt.Errorf("not a canonical address: %v", x["url"])
		}
	}
	p.Bytes = b
	return p, nil
}

func (r *rattler) Install(ctx context.Context, p Plan) (string, error) {
	r.n++
	prefix := filepath.Join(r.w.Root, "gen", fmt.Sprint(r.n))
	if err := os.MkdirAll(filepath.Dir(prefix), 0o755); err != nil {
		return "", err
	}
	_, err := r.run(ctx, "install", map[string]any{"prefix": prefix, "packages": p.Private, "offline": false})
	if err != nil {
		os.RemoveAll(prefix) // as a builder does
		return "", err
	}
	return prefix, nil
}

// What lies, and what goes wrong on the way, the Builder's tests try with the same script.
func TestRattler(t *testing.T) { CondaPlans(t, newRattler) }

func TestRattlerFullDisk(t *testing.T) {
	FullDisk(t, newRattler, Ask{Conda: []string{"heavy"}}, 12<<20)
}
