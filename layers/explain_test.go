package layers

import (
	"errors"
	"strings"
	"testing"

	"github.com/conjuring/conjured/notice"
)

// A11: what went wrong is named with file, line and package; it is never taken for a
// success.
func TestA11_explain(t *testing.T) {
	in := Inputs{AptPackages: []Package{
		{Name: "cowsay", File: "apt.txt", Line: 1},
		{Name: "vmi", File: "apt.txt", Line: 3},
		{Name: "jq", Version: "9.9", File: "apt.txt", Line: 4},
		{Name: "libc6:i386", File: "apt.txt", Line: 7},
	}}
	for _, tc := range []struct {
		name, stage, text, code, where, what string
	}{
		{"unknown", StageSystem, "E: Unable to locate package vmi", "apt-package-missing", "apt.txt:3", "no package vmi"},
		{"no candidate", StageSystem, "E: Package 'vmi' has no installation candidate", "apt-package-missing", "apt.txt:3", "vmi"},
		{"no candidate, apt 2", StageSystem, "E: Package vmi has no installation candidate", "apt-package-missing", "apt.txt:3", "vmi"},
		{"version", StageSystem, "E: Version '9.9' for 'jq' was not found", "apt-package-missing", "apt.txt:4", "version 9.9"},
		{"other architecture", StageSystem, "E: Unable to locate package libc6:i386", "apt-package-missing", "apt.txt:7", "libc6:i386"},
		{"glob", StageSystem, "E: Couldn't find any package by glob 'vmi'", "apt-package-missing", "apt.txt:3", "vmi"},
		{"offline hides unknown", StageSystem, "E: Unable to locate package vmi\nconjured: apt-unreachable", "apt-unreachable", "", "can't be reached"},
		{"offline", StageCore, "Err:1 http://x Temporary failure resolving 'deb.debian.org'", "apt-unreachable", "", "can't be reached"},
		{"no index", StageCore, "error: Failed to fetch: `https://pypi.org/simple/jedi/`", "pypi-unreachable", "", "Python package index"},
		{"disk", StageCore, "tar: write error: no space left on device", "docker-no-space", "", "full"},
		{"old python", StageCore, "conjured: base-python-too-old Python 3.6.9", "base-python-too-old", "base.Dockerfile", "Python 3.6.9"},
		{"conflict", StageSystem, " cowsay : Depends: perl but it is not going to be installed\nE: Unable to correct problems, you have held broken packages.", "apt-conflict", "apt.txt:1", "do not go together"},
		{"base", StageBase, "E: Failed to fetch x", "base-build-failed", "base.Dockerfile", "failed"},
		{"anything", StageCore, "something else", "image-build-failed", "", "building core failed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var lines []string
			for l := range strings.Lines(tc.text) {
				lines = append(lines, strings.TrimSpace(l))
			}
			l := notice.For(explain(in, failure{stage: tc.stage, lines: lines}, errors.New("exit code: 100")))
			if len(l) != 1 || l[0].Code != tc.code || l[0].Where() != tc.where || !strings.Contains(l[0].What, tc.what) {
				t.Fatalf("got %+v", l)
			}
			if l[0].Means == "" || l[0].Do == "" || l[0].Severity != notice.SeverityError {
				t.Errorf("incomplete: %+v", l[0])
			}
		})
	}
}

func TestA11_allAtOnce(t *testing.T) {
	in := Inputs{AptPackages: []Package{{Name: "a1", File: "apt.txt", Line: 2}, {Name: "b2", File: "apt.txt", Line: 5}}}
	l := notice.For(explain(in, failure{stage: StageSystem, lines: []string{"E: Unable to locate package a1", "E: Unable to locate package b2", "E: Unable to locate package a1"}}, errors.New("x")))
	if len(l) != 2 || l[0].Line != 2 || l[1].Line != 5 {
		t.Errorf("got %+v", l)
	}
}

func TestStepLine(t *testing.T) {
	const text = "FROM a AS base\nRUN  one \\\n  two\n\n# x\nrun three\nRUN <<EOF\nfour\nEOF\nCOPY x /y\n"
	for step, want := range map[string]int{
		"[base 2/5] RUN one   two": 2, "[base 3/5] RUN three": 6, "[base 4/5] RUN <<EOF (four)": 7, "[base 5/5] COPY x /y": 10, "exporting": 0, "": 0, "[base 9/9] RUN nine": 0,
	} {
		if got := stepLine([]byte(text), step); got != want {
			t.Errorf("%q: line %d, want %d", step, got, want)
		}
	}
}
