package environments

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/conjuring/conjured/notice"
)

// kind says why uv gave up.
type kind string

const (
	kindNetwork kind = "network" // worth another try with what is stored
	kindClash   kind = "clash"   // what was asked for cannot be had
	kindOther   kind = "other"
)

// buildFailure is a failed run of build.py, in words for a teacher.
type buildFailure struct {
	kind    kind
	core    bool // a package of the locked Lab set is part of the problem
	output  string
	notices notice.List
}

func (f *buildFailure) Error() string {
	return fmt.Sprintf("cannot build environment: %s", f.notices.Error())
}

// Unwrap lets notice.For find the notices.
func (f *buildFailure) Unwrap() error { return f.notices }

const unchanged = "the class keeps the packages it has; nothing was changed"

var (
	missingForm  = regexp.MustCompile(`(?:Because|because|and) ([A-Za-z0-9._-]+) was not found in the (package registry|cache)`)
	versionForm  = regexp.MustCompile(`there (?:is|are) no versions? of ([A-Za-z0-9._-]+?)(?:\[[^\]]*\])?([=<>!~]=?=?[^ ,]*)? `)
	wheelForm    = regexp.MustCompile(`([A-Za-z0-9._-]+?)(?:[=<>!~]=?=?[^ ]*)? (?:has|have) no (usable wheels|wheels with a matching [A-Za-z ]+ tag)`)
	pythonForm   = regexp.MustCompile(`Python version \([^)]*\) does not satisfy Python([<>=!~,.0-9]+) and ([A-Za-z0-9._-]+?)(?:[=<>!~]=?=?[^ ]*)? depends`)
	requireForm  = regexp.MustCompile(`([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?(?:\{[^}]*\})?(?:[=<>!~]=?|$|[ ,.])`)
	hashBadForm  = regexp.MustCompile("(?i)hash mismatch for `([^`]+)`")
	statusForm   = regexp.MustCompile(`HTTP status (?:client|server) error \((\d{3})[^)]*\)`)
	hostForm     = regexp.MustCompile(`https?://(?:[^/@\s]*@)?([^/\s` + "`" + `)]+)`)
	networkSigns = []string{"error sending request", "dns error", "tcp connect error", "operation timed out", "connection reset", "Failed to fetch", "error decoding response body", "request or response body error"}
	tlsSigns     = []string{"invalid peer certificate", "UnknownIssuer", "certificate verify failed", "self-signed certificate", "CaUsedAsEndEntity"}
)

// explain turns what uv wrote into notices. Sentences of uv 0.13 are in testdata/uv.
func explain(s Spec, exit int, output, index string) error {
	f := &buildFailure{kind: kindOther, output: output}
	text := strings.Join(strings.Fields(output), " ")
	has := func(signs ...string) bool {
		return slices.ContainsFunc(signs, func(x string) bool { return strings.Contains(text, x) })
	}
	switch {
	case has("No space left on device", "os error 28"):
		f.notices = notice.List{{
			Code: "environment-disk-full", What: "the disk is full: there is no room for the packages",
			Do: "remove files that are not needed any more from the box, then apply the folder again",
		}}
	case has(tlsSigns...):
		f.kind = kindNetwork
		f.notices = notice.List{{
			Code: "environment-certificate", What: fmt.Sprintf("something between the box and %s shows a certificate that the box does not know, as filters of schools do", host(text, index)),
			Do: "install the certificate of the school's filter on the box, or use a connection without one, then apply the folder again",
		}}
	case hashBadForm.MatchString(output):
		f.notices = notice.List{s.hashBad(hashBadForm.FindStringSubmatch(output)[1])}
	case strings.Contains(text, "No solution found"):
		f.kind = kindClash
		f.clash(s, text)
	case statusForm.MatchString(text):
		f.kind = kindNetwork
		f.notices = notice.List{{
			Code: "environment-index", What: fmt.Sprintf("%s refused to give a package (status %s)", host(text, index), statusForm.FindStringSubmatch(text)[1]),
			Do: "wait a few minutes and apply the folder again; if it happens again, a filter or proxy of the network may block it",
		}}
	case has(networkSigns...):
		f.kind = kindNetwork
		f.notices = notice.List{{
			Code: "environment-network", What: fmt.Sprintf("%s cannot be reached, and not everything that was asked for is stored on this box", host(text, index)),
			Do: "connect the box to the internet, then apply the folder again",
		}}
	default:
		f.notices = notice.List{{
			Code: "environment-failed", What: "the packages could not be made ready: " + lastError(output, exit),
			Do: "take out the line of requirements.txt that was added last, then apply the folder again",
		}}
	}
	for i := range f.notices {
		n := &f.notices[i]
		n.Severity = notice.SeverityError
		if n.Means == "" {
			n.Means = unchanged
		}
	}
	return f
}

// at puts the file and line that ask for a package on a notice.
func (s Spec) at(name string, n notice.Notice) notice.Notice {
	if r, ok := s.line(normalise(name)); ok {
		n.File, n.Line = r.File, r.Line
	}
	return n
}

// clash explains "No solution found". The reason that is nearest to a typing error wins.
func (f *buildFailure) clash(s Spec, text string) {
	core := coreNames(s)
	for _, m := range missingForm.FindAllStringSubmatch(text, -1) {
		n := s.at(m[1], notice.Notice{Code: "environment-no-such-package", What: fmt.Sprintf("there is no package called %s", m[1]), Do: "look at how the name is spelt, and correct that line"})
		if m[2] == "cache" {
			n.Code, n.What, n.Do = "environment-not-stored", fmt.Sprintf("the package %s is not stored on this box, and there is no internet", m[1]), "connect the box to the internet, then apply the folder again"
		} else if near := nearest(normalise(m[1]), core); near != "" {
			n.Do = fmt.Sprintf("look at how the name is spelt (did you mean %s), and correct that line", near)
		}
		f.notices = append(f.notices, n)
	}
	if f.notices != nil {
		return
	}
	if m := pythonForm.FindStringSubmatch(text); m != nil {
		f.notices = notice.List{s.at(m[2], notice.Notice{Code: "environment-python-version", What: fmt.Sprintf("%s needs Python%s, and the class has another version of Python", m[2], m[1]), Do: "leave out the version number on that line, so that a version for this Python is taken"})}
		return
	}
	if m := wheelForm.FindStringSubmatch(text); m != nil {
		n := notice.Notice{Code: "environment-no-wheel", What: fmt.Sprintf("%s is only published as source code, or not for this kind of computer and this Python, in the version asked for", m[1]), Do: "name another version of it, leave out the version number, or put a finished file (.whl) of it into the folder and name it on that line as ./FILE.whl"}
		if !s.AllowBuild {
			n.Do += "; who trusts its author can have it built on this machine: sdists: allow in conjured.yaml"
		}
		f.notices = notice.List{s.at(m[1], n)}
		return
	}
	if m := versionForm.FindStringSubmatch(text + " "); m != nil {
		n := notice.Notice{Code: "environment-no-such-version", What: fmt.Sprintf("there is no version %s of the package %s", strings.TrimLeft(m[2], "="), m[1]), Do: "leave out the version number on that line, or name one that exists"}
		f.notices = notice.List{s.at(m[1], n)}
		_, f.core = core[normalise(m[1])]
		return
	}
	f.conflict(s, text, core)
}

// conflict explains that lines do not go together: with each other, or with the Lab set.
func (f *buildFailure) conflict(s Spec, text string, core map[string]string) {
	var asked []Requirement
	var others []string
	seen := map[string]bool{}
	for _, m := range requireForm.FindAllStringSubmatch(text, -1) {
		name := normalise(strings.TrimRight(m[1], "."))
		if seen[name] {
			continue
		}
		seen[name] = true
		if r, ok := s.line(name); ok {
			asked = append(asked, r)
		}
		if v, ok := core[name]; ok && strings.Contains(text, name+"=="+v) {
			others = append(others, name+" "+v)
			f.core = true
		}
	}
	n := notice.Notice{Code: "environment-conflict", Do: "leave out the version numbers on these lines, or take one of the lines out"}
	var lines []string
	for _, r := range asked {
		lines = append(lines, fmt.Sprintf("%s (line %d of %s)", r.Spec, r.Line, r.File))
	}
	switch {
	case len(asked) == 0:
		n.What = "some of the packages asked for do not go together: " + short(text)
	case len(others) > 0:
		n.File, n.Line = asked[0].File, asked[0].Line
		n.What = fmt.Sprintf("%s does not go together with %s, which JupyterLab in the class image needs", strings.Join(lines, " and "), strings.Join(others, ", "))
		n.Do = "leave out the version number on that line"
	case len(asked) == 1:
		n.File, n.Line = asked[0].File, asked[0].Line
		n.What = fmt.Sprintf("%s needs packages that do not go together: %s", lines[0], short(text))
		n.Do = "name another version of it, or leave out the version number"
	default:
		n.File, n.Line = asked[0].File, asked[0].Line
		n.What = strings.Join(lines, " and ") + " do not go together"
	}
	f.notices = notice.List{n}
}

// coreNames gives the version of each package of the locked Lab set.
func coreNames(s Spec) map[string]string {
	out := map[string]string{}
	pkgs, err := parseLock(s.Core)
	if err != nil {
		return out
	}
	for _, p := range pkgs {
		out[p.Name] = p.Version
	}
	return out
}

func host(text, index string) string {
	for _, s := range []string{text, index} {
		if m := hostForm.FindStringSubmatch(s); m != nil {
			return m[1]
		}
	}
	return "the package index"
}

func pinName(pin string) string {
	name, _, _ := strings.Cut(pin, "==")
	name, _, _ = strings.Cut(name, " ")
	return name
}

// short is uv's reason, cut to a length that a person reads.
func short(text string) string {
	if _, after, ok := strings.Cut(text, "cause: "); ok {
		text = after
	}
	text, _, _ = strings.Cut(text, " hint:")
	if r := []rune(text); len(r) > 300 {
		return string(r[:300]) + " ..."
	}
	return text
}

// lastError is the line that begins with error, else the last one.
func lastError(output string, exit int) string {
	last := ""
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "error: "); ok {
			return short(rest)
		}
		if line != "" {
			last = line
		}
	}
	if last == "" {
		return fmt.Sprintf("uv ended with %d and said nothing", exit)
	}
	return short(last)
}

// wellKnown is what lessons ask for most; used to guess what a misspelt name meant.
const wellKnown = "numpy pandas matplotlib scipy scikit-learn seaborn sympy plotly bokeh altair requests beautifulsoup4 pillow opencv-python networkx " +
	"statsmodels ipywidgets openpyxl nltk spacy geopandas folium shapely xarray numba polars pytest black flask django sqlalchemy jupytext nbgitpuller otter-grader rise torch tensorflow"

// nearest is the known name at an edit distance of at most 2 from name, or "".
func nearest(name string, core map[string]string) string {
	best, found := 3, ""
	known := strings.Fields(wellKnown)
	for n := range core {
		known = append(known, n)
	}
	slices.Sort(known)
	for _, k := range known {
		if d := distance(name, k); d < best && d*3 <= len(name) {
			best, found = d, k
		}
	}
	return found
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
