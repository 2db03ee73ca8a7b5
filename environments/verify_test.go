package environments

import (
	"strings"
	"testing"

	"github.com/conjuring/conjured/notice"
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
