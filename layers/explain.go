package layers

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/conjuring/conjured/notice"
)

// What apt-get, dpkg and our own scripts print, of apt 2.0 to 3.0.
var (
	aptUnknown   = regexp.MustCompile(`E: (?:Unable to locate package (\S+)|Package '?([^' ]+)'? has no installation candidate|Couldn't find any package by (?:glob|regex) '([^']+)')`)
	aptNoVersion = regexp.MustCompile(`E: Version '([^']+)' for '([^']+)' was not found`)
	aptOffline   = regexp.MustCompile(`conjured: apt-unreachable|Temporary failure resolving|Could not connect to|Connection timed out|Unable to connect to|E: Failed to fetch`)
	uvOffline    = regexp.MustCompile(`(?i)failed to fetch|dns error|error sending request|urlopen error|Temporary failure in name resolution`)
	pythonOld    = regexp.MustCompile(`conjured: base-python-too-old (.*)`)
)

// failure is what is known of a build that failed.
type failure struct {
	stage string
	step  string   // as BuildKit calls it, "[base 3/4] RUN make"; may be ""
	lines []string // the last it printed
}

// explain makes a notice of a failed build. Several missing packages are several
// notices.
func explain(in Inputs, f failure, err error) error {
	stage, lines := f.stage, f.lines
	text := strings.Join(lines, "\n")
	switch {
	case strings.Contains(text+err.Error(), "no space left on device"):
		return diskFull(err)
	case pythonOld.MatchString(text):
		return oldPython(pythonOld.FindStringSubmatch(text)[1], err)
	}
	if missing := missingPackages(in, text); len(missing) > 0 && !strings.Contains(text, "conjured: apt-unreachable") {
		return fmt.Errorf("cannot build %s: %w", stage, missing)
	}
	if stage == StageBase {
		return baseFailed(in, f, err)
	}
	switch {
	case aptOffline.MatchString(text):
		return unreachable("apt-unreachable", "the Debian package servers", stage, err)
	case uvOffline.MatchString(text):
		return unreachable("pypi-unreachable", "the Python package index", stage, err)
	case strings.Contains(text, "E: Unable to correct problems") || strings.Contains(text, "unmet dependencies"):
		return aptConflict(in, lines, err)
	}
	return buildFailed(stage, lines, err)
}

// missingPackages finds each package that apt does not know, with its line.
func missingPackages(in Inputs, text string) notice.List {
	var l notice.List
	for _, m := range aptUnknown.FindAllStringSubmatch(text, -1) {
		name := cmp.Or(m[1], m[2], m[3])
		l = append(l, aptNotice(in, name, fmt.Sprintf("there is no package %s for this system", name),
			"correct the name in that line (packages.debian.org lists them all), save, and apply the folder again"))
	}
	for _, m := range aptNoVersion.FindAllStringSubmatch(text, -1) {
		l = append(l, aptNotice(in, m[2], fmt.Sprintf("the package %s is not to be had in version %s", m[2], m[1]),
			"write the version that is to be had, or the name alone for the newest, save, and apply the folder again"))
	}
	seen := map[string]bool{}
	out := l[:0]
	for _, n := range l {
		if k := fmt.Sprint(n.Line, n.What); !seen[k] {
			seen[k] = true
			out = append(out, n)
		}
	}
	return out
}

func aptNotice(in Inputs, name, what, do string) notice.Notice {
	n := notice.Notice{
		Code: "apt-package-missing", Severity: notice.SeverityError, File: "apt.txt", What: what,
		Means: "none of the changes to apt.txt were made; the class runs on as it was", Do: do,
	}
	bare, _, _ := strings.Cut(name, ":")
	for _, p := range in.AptPackages {
		own, _, _ := strings.Cut(p.Name, ":")
		if p.Name == name || own == bare {
			n.File, n.Line = p.File, p.Line
			return n
		}
	}
	return n
}

func diskFull(err error) error {
	return &notice.Error{Notice: notice.Notice{
		Code: "docker-no-space", Severity: notice.SeverityError,
		What:  "the disk that holds Docker's images is full",
		Means: "no new system was built; the class runs on as it was, and homes are safe",
		Do:    "free some space on this machine (old downloads, old backups), then try again",
	}, Err: err}
}

func oldPython(version string, err error) error {
	return &notice.Error{Notice: notice.Notice{
		Code: "base-python-too-old", Severity: notice.SeverityError, File: BaseFile,
		What:  fmt.Sprintf("the system of base.Dockerfile has %s; JupyterHub and Lab need Python 3.11 or newer", strings.TrimSpace(version)),
		Means: "no new system was built; the class stays on the one it has",
		Do:    "start base.Dockerfile from a newer system, such as FROM debian:trixie AS base",
	}, Err: err}
}

func unreachable(code, who, stage string, err error) error {
	return &notice.Error{Notice: notice.Notice{
		Code: code, Severity: notice.SeverityError,
		What:  fmt.Sprintf("%s can't be reached while building %s", who, stage),
		Means: "no new system was built; a class that is running runs on as it was",
		Do:    "connect the box to the internet and try again",
	}, Err: err}
}

func baseFailed(in Inputs, f failure, err error) error {
	return &notice.Error{Notice: notice.Notice{
		Code: "base-build-failed", Severity: notice.SeverityError, File: BaseFile, Line: stepLine(in.BaseDockerfile, f.step),
		What:  "a step of base.Dockerfile failed: " + lastWords(f.lines, err),
		Means: "no new system was built; the class stays on the one it has",
		Do:    "correct that step, or take base.Dockerfile out of the folder to use the built-in Debian",
	}, Err: err}
}

// stepLine finds the line of a step by its text: engines as old as 20.10 do not say
// where in the file a failed step stands. 0 when it can't be told.
func stepLine(dockerfile []byte, step string) int {
	_, text, _ := strings.Cut(step, "] ")
	res, err := parser.Parse(bytes.NewReader(dockerfile))
	if err != nil || text == "" {
		return 0
	}
	want := strings.Join(strings.Fields(text), " ")
	for _, n := range res.AST.Children {
		got := strings.Join(strings.Fields(n.Original), " ")
		if strings.EqualFold(got, want) || (strings.Contains(want, "<<") && strings.HasPrefix(want, got)) {
			return n.StartLine
		}
	}
	return 0
}

func aptConflict(in Inputs, lines []string, err error) error {
	n := notice.Notice{
		Code: "apt-conflict", Severity: notice.SeverityError, File: "apt.txt",
		What:  "the packages of apt.txt do not go together: " + lastWords(lines, err),
		Means: "none of the changes to apt.txt were made; the class runs on as it was",
		Do:    "take out the package that was added last, save, and apply the folder again",
	}
	for _, p := range in.AptPackages {
		for _, l := range lines {
			if strings.HasPrefix(l, p.Name+" : Depends:") {
				n.File, n.Line = p.File, p.Line
			}
		}
	}
	return &notice.Error{Notice: n, Err: err}
}

func buildFailed(stage string, lines []string, err error) error {
	return &notice.Error{Notice: notice.Notice{
		Code: "image-build-failed", Severity: notice.SeverityError,
		What:  fmt.Sprintf("building %s failed: %s", stage, lastWords(lines, err)),
		Means: "no new system was built; a class that is running runs on as it was",
		Do:    "try again; if it fails again, run conjured doctor and send its report to whoever looks after the box",
	}, Err: err}
}

// lastWords is the newest line that tells something, shortened.
func lastWords(lines []string, err error) string {
	words := plain(err)
	for i := len(lines) - 1; i >= 0; i-- {
		if l := lines[i]; strings.Contains(l, "rror") || strings.HasPrefix(l, "E: ") || strings.HasPrefix(l, "conjured:") {
			words = l
			break
		}
	}
	if len(words) > 200 {
		words = strings.ToValidUTF8(words[:200], "") + "…"
	}
	return words
}
