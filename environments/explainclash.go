package environments

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/conjuring/conjured/notice"
)

// How uv says that a line gives another file for what is there already, and that what
// is there is all there is.
var (
	urlsForm = regexp.MustCompile("conflicting URLs for package `([^`]+)`")
	onlyForm = regexp.MustCompile(`only ([A-Za-z0-9._-]+?)(?:\[[^\]]*\])?(?:[=<>!~]=?=?[^ ]*)? (?:is|are) available`)
)

// explainReplaced explains that uv would have to replace what conda brings, which is
// never done: then half of conda's packages would look for the other one. It gives nil
// when what uv wrote has another reason.
func explainReplaced(s Spec, output string, have map[string]provided) error {
	text := strings.Join(strings.Fields(output), " ")
	name := ""
	for _, form := range []*regexp.Regexp{urlsForm, onlyForm, versionForm} {
		for _, m := range form.FindAllStringSubmatch(text+" ", -1) {
			if _, ok := have[normalise(m[1])]; ok && name == "" {
				name = normalise(m[1])
			}
		}
	}
	if name == "" {
		return nil
	}
	_, mine := s.line(name)
	n := notice.Notice{
		Code: "environment-pip-over-conda", Severity: notice.SeverityError, Means: unchanged,
		Do: "take the version number out of one of the lines, or ask for both in the file of conda",
	}
	var askers []string
	for _, r := range s.Requirements {
		named := regexp.MustCompile(`(?i)(^|[^a-z0-9._-])` + regexp.QuoteMeta(r.Name) + `($|[^a-z0-9_-])`).MatchString(text)
		if mine && r.Name != name || !mine && !named {
			continue
		}
		if askers == nil {
			n.File, n.Line = r.File, r.Line
		}
		askers = append(askers, fmt.Sprintf("%s (line %d of %s)", r.Spec, r.Line, r.File))
	}
	by := "conda brings for the others"
	i := slices.IndexFunc(s.Conda, func(c CondaRequirement) bool { return c.Name() == have[name].Package || normalise(c.Name()) == name })
	if i >= 0 {
		by = fmt.Sprintf("line %d of %s brings", s.Conda[i].Line, s.Conda[i].File)
	}
	what := "what JupyterLab or a kernel needs"
	if askers != nil {
		what = strings.Join(askers, " and ")
	}
	n.What = fmt.Sprintf("%s does not go together with %s %s, which %s", what, name, have[name].Version, by)
	core := coreNames(s)
	inCore := slices.ContainsFunc(slices.Collect(maps.Keys(core)), func(c string) bool { return strings.Contains(text, c+"=="+core[c]) })
	return &buildFailure{kind: kindClash, core: inCore && askers == nil, output: output, notices: notice.List{n}}
}
