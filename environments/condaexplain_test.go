package environments

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/conjuring/conjured/notice"
	"pgregory.net/rapid"
)

// geo asks for what the results in testdata/conda are about.
func geo() Spec {
	s := Spec{Env: "geo", Display: "Geo", Image: "i", Channels: []string{"forge"}}
	for i, line := range []string{"python=3.11", "helo-course", "tinydep>=9", "hello-course", "tinydep>0.4", "pathsdotdot", "tinydep >>> 3"} {
		s.Conda = append(s.Conda, CondaRequirement{Spec: line, File: "environment-geo.yml", Line: i + 4})
	}
	return s
}

// A channel that there is not stands on a line too.
func TestChannelLine(t *testing.T) {
	result, err := os.ReadFile("testdata/conda/nochannel.json")
	if err != nil {
		t.Fatal(err)
	}
	s := geo()
	s.Channels, s.ChannelLines = []string{"forge", "conda-fogre"}, []int{2, 3}
	if l := notice.For(explainConda(s, result, 1)); len(l) != 1 || l[0].File != "environment-geo.yml" || l[0].Line != 3 {
		t.Errorf("%v", l)
	}
}

// The files of testdata/conda are what conda.py wrote, with py-rattler 0.28.0.
func TestExplainConda(t *testing.T) {
	for file, want := range map[string]struct {
		code string
		line int
		kind kind
		says string
		do   string
	}{
		"misspelt":    {"environment-no-such-package", 5, kindClash, "no package called helo-course in forge", "did you mean hello-course"},
		"noversion":   {"environment-no-such-version", 6, kindClash, "tinydep>=9 asks for a version that forge does not have; there are 0.5 and 0.4", "one of these"},
		"conflict":    {"environment-conflict", 4, kindClash, "python=3.11 (line 4 of environment-geo.yml) and tinydep>0.4 (line 8 of environment-geo.yml) do not go together: tinydep 0.5 needs python >=3.12", "one of the lines"},
		"single":      {"environment-no-such-version", 6, kindClash, "tinydep<0.5,>=0.5", "name one"},
		"nochannel":   {"environment-no-such-channel", 0, kindClash, "no channel called conda-fogre", "spelt"},
		"unreachable": {"environment-network", 0, kindNetwork, "the channel https://channels.invalid/geo cannot be reached, and not everything that was asked for is stored on this box; forge can be reached", "take this channel out"},
		"refused":     {"environment-index", 0, kindNetwork, "(status 503)", "wait"},
		"portal":      {"environment-network", 0, kindNetwork, "a page to log in", "log the box in"},
		"certificate": {"environment-certificate", 0, kindNetwork, "https://pypi.org/conda", "filter"},
		"line":        {"environment-line", 10, kindClash, `"tinydep >>> 3" is not`, "numpy=2"},
		"notstored":   {"environment-not-stored", 0, kindNetwork, "hello-course, libtiny, python and tinydep are not stored on this box", "connect"},
		"hash":        {"environment-hash", 0, kindOther, "is not the one that was chosen", "another connection"},
		"withdrawn":   {"environment-withdrawn", 0, kindClash, "no longer in its channel", "conjured env update"},
		"unfit":       {"environment-unfit", 9, kindOther, "a file outside of its place", "another version"},
	} {
		result, err := os.ReadFile(filepath.Join("testdata/conda", file+".json"))
		if err != nil {
			t.Fatal(err)
		}
		failed := explainConda(geo(), result, 1)
		f, ok := failed.(*buildFailure)
		if !ok || f.kind != want.kind {
			t.Errorf("%s: %T of kind %v, want %v", file, failed, f.kind, want.kind)
		}
		l := notice.For(failed)
		if len(l) == 0 {
			t.Errorf("%s: no notice", file)
			continue
		}
		n := l[0]
		if n.Code != want.code || want.line != 0 && n.Line != want.line || !strings.Contains(n.What, want.says) || !strings.Contains(n.Do, want.do) || n.Severity != notice.SeverityError || n.Means == "" {
			t.Errorf("%s: %+v", file, n)
		}
		if (n.Line != 0) != (n.File != "") && n.File != geo().condaFile() {
			t.Errorf("%s: line %d of %q", file, n.Line, n.File)
		}
	}
}

// All that is wrong is told at once, each at its own line.
func TestExplainConda_all(t *testing.T) {
	result, err := os.ReadFile("testdata/conda/noversion.json")
	if err != nil {
		t.Fatal(err)
	}
	s := geo()
	s.Conda, s.Python = s.Conda[2:3], "3.13" // the Python that runtime.txt asks for
	l := notice.For(explainConda(s, result, 1))
	if len(l) != 2 || l[1].Code != "environment-no-such-python" || l[1].File != "runtime.txt" || !strings.Contains(l[1].What, "3.12.4 and 3.11.9") {
		t.Errorf("%+v", l)
	}
}

func TestExplainConda_noPython(t *testing.T) {
	l := notice.For(explainConda(geo(), []byte(`{"ok":false,"kind":"missing","names":["python=3.11"]}`), 1))
	if len(l) != 1 || l[0].Code != "environment-no-such-python" || l[0].Line != 4 || !strings.Contains(l[0].What, "no Python for this kind of computer in forge") {
		t.Errorf("%+v", l)
	}
}

func TestExplainConda_nothing(t *testing.T) {
	for _, result := range []string{"", "{}", `{"ok":true}`, `{"kind":"network"}`, `{"kind":"missing"}`, `{"kind":"conflict"}`, `{"kind":"hash"}`, `{"kind":"spec"}`, `{"kind":"disk"}`} {
		for _, n := range notice.For(explainConda(Spec{Env: "geo"}, []byte(result), 137)) {
			if n.Code == "" || n.What == "" || n.Do == "" || n.Means == "" || strings.Contains(n.What, "%") {
				t.Errorf("%s: %+v", result, n)
			}
		}
	}
}

// Whatever stands in a result, there is a notice.
func TestExplainConda_any(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "result")
		if l := notice.For(explainConda(geo(), b, 1)); len(l) == 0 || l[0].What == "" {
			t.Fatalf("%q: %v", b, l)
		}
	})
}
