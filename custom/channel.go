package custom

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// CondaForge is the channel that stands for defaults, and for no channel at all.
const CondaForge = "conda-forge"

// maxChannel is the longest name or address of a channel, in bytes.
const maxChannel = 300

// condaOrg is where conda finds the channels that are named without an address.
const condaOrg = "https://conda.anaconda.org/"

var (
	channelName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*){0,4}$`)
	channelURL  = regexp.MustCompile(`^https://[a-z0-9][a-z0-9.-]*(?::\d{1,5})?(?:/[A-Za-z0-9._~-]+)*$`)
)

// anaconda tells whether a channel, by name or by address without scheme, is one of
// the company's own. Their terms ask larger schools for money and forbid to pass the
// packages on, which a box that keeps them for its class does.
func anaconda(name string) bool {
	name = strings.ToLower(name)
	host, rest, _ := strings.Cut(name, "/")
	switch host {
	case "repo.anaconda.com", "repo.continuum.io", "repo.anaconda.cloud", "pkgs":
		return true
	case "conda.anaconda.org":
		host, _, _ = strings.Cut(rest, "/")
	}
	return slices.Contains([]string{"defaults", "main", "anaconda", "r", "free", "pro", "msys2"}, host)
}

// anacondaName tells which names stand for the company's channels without saying so;
// conda-forge takes their place.
func anacondaName(name string) bool {
	return slices.Contains([]string{"defaults", "main", "anaconda", "r"}, name)
}

// channels reads the list of channels of an environment file.
func (a *asking) channels(file string, n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		if n.Tag != "!!null" {
			a.error("environment-shape", file, n.Line, fmt.Sprintf("%s line %d: channels should be a list", file, n.Line), "write each channel on its own line, beginning with a dash")
		}
		return
	}
	for _, c := range n.Content {
		if c.Kind != yaml.ScalarNode || c.Value == "" {
			a.error("environment-shape", file, c.Line, fmt.Sprintf("%s line %d: a channel should be one word", file, c.Line), "write it as: - conda-forge")
			continue
		}
		if c.Value == "nodefaults" { // asks for what is done anyway
			continue
		}
		if name, ok := a.channel(file, c.Line, c.Value); ok {
			a.useChannel(file, c.Line, name)
		}
	}
}

func (a *asking) useChannel(file string, line int, name string) {
	if slices.Contains(a.spec.Channels, name) {
		return
	}
	if len(a.spec.Channels) == MaxChannels {
		a.error("environment-channels", file, line, fmt.Sprintf("%s line %d: more than %d channels are asked for", printable(file), line, MaxChannels), "keep only those that are needed")
		return
	}
	if len(a.files) > 0 && a.files[0] != file { // where a notice looks for it
		line = 0
	}
	a.spec.Channels, a.spec.ChannelLines = append(a.spec.Channels, name), append(a.spec.ChannelLines, line)
}

// channel is a channel in one spelling: a name, or an address with https.
func (a *asking) channel(file string, line int, text string) (string, bool) {
	where := fmt.Sprintf("%s line %d", printable(file), line)
	if anacondaName(text) {
		a.warn("environment-defaults", file, line, fmt.Sprintf("%s asks for the channel %s, whose licence costs money for many schools", where, text),
			"conda-forge, which is free for everybody, takes its place", "write conda-forge instead")
		return CondaForge, true
	}
	name, ok := text, channelName.MatchString(text)
	if reqScheme.MatchString(text) || strings.Contains(text, "@") {
		if name, ok = a.channelAddress(file, line, text); !ok {
			return "", false
		}
	}
	switch {
	case !ok || len(text) > maxChannel:
		a.error("environment-channel", file, line, fmt.Sprintf("%s: %q is no channel", where, short(text)), "write a channel's name, such as conda-forge")
		return "", false
	case anaconda(strings.TrimPrefix(name, "https://")) && !a.opt.Policy.AnacondaChannels:
		a.error("environment-anaconda", file, line, fmt.Sprintf("%s names %s, whose terms cost money for many schools and forbid to pass its packages on", where, short(text)),
			"write conda-forge instead, which has nearly all of them; a school with a licence says so in /etc/conjured/conjured.yaml (anaconda_licence: true)")
		return "", false
	}
	return name, true
}

// channelAddress reads a channel that was written as an address.
func (a *asking) channelAddress(file string, line int, text string) (string, bool) {
	where := fmt.Sprintf("%s line %d", printable(file), line)
	u, err := url.Parse(text)
	switch {
	case err == nil && u.User != nil, strings.Contains(text, "@"), strings.Contains(text, "/t/"):
		// An address with /t/TOKEN/ is how conda writes a token.
		a.error("environment-credentials", file, line, where+": the channel's address holds a user name or a password", "remove them; a stick is no place for a password")
		return "", false
	case err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || strings.Contains(text, "/.."):
		a.error("environment-channel", file, line, fmt.Sprintf("%s: %q is no address of a channel", where, short(text)), "write a channel's name, such as conda-forge")
		return "", false
	case u.Scheme != "https":
		a.error("environment-channel", file, line, fmt.Sprintf("%s: %q does not use https", where, short(text)), "write https://, or a channel's name, such as conda-forge")
		return "", false
	}
	text = "https://" + strings.ToLower(u.Host) + strings.TrimRight(u.EscapedPath(), "/")
	if name, ok := strings.CutPrefix(text, condaOrg); ok && channelName.MatchString(name) && !anaconda(name) {
		return name, true
	}
	if len(text) > maxChannel || !channelURL.MatchString(text) {
		a.error("environment-channel", file, line, fmt.Sprintf("%s: %q is no address of a channel", where, short(text)), "write a channel's name, such as conda-forge")
		return "", false
	}
	return text, true
}
