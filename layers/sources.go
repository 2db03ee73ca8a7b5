package layers

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// sources is where this machine gets Debian from. Formats: sources.list(5).
type sources struct {
	debian   string // of main suites
	security string // of security updates
}

// readSources finds the mirrors in an apt directory (/etc/apt). A school's own mirror
// is used for the class too; without any the public ones are.
func readSources(dir string) sources {
	s := sources{}
	lists, _ := filepath.Glob(filepath.Join(dir, "sources.list.d", "*")) // the pattern is constant
	for _, path := range append([]string{filepath.Join(dir, "sources.list")}, lists...) {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			s.take(strings.TrimSpace(line))
		}
	}
	if s.debian == "" {
		s.debian = "http://deb.debian.org/debian"
	}
	if s.security == "" {
		s.security = "http://deb.debian.org/debian-security"
	}
	return s
}

// take reads one line of either format: "deb [options] URI suite..." or "URIs: URI".
func (s *sources) take(line string) {
	if i := strings.IndexByte(line, '['); strings.HasPrefix(line, "deb ") && i > 0 {
		_, rest, _ := strings.Cut(line[i:], "]")
		line = "deb " + rest
	}
	fields := strings.Fields(line)
	if len(fields) < 2 || (fields[0] != "deb" && !strings.EqualFold(fields[0], "URIs:")) {
		return
	}
	uri := strings.TrimSuffix(fields[1], "/")
	if !strings.HasPrefix(uri, "http://") && !strings.HasPrefix(uri, "https://") {
		return // a CD, or a folder that the image can't see
	}
	switch {
	case strings.HasSuffix(uri, "/debian") && s.debian == "":
		s.debian = uri
	case strings.HasSuffix(uri, "/debian-security") && s.security == "":
		s.security = uri
	}
}

// dress gives a new root file system its package sources, and the settings that
// Debian's own images have: no services are started in a build, and no manuals or
// forced writes slow it down.
func (s sources) dress(root, suite string) error {
	const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
	deb := func(uri, suites string) string {
		return "Types: deb\nURIs: " + uri + "\nSuites: " + suites + "\nComponents: main\nSigned-By: " + keyring + "\n"
	}
	files := map[string]string{
		"etc/apt/sources.list.d/debian.sources": deb(s.debian, suite+" "+suite+"-updates") + "\n" + deb(s.security, suite+"-security"),
		"etc/apt/apt.conf.d/conjured":           "Acquire::Languages \"none\";\n",
		"etc/dpkg/dpkg.cfg.d/conjured": "force-unsafe-io\npath-exclude=/usr/share/doc/*\npath-include=/usr/share/doc/*/copyright\n" +
			"path-exclude=/usr/share/man/*\npath-exclude=/usr/share/info/*\n",
		"usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n",
	}
	for name, text := range files {
		if err := writeFile(root, name, []byte(text)); err != nil {
			return err
		}
	}
	err := os.Remove(filepath.Join(root, "etc/apt/sources.list"))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.Chmod(filepath.Join(root, "usr/sbin/policy-rc.d"), 0o755))
}
