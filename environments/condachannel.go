package environments

import "strings"

// condaOrg is where conda finds the channels that have no address of their own.
const condaOrg = "https://conda.anaconda.org/"

// ChannelURL is the canonical address of a channel, without a slash at its end: a name
// such as conda-forge is below https://conda.anaconda.org, an address stays what it is.
// Whatever mirror a package comes by, this is what locks and manifests say.
func ChannelURL(channel string) string {
	if !strings.Contains(channel, "://") {
		channel = condaOrg + channel
	}
	return strings.TrimRight(channel, "/")
}

// ChannelName is a channel as people write it: the name, or the address of one that has
// its own.
func ChannelName(address string) string {
	return strings.TrimRight(strings.TrimPrefix(address, condaOrg), "/")
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
