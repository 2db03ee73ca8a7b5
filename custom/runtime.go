package custom

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// oldestPython is the oldest minor version of Python 3 that kernels are made with.
const oldestPython = 8

// The words of runtime.txt, as repo2docker has them.
var (
	runtimePython = regexp.MustCompile(`^python-?(\d{1,2})\.(\d{1,2})(?:\.\d{1,3})?$`)
	runtimeR      = regexp.MustCompile(`^r-(?:(\d{1,2}(?:\.\d{1,2}){0,2})-?)?(\d{4}-\d{2}-\d{2})?$`)
)

// runtime reads a runtime.txt, which loses to an environment file (as in repo2docker).
func (a *asking) runtime(rel string) {
	data, ok := a.text(rel, MaxText)
	if data == nil || !ok {
		return
	}
	a.keep(rel)
	for i, line := range strings.Split(string(data), "\n") {
		word, _, _ := strings.Cut(line, "#")
		if word = strings.ToLower(strings.TrimSpace(word)); word == "" {
			continue
		}
		where := fmt.Sprintf("%s line %d", printable(rel), i+1)
		if len(a.files) > 0 {
			a.warn("runtime-loses", rel, i+1, fmt.Sprintf("%s and %s both say what this environment runs on", printable(rel), printable(a.files[0])),
				printable(a.files[0])+" counts", "write the version there, such as: - python=3.12, and remove "+printable(rel))
			return
		}
		a.runtimeWord(rel, i+1, where, word)
		return
	}
}

func (a *asking) runtimeWord(rel string, line int, where, word string) {
	if m := runtimePython.FindStringSubmatch(word); m != nil {
		minor, _ := strconv.Atoi(m[2])
		if m[1] != "3" || minor < oldestPython {
			a.error("runtime-python", rel, line, fmt.Sprintf("%s asks for Python %s.%s, which is too old for today's notebooks", where, m[1], m[2]), "write python-3.12 or another version from 3."+strconv.Itoa(oldestPython)+" on")
			return
		}
		a.python(m[1] + "." + m[2])
		return
	}
	m := runtimeR.FindStringSubmatch(word)
	if m == nil || m[1] == "" && m[2] == "" {
		a.error("runtime-line", rel, line, fmt.Sprintf("%s: %q is no version of Python or R", where, short(word)), "write it as: python-3.12")
		return
	}
	base := "r-base"
	if m[1] != "" {
		base += "=" + m[1]
	}
	a.condaLine(rel, line, base)
	a.condaLine(rel, line, "r-irkernel")
	a.useChannel(rel, line, CondaForge)
	if m[2] != "" {
		a.info("runtime-date", rel, line, fmt.Sprintf("%s asks for R's packages as they were on %s", where, m[2]), "R itself comes from conda-forge; the day is not followed", "name packages of R in environment.yml, such as: - r-ggplot2=3.5")
	}
}

// python asks for a version of Python, once.
func (a *asking) python(version string) {
	if a.spec.Python == "" {
		a.spec.Python = version
	}
}
