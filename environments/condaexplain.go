package environments

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/conjuring/conjured/notice"
)

// condaFailure is what conda.py says when it did not do what it was asked. See there.
type condaFailure struct {
	OK       bool                `json:"ok"`
	Kind     string              `json:"kind"`     // network, conflict, missing, spec, hash, disk or other
	Message  string              `json:"message"`  // the solver's, of several lines
	Names    []string            `json:"names"`    // specs as they were given, or packages' names; of network: channels that answer
	Channel  string              `json:"channel"`  // canonical address
	Missing  []string            `json:"missing"`  // addresses of archives
	Versions map[string][]string `json:"versions"` // by spec, newest first
	Near     map[string]string   `json:"near"`     // by spec, a name that may be meant
}

// explainConda turns the result of a run of conda.py that failed into an error with
// notices. A result that cannot be read is a failure as well.
func explainConda(s Spec, result []byte, exit int) error {
	var c condaFailure
	if err := json.Unmarshal(result, &c); err != nil || c.OK {
		c = condaFailure{Kind: "other", Message: fmt.Sprintf("rattler ended with %d and said nothing", exit)}
	}
	f := &buildFailure{kind: kindOther, output: c.Message, notices: c.notices(s)}
	switch c.Kind {
	case "network":
		f.kind = kindNetwork
	case "conflict", "missing", "spec":
		f.kind = kindClash
	}
	for i := range f.notices {
		f.notices[i].Severity = notice.SeverityError
		f.notices[i].Means = cmp.Or(f.notices[i].Means, unchanged)
	}
	return f
}

func (c condaFailure) notices(s Spec) notice.List {
	switch {
	case c.Kind == "missing" && len(c.Missing) > 0:
		return c.withdrawn(s)
	case c.Kind == "missing" && len(c.Names) > 0:
		return c.absent(s)
	case c.Kind == "missing":
		return notice.List{{
			Code: "environment-no-such-channel", File: s.condaFile(), Line: s.channelLine(c.Channel),
			What: fmt.Sprintf("there is no channel called %s", ChannelName(c.Channel)),
			Do:   "look at how the channel is spelt; most packages are in conda-forge",
		}}
	case c.Kind == "conflict" && len(c.Names) > 0:
		return notice.List{c.conflict(s)}
	case c.Kind == "spec" && len(c.Names) > 0:
		return c.unread(s)
	case c.Kind == "network":
		return notice.List{c.network(s)}
	case c.Kind == "hash":
		return c.each(s, notice.Notice{
			Code: "environment-hash", What: "the file that was downloaded for %s is not the one that was chosen",
			Do: "try again with another connection; if it happens again, name another version on that line",
		})
	case c.Kind == "disk":
		return notice.List{{
			Code: "environment-disk-full", What: "the disk is full: there is no room for the packages",
			Do: "remove files that are not needed any more from the box, then apply the folder again",
		}}
	case len(c.Names) > 0:
		return c.each(s, notice.Notice{
			Code: "environment-unfit", What: "the package %s is not made as packages have to be, and is not used: " + short(c.Message),
			Do: "name another version of it, or leave it out",
		})
	}
	return notice.List{{
		Code: "environment-failed", File: s.condaFile(), What: "the packages could not be made ready: " + short(oneLine(c.Message)),
		Do: "take out the line that was added last, then apply the folder again",
	}}
}

// absent explains packages and versions that no channel has.
func (c condaFailure) absent(s Spec) notice.List {
	channels := s.channelNames()
	var out notice.List
	for _, spec := range c.Names {
		name := specName(spec)
		n := notice.Notice{
			Code: "environment-no-such-package", What: fmt.Sprintf("there is no package called %s in %s", name, channels),
			Do: "look at how the name is spelt; a package that only pip has goes below pip:",
		}
		if near := cmp.Or(c.Near[spec], nearest(name, nil)); near != "" && near != name {
			n.Do = fmt.Sprintf("look at how the name is spelt (did you mean %s), and correct that line", near)
		}
		if name == "python" {
			n.Code, n.What = "environment-no-such-python", fmt.Sprintf("there is no Python for this kind of computer in %s", channels)
			n.Do = "add a channel that has one, such as conda-forge, to the list of channels"
		}
		if have, ok := c.Versions[spec]; ok {
			verb := "is"
			if len(have) > 1 {
				verb = "are"
			}
			n.What = fmt.Sprintf("%s asks for a version that %s does not have; there %s %s", spec, channels, verb, versionList(have))
			n.Do = "name one of these versions, or leave out the version number"
			if name != "python" {
				n.Code = "environment-no-such-version"
			}
		}
		out = append(out, s.atConda(spec, n))
	}
	return out
}

// withdrawn explains archives that a channel had when they were chosen.
func (c condaFailure) withdrawn(s Spec) notice.List {
	return c.each(s, notice.Notice{
		Code: "environment-withdrawn", What: "the file of %s that was chosen is no longer in its channel",
		Do: "ask for the newest packages of this environment (conjured env update), so that another one is chosen",
	})
}

func (c condaFailure) unread(s Spec) notice.List {
	return c.each(s, notice.Notice{
		Code: "environment-line", What: "%q is not a package and a version",
		Do: "write the name of one package on the line, such as numpy or numpy=2",
	})
}

// each is one notice for every name, at the line that asks for it.
func (c condaFailure) each(s Spec, n notice.Notice) notice.List {
	if len(c.Names) == 0 {
		n.What = strings.NewReplacer("%s", "a package", "%q", "a line").Replace(n.What)
		return notice.List{n}
	}
	var out notice.List
	for _, name := range c.Names {
		one := n
		quoted := fmt.Sprintf("%.80q", name)
		one.What = strings.NewReplacer("%s", name, "%q", quoted).Replace(n.What)
		out = append(out, s.atConda(name, one))
	}
	return out
}

// conflict names every line that is part of the problem, and the solver's reason.
func (c condaFailure) conflict(s Spec) notice.Notice {
	n := notice.Notice{Code: "environment-conflict"}
	var lines []string
	for _, spec := range c.Names {
		at := s.atConda(spec, notice.Notice{})
		lines = append(lines, spec+where(at))
		if n.File == "" {
			n.File, n.Line = at.File, at.Line
		}
	}
	n.What = strings.Join(lines, " and ") + " do not go together" + reason(c.Message)
	n.Do = "leave out the version numbers on these lines, or take one of the lines out"
	if len(lines) == 1 {
		n.What = fmt.Sprintf("%s cannot be had on this box: %s", lines[0], short(oneLine(c.Message)))
		n.Do = "name another version of it, or leave out the version number"
	}
	return n
}

// needsForm finds in the solver's tree a package that asks for something.
var needsForm = regexp.MustCompile(`─ ([^\n]+?) would require\n[^\n]*?─ ([^\n]+)`)

// reason is the innermost part of the solver's tree, or nothing.
func reason(tree string) string {
	all := needsForm.FindAllStringSubmatch(tree, -1)
	if len(all) == 0 {
		return ""
	}
	m := all[len(all)-1]
	needs, _, _ := strings.Cut(m[2], ", which")
	needs, _, _ = strings.Cut(needs, ", for which")
	return fmt.Sprintf(": %s needs %s", m[1], needs)
}

func (c condaFailure) network(s Spec) notice.Notice {
	text := strings.ToLower(c.Message)
	channel := cmp.Or(ChannelName(c.Channel), s.channelNames())
	n := notice.Notice{Code: "environment-network", What: fmt.Sprintf("the channel %s cannot be reached, and not everything that was asked for is stored on this box", channel), Do: "connect the box to the internet, then apply the folder again"}
	if c.Channel != "" && len(c.Names) > 0 {
		var others []string
		for _, name := range c.Names {
			others = append(others, ChannelName(name))
		}
		n.What += fmt.Sprintf("; %s can be reached", joined(others))
		n.Do = "wait a few minutes and apply the folder again, or take this channel out of the list"
	}
	switch {
	case strings.Contains(text, "certificate"):
		n.Code, n.What = "environment-certificate", fmt.Sprintf("something between the box and the channel %s shows a certificate that the box does not know, as filters of schools do", channel)
		n.Do = "install the certificate of the school's filter on the box, or use a connection without one, then apply the folder again"
	case statusText.MatchString(text):
		n.Code, n.What = "environment-index", fmt.Sprintf("the channel %s refused to give its packages (status %s)", channel, statusText.FindStringSubmatch(text)[1])
		n.Do = "wait a few minutes and apply the folder again; if it happens again, a filter or proxy of the network may block it"
	case strings.HasPrefix(text, "not stored"):
		n.Code, n.What = "environment-not-stored", fmt.Sprintf("%s not stored on this box, and there is no internet", counted(c.Names))
	case strings.Contains(text, "failed to decode") || strings.Contains(text, "failed to parse"):
		n.Code, n.What = "environment-network", fmt.Sprintf("instead of the channel %s something else answered, as a page to log in to a network does", channel)
		n.Do = "log the box in to the network, or use another connection, then apply the folder again"
	}
	return n
}

var statusText = regexp.MustCompile(`http status (?:client error |server error )?\(?(\d{3})`)

// atConda puts the file and line that ask for a package of conda on a notice. A Python
// that no line names is the one of runtime.txt.
func (s Spec) atConda(spec string, n notice.Notice) notice.Notice {
	i := slices.IndexFunc(s.Conda, func(r CondaRequirement) bool { return r.Spec == spec })
	if i < 0 {
		i = slices.IndexFunc(s.Conda, func(r CondaRequirement) bool { return r.Name() == specName(spec) })
	}
	switch {
	case i >= 0:
		n.File, n.Line = s.Conda[i].File, s.Conda[i].Line
	case specName(spec) == "python" && s.Python != "":
		n.File = "runtime.txt"
	}
	return n
}

func specName(spec string) string { return CondaRequirement{Spec: spec}.Name() }

// channelLine is where a channel stands in the list of the file; 0 when that is not known.
func (s Spec) channelLine(channel string) int {
	for i, line := range s.ChannelLines {
		if i < len(s.Channels) && ChannelName(s.Channels[i]) == ChannelName(channel) {
			return line
		}
	}
	return 0
}

// channelNames is the channels of s, in words.
func (s Spec) channelNames() string {
	var out []string
	for _, c := range s.Channels {
		out = append(out, ChannelName(c))
	}
	return cmp.Or(joined(out), "the channels")
}

// where is " (line 4 of environment.yml)", or nothing for a notice without a file.
func where(n notice.Notice) string {
	switch {
	case n.File == "":
		return ""
	case n.Line == 0:
		return fmt.Sprintf(" (%s)", n.File)
	}
	return fmt.Sprintf(" (line %d of %s)", n.Line, n.File)
}

// versionList names versions, newest first, as many as a person reads.
func versionList(have []string) string {
	const most = 6
	if len(have) <= most {
		return joined(have)
	}
	return fmt.Sprintf("%s, and %d older ones", strings.Join(have[:most], ", "), len(have)-most)
}

// counted names packages, and says is or are.
func counted(names []string) string {
	const most = 5
	switch {
	case len(names) == 1:
		return names[0] + " is"
	case len(names) > most:
		return fmt.Sprintf("%s and %d more are", strings.Join(names[:most], ", "), len(names)-most)
	}
	return cmp.Or(joined(names), "some packages") + " are"
}

// joined is "a, b and c".
func joined(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// oneLine is a tree of the solver in one line.
func oneLine(text string) string {
	text = strings.NewReplacer("└─", " ", "├─", " ", "│", " ").Replace(text)
	text = strings.TrimPrefix(text, "Cannot solve the request because of: ")
	return strings.Join(strings.Fields(text), " ")
}
