package environments

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// condaMark begins the lines of conda's packages in a manifest. To whoever reads it as a
// requirements file it is no package.
const condaMark = "@conda "

var condaForm = regexp.MustCompile(`^@conda (https?://[^\s#]+)#sha256:([0-9a-f]{64})(?: size=([0-9]{1,15}))?$`)

// condaLine is a package of conda as a line of a manifest, with its end.
func condaLine(p Package) string {
	line := condaMark + p.URL + "#" + strings.Join(p.Hashes, ",")
	if p.Size > 0 {
		line += fmt.Sprintf(" size=%d", p.Size)
	}
	return line + "\n"
}

// cutConda takes the lines of conda's packages off the beginning of a manifest's body.
func cutConda(text string) (out []Package, rest string, err error) {
	for strings.HasPrefix(text, condaMark) {
		line, after, _ := strings.Cut(text, "\n")
		p, err := parseCondaLine(line)
		if err != nil {
			return nil, "", err
		}
		out, text = append(out, p), after
	}
	return out, text, nil
}

func parseCondaLine(line string) (Package, error) {
	m := condaForm.FindStringSubmatch(line)
	if m == nil {
		return Package{}, fmt.Errorf("cannot read manifest: %.120q is no package of conda", line)
	}
	p := Package{Kind: Conda, URL: m[1], Hashes: []string{"sha256:" + m[2]}}
	if m[3] != "" {
		size, err := strconv.ParseInt(m[3], 10, 64)
		if err != nil {
			return p, fmt.Errorf("cannot read manifest: %w", err)
		}
		p.Size = size
	}
	var ok bool
	if p.Name, p.Version, p.Build, ok = condaFile(p.URL); !ok {
		return p, fmt.Errorf("cannot read manifest: %.120q is no file of conda", p.URL)
	}
	return p, nil
}

// condaFile takes the name of a package's file apart: NAME-VERSION-BUILD.conda, or
// .tar.bz2 in the old form. A version and a build have no dash.
func condaFile(address string) (name, version, build string, ok bool) {
	u, err := url.Parse(address)
	if err != nil {
		return "", "", "", false
	}
	file := path.Base(u.Path)
	stem, ok1 := strings.CutSuffix(file, ".conda")
	stem, ok2 := strings.CutSuffix(stem, ".tar.bz2")
	i := strings.LastIndexByte(stem, '-')
	if ok1 == ok2 || i < 1 {
		return "", "", "", false
	}
	j := strings.LastIndexByte(stem[:i], '-')
	if j < 1 || j+1 == i || i+1 == len(stem) {
		return "", "", "", false
	}
	return stem[:j], stem[j+1 : i], stem[i+1:], true
}
