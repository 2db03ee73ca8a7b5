package environments

import (
	"strings"
	"testing"

	"github.com/conjuring/conjured/notice"
)

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
