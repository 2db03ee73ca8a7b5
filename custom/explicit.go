package custom

import (
	"net/url"
	"path"
	"regexp"
	"strings"
)

// explicitPip is how conda-lock notes a package of the index in an explicit list.
var explicitPip = regexp.MustCompile(`^# pip (\S+) @ (https://[^\s#]+)(?:#(\S+))?(?: --hash=(\S+))?$`)

// explicitLock is the name that conda-lock gives to an explicit list for this machine.
func explicitLock() string { return "conda-" + subdir() + ".lock" }

// explicit reads an explicit list: the address of each archive, and behind # its md5, or
// its sha256 with or without the word before it. Source of the format: "Building
// identical conda environments" in conda's manual.
func (l *condaList) explicit(data []byte) {
	line, marked := 0, false
	for text := range strings.SplitSeq(string(data), "\n") {
		line++
		text = strings.TrimSpace(text)
		pip := explicitPip.FindStringSubmatch(text)
		switch {
		case text == "@EXPLICIT":
			marked = true
		case pip != nil:
			l.pypi(line, "", "", pip[2], explicitSums(pip[3]+pip[4])...)
		case text == "" || strings.HasPrefix(text, "#"):
		case !marked:
			l.error("lock-shape", l.rel, line, printable(l.rel)+" is no explicit list of conda", "make it again with conda-lock, or remove it")
			return
		default:
			address, sum, _ := strings.Cut(text, "#")
			if !l.forHere(address) {
				l.noPlatform(line)
				return
			}
			l.archive(line, address, explicitSums(sum)...)
		}
	}
}

// explicitSums is a checksum with its kind, which the length of a bare one tells.
func explicitSums(sum string) []string {
	switch sum = strings.Replace(sum, "=", ":", 1); {
	case sum == "":
		return nil
	case strings.Contains(sum, ":"):
		return []string{sum}
	case len(sum) == sumDigits["md5"]:
		return []string{"md5:" + sum}
	}
	return []string{"sha256:" + sum}
}

// forHere tells whether an archive is for this kind of machine; an address that is none
// is for archive to refuse.
func (l *condaList) forHere(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return true
	}
	dir := path.Base(path.Dir(u.Path))
	return dir == "noarch" || dir == subdir() || !strings.Contains(dir, "-")
}
