package custom

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"runtime"
	"strings"

	"go.yaml.in/yaml/v4"
)

// condaArchive is the name of a package's file: name-version-build.
var condaArchive = regexp.MustCompile(`^(.+)-([^-]+)-([^-]+)\.(?:conda|tar\.bz2)$`)

// condaList is an exact list of conda's packages while it is read.
type condaList struct {
	*asking

	rel   string
	count int
	old   bool // an md5 was seen
}

// subdir is what conda calls this machine.
func subdir() string {
	if runtime.GOARCH == "arm64" {
		return "linux-aarch64"
	}
	return "linux-64"
}

// archive asks for exactly the package at an address. Of its checksums the first counts.
func (l *condaList) archive(line int, address string, sums ...string) {
	u, err := url.Parse(address)
	var m []string
	if err == nil {
		m = condaArchive.FindStringSubmatch(path.Base(u.Path))
	}
	if m == nil {
		l.error("lock-line", l.rel, line, fmt.Sprintf("%s line %d names no package of conda", printable(l.rel), line), "make the file again with its tool, or remove it")
		return
	}
	dir := path.Dir(path.Dir(u.Path)) // without the subdir
	channel, ok := l.channel(l.rel, line, strings.TrimSuffix(u.Scheme+"://"+u.Host+dir, "/"))
	if u.User != nil {
		channel, ok = l.channel(l.rel, line, address)
	}
	if !ok {
		return
	}
	l.useChannel(l.rel, line, channel)
	before := len(l.spec.Conda)
	l.sum = l.best(line, m[1], sums)
	l.condaLine(l.rel, line, m[1]+"="+m[2]+"="+m[3])
	l.sum = ""
	l.count += len(l.spec.Conda) - before
}

// best is the first checksum of an archive: of two kinds they are of the same file.
func (l *condaList) best(line int, name string, sums []string) string {
	if h := l.listed(l.rel, line, name, sums[:min(1, len(sums))]...); h != nil {
		if strings.HasPrefix(h[0], "md5:") && !l.old {
			l.old = true
			l.info("lock-md5", l.rel, line, fmt.Sprintf("%s line %d: the checksum of %s is of an old kind (md5)", printable(l.rel), line, short(name)),
				"packages are compared with them; somebody who means harm can make two files with one md5", "make the list again with a current tool, which writes sha256")
		}
		return h[0]
	}
	return ""
}

// pypi asks for exactly one package of the index.
func (l *condaList) pypi(line int, name, version, address string, sums ...string) {
	if m := reqWheel.FindStringSubmatch(path.Base(address)); m != nil && name == "" {
		name, version = m[1], m[2]
	}
	if name == "" || version == "" || !strings.HasPrefix(address, "https://") {
		l.warn("lock-other", l.rel, line, fmt.Sprintf("%s line %d: a package comes from a folder and not from the index", printable(l.rel), line),
			"it is not installed", "put a wheel of it into the folder and name it in requirements.txt: ./NAME.whl")
		return
	}
	before := len(l.req.out.Items)
	l.req.pinned(l.rel, line, name+"=="+version, l.listed(l.rel, line, name, sums[:min(1, len(sums))]...), false)
	l.count += len(l.req.out.Items) - before
}

func (l *condaList) noPlatform(line int) {
	l.error("lock-platform", l.rel, line, fmt.Sprintf("%s lists no package for this kind of machine (%s)", printable(l.rel), subdir()), "make the file again with the platform "+subdir()+", or remove it")
}

// condaLock reads conda-lock.yml, version 1: https://conda.github.io/conda-lock/output/.
func (l *condaList) condaLock(root *yaml.Node) {
	packages := value(root, "package")
	if packages == nil || packages.Kind != yaml.SequenceNode {
		l.error("lock-shape", l.rel, root.Line, printable(l.rel)+" is no list of conda-lock", "make it again with conda-lock, or remove it")
		return
	}
	found := false
	for _, p := range packages.Content {
		if text(p, "platform") != subdir() {
			continue
		}
		found = true
		if c := text(p, "category"); c != "" && c != "main" {
			continue
		}
		if text(p, "manager") == "pip" {
			l.pypi(p.Line, text(p, "name"), text(p, "version"), text(p, "url"), sums(value(p, "hash"))...)
			continue
		}
		l.archive(p.Line, text(p, "url"), sums(value(p, "hash"))...)
	}
	if !found {
		l.noPlatform(packages.Line)
	}
}

// sums is the checksums that a mapping holds, the best first.
func sums(n *yaml.Node) []string {
	var out []string
	for _, kind := range []string{"sha256", "md5"} {
		if h := text(n, kind); h != "" {
			out = append(out, kind+":"+h)
		}
	}
	return out
}

// text is the word that a mapping holds at key, or "".
func text(n *yaml.Node, key string) string {
	if v := value(n, key); v != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}

// pixi reads pixi.lock, versions 4 to 6: https://pixi.sh/latest/workspace/lockfile/. Its
// environment "default" is taken.
func (l *condaList) pixi(root *yaml.Node) {
	env := value(value(root, "environments"), "default")
	here := value(value(env, "packages"), subdir())
	if env == nil || here == nil || here.Kind != yaml.SequenceNode {
		l.noPlatform(root.Line)
		return
	}
	known := map[string]*yaml.Node{} // details of a package of the index, by address
	if all := value(root, "packages"); all != nil && all.Kind == yaml.SequenceNode {
		for _, p := range all.Content {
			for _, key := range []string{"conda", "pypi", "url"} {
				if address := text(p, key); address != "" {
					known[address] = p
				}
			}
		}
	}
	for _, p := range here.Content {
		if address := text(p, "conda"); address != "" {
			l.archive(p.Line, address, sums(known[address])...)
			continue
		}
		address := text(p, "pypi")
		l.pypi(p.Line, text(known[address], "name"), text(known[address], "version"), address, sums(known[address])...)
	}
}
