package custom

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// conda env export writes down every package of a teacher's laptop, with the build of
// that laptop's system and channel. This file makes such a list useful on a box that
// runs Linux and takes its packages from conda-forge.

// elsewhere is the beginning of a path that no Linux machine of a teacher's has.
var elsewhere = regexp.MustCompile(`^(?:[A-Za-z]:[\\/]|/Users/|/opt/homebrew/)`)

// looseBuilds tells why the builds in an environment file cannot be had; "" if they may
// be. A version without its build is found all the same.
func looseBuilds(root *yaml.Node) string {
	if elsewhere.MatchString(text(root, "prefix")) {
		return "builds for another operating system"
	}
	channels := value(root, "channels")
	if channels != nil && slices.ContainsFunc(channels.Content, func(c *yaml.Node) bool { return anacondaName(c.Value) }) {
		return "builds of Anaconda's channels"
	}
	return ""
}

// withoutBuild is c for any build of its version.
func (c condaSpec) withoutBuild() condaSpec {
	if m := condaBuilt.FindStringSubmatch(c.version); m != nil {
		c.version = m[1]
	} else if f := strings.Fields(c.version); len(f) == 2 {
		c.version = f[0]
		if !strings.ContainsAny(f[0][:1], "=<>!~") {
			c.version = " " + f[0]
		}
	}
	return c
}

// saysLoose is the one notice about all builds of a file that were left out.
func (a *asking) saysLoose(file, why string) {
	if a.loosened == 0 {
		return
	}
	a.warn("environment-builds", file, a.loosened, fmt.Sprintf("%s names %s, as conda env export does", printable(file), why),
		"the same versions are looked for without their builds; it may be that not all of them can be had together", "list only the packages that the lesson uses, or write the file with: conda env export --from-history")
	a.loosened = 0
}

// otherSystem tells which packages, by their name in conda or as PEP 503 has it, exist
// for Windows or macOS alone. They come with lists of what a laptop has.
func otherSystem(name string) bool {
	name = normalName(name)
	return strings.HasPrefix(name, "m2w64-") || strings.HasPrefix(name, "msys2-") || strings.HasPrefix(name, "pyobjc") || slices.Contains([]string{
		"vc", "vc14-runtime", "vs2015-runtime", "ucrt", "icc-rt", "pywin32", "pypiwin32", "pywinpty", "winpty", "wincertstore", "win-inet-pton", "win-unicode-console", "windows-curses", "console-shortcut", "menuinst",
	}, name)
}

// leftOut says that a package of another system is not asked for.
func (r *reader) leftOut(file string, line int, name string) {
	r.warn("environment-other-system", file, line, fmt.Sprintf("%s line %d: %s is for Windows or macOS only", printable(file), line, short(name)),
		"it is left out; this box runs Linux", "remove the line")
}
