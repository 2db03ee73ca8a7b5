package environments

import "strings"

// condaOrg is where conda finds the channels that have no address of their own, and
// anacondaRepo where those of the company are, whose names begin with pkgs/. Source:
// conda's `conda.base.constants`, DEFAULT_CHANNEL_ALIAS and DEFAULT_CHANNELS.
const (
	condaOrg     = "https://conda.anaconda.org/"
	anacondaRepo = "https://repo.anaconda.com/"
)

// ChannelURL is the canonical address of a channel, without a slash at its end: a name
// such as conda-forge is below https://conda.anaconda.org, an address stays what it is.
// Whatever mirror a package comes by, this is what locks and manifests say. Whether a
// channel may be used is not asked here.
func ChannelURL(channel string) string {
	if channel == "defaults" {
		channel = "pkgs/main"
	}
	switch {
	case strings.Contains(channel, "://"):
	case strings.HasPrefix(channel, "pkgs/"):
		channel = anacondaRepo + channel
	default:
		channel = condaOrg + channel
	}
	return strings.TrimRight(channel, "/")
}

// ChannelName is a channel as people write it: the name, or the address of one that has
// its own.
func ChannelName(address string) string {
	address = strings.TrimPrefix(address, condaOrg)
	if strings.HasPrefix(address, anacondaRepo+"pkgs/") {
		address = strings.TrimPrefix(address, anacondaRepo)
	}
	return strings.TrimRight(address, "/")
}

// subdirs are conda's names for the platforms that a manifest names as Python does.
// Source: conda's `conda.base.constants.KNOWN_SUBDIRS`, sysconfig.get_platform.
const (
	intel64, condaIntel64 = "linux-x86_64", "linux-64"
	arm64, condaArm64     = "linux-aarch64", "linux-aarch64"
)

// condaSubdir is conda's name of a manifest's platform; an unknown one stays as it is.
func condaSubdir(platform string) string {
	if platform == intel64 {
		return condaIntel64
	}
	return platform
}

// fromSubdir is the platform of a manifest that conda's name stands for.
func fromSubdir(subdir string) string {
	switch subdir {
	case condaIntel64:
		return intel64
	case condaArm64:
		return arm64
	}
	return subdir
}

// channelOf takes an archive's canonical address apart: its channel's address, and the
// subdir it is in.
func channelOf(url string) (channel, subdir string) {
	i := strings.LastIndexByte(url, '/')
	if i < 0 {
		return "", ""
	}
	j := strings.LastIndexByte(url[:i], '/')
	if j < 0 {
		return "", url[:i]
	}
	return url[:j], url[j+1 : i]
}
