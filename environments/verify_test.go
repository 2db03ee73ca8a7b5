package environments

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/conjuring/conjured/internal/wheeltest"
	"github.com/conjuring/conjured/notice"
	"github.com/conjuring/conjured/progress"
)

func TestCause(t *testing.T) {
	const died = "Debugger warning: frozen modules\nTraceback (most recent call last):\n  File \"x.py\", line 12, in <module>\n" +
		"ModuleNotFoundError: No module named 'pkg_resources'\nTraceback (most recent call last):\nRuntimeError: Kernel died\n"
	for output, want := range map[string]string{
		died:                "ModuleNotFoundError: No module named 'pkg_resources'",
		"the\nserver ended": "the server ended",
		strings.Repeat("noise ", 100) + "the end": strings.Repeat("noise ", 100)[600-293:] + "the end",
	} {
		if got := cause(output); got != want {
			t.Errorf("%.40q: %q", output, got)
		}
	}
}

func TestJudge(t *testing.T) {
	s := Spec{Requirements: []Requirement{{Name: "opencv-python", Spec: "opencv-python", File: "requirements.txt", Line: 4}}}
	for _, c := range []struct {
		tried    tried
		code     string
		severity notice.Severity
		do       string
	}{
		{tried{Check: "import", Name: "opencv-python", Kind: "ImportError", Detail: "libGL.so.1: cannot open shared object file: No such file"}, "environment-library", notice.SeverityError, "libgl1"},
		{tried{Check: "import", Name: "opencv-python", Kind: "KeyError", Detail: "DISPLAY"}, "environment-import", notice.SeverityWarning, "notebook"},
		{tried{Check: "import", Name: "opencv-python", Kind: "crash", Detail: "ended with -11"}, "environment-import", notice.SeverityError, "line"},
		{tried{Check: "kernel", Detail: "boom"}, "environment-kernel", notice.SeverityError, "requirements.txt"},
		{tried{Check: "server", Detail: "boom"}, "environment-server", notice.SeverityError, "requirements.txt"},
	} {
		n := s.judge(c.tried)
		if n.Code != c.code || n.Severity != c.severity || !strings.Contains(n.Do, c.do) || n.Means == "" {
			t.Errorf("%+v: %+v", c.tried, n)
		}
		if c.tried.Check == "import" && n.Line != 4 {
			t.Errorf("line %d", n.Line)
		}
	}
}

// leavesSomebody is a module whose import leaves a process behind that has all files open,
// prints what is no text, and claims to be fine.
const leavesSomebody = `
import os, sys, time
if os.fork() == 0:
    time.sleep(15)
    os._exit(0)
sys.stdout.buffer.write(b"\xff\xfe\n")
sys.stdout.flush()
raise ImportError("on purpose")
`

// Who tries packages does not wait for what they leave behind, and is not confused by
// what they print: the package fails, and the others are looked at.
func TestVerifyIsNotHeldUp(t *testing.T) {
	srv := httptest.NewServer(wheeltest.Index(
		wheeltest.Wheel{Name: "leaves", Version: "1", Modules: map[string]string{"leaves.py": leavesSomebody}},
		wheeltest.Wheel{Name: "sick", Version: "1", Modules: map[string]string{"sick.py": "import nothing_of_this_name\n"}},
	))
	defer srv.Close()
	x := newBox(t, t.TempDir(), srv.URL+"/simple", "none")
	_, err := x.b.Make(t.Context(), Spec{Env: Base, Image: "host", Requirements: asks("leaves", "sick")}, progress.Discard)
	var lines []int
	for _, n := range notice.For(err) {
		if n.Code == "environment-import" {
			lines = append(lines, n.Line)
		}
	}
	if !slices.Equal(lines, []int{1, 2}) {
		t.Errorf("%v", notice.For(err))
	}
}
