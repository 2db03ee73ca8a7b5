package environments

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Who runs in which generation is seen from outside: kernels by their connection file,
// once each, and also after the label moved on.
func TestRunning(t *testing.T) {
	s := open(t)
	one := generation(t, s)
	put(t, s, one.Path()+"/bin/show", "#!/bin/sh\n(exec 1>&-; read x <&3) 3<&0 & echo; exec sh -c 'read x' \"$@\"\n")
	if err := os.Chmod(filepath.Join(s.Root(), one.Path(), "bin/show"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.Flip(Current, one); err != nil {
		t.Fatal(err)
	}
	put(t, s, "launch", string(Launcher))
	const id = "0f4de5ac-5e5b-4b21-9a0e-3f1f0d3a5b77"
	for _, arg := range []string{"/run/jupyter/kernel-" + id + ".json", "server"} {
		cmd := exec.Command("sh", filepath.Join(s.Root(), "launch"), "base@current", "show", arg)
		cmd.Env = []string{"CONJURED_ENV=" + s.Root(), "PATH=/usr/bin:/bin"}
		in, _ := cmd.StdinPipe()
		out, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
		if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Flip(Current, generation(t, s)); err != nil {
		t.Fatal(err)
	}
	all, err := s.Running(Base)
	if err != nil {
		t.Fatal(err)
	}
	var kernels []Running
	for _, r := range all {
		if r.Kernel != "" {
			kernels = append(kernels, r)
		}
	}
	if len(all) < 2 {
		t.Errorf("%+v", all)
	}
	want := []Running{{Env: Base, Number: one.Number, UID: os.Getuid(), Kernel: id}}
	if d := cmp.Diff(want, kernels, cmpopts.IgnoreFields(Running{}, "PID")); d != "" {
		t.Error(d)
	}
	if other, err := s.Running("geo"); err != nil || other != nil {
		t.Errorf("%v %v", other, err)
	}
}
