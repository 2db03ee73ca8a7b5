package custom

import (
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/pelletier/go-toml/v2"
)

// Files of packaging tools, in the order of precedence within their kind.
const (
	condaLockYML  = "conda-lock.yml"
	pixiLock      = "pixi.lock"
	uvLock        = "uv.lock"
	pylockTOML    = "pylock.toml"
	poetryLock    = "poetry.lock"
	pipfileLock   = "Pipfile.lock"
	pyprojectTOML = "pyproject.toml"
)

// packaging is the files of packaging tools that are followed.
func packaging() []string { return append(append(condaLocks(), pipLocks()...), pyprojectTOML) }

// condaLocks are exact lists of conda's packages; the first that is there counts.
func condaLocks() []string { return []string{condaLockYML, explicitLock(), pixiLock} }

// pipLocks are exact lists of the index's packages; the first that is there counts.
func pipLocks() []string { return []string{uvLock, pylockTOML, poetryLock, pipfileLock} }

// locked is the path of the first of some locks among the names of dir, or "".
func locked(dir string, names, locks []string) string {
	for _, l := range locks {
		if slices.Contains(names, l) {
			return path.Join(dir, l)
		}
	}
	return ""
}

// readPackaging reads what else lies in the folder itself for base.
func (r *reader) readPackaging() { r.asked[BaseEnvironment].packaging("", r.top) }

// packaging reads what the files of packaging tools in dir ask for. An exact list that
// one of them made counts instead of what the list was made from.
func (a *asking) packaging(dir string, names []string) {
	conda, pip := locked(dir, names, condaLocks()), locked(dir, names, pipLocks())
	for _, n := range packaging() {
		if rel := path.Join(dir, n); slices.Contains(names, n) && n != pyprojectTOML && rel != conda && rel != pip {
			one := conda
			if slices.Contains(pipLocks(), n) {
				one = pip
			}
			a.warn("lock-two", rel, 0, fmt.Sprintf("%s and %s are two exact lists of packages", printable(one), printable(rel)), printable(rel)+" is not read", "keep one of the two")
		}
	}
	if conda != "" {
		a.condaLock(conda)
	}
	if pip != "" {
		a.pipLock(pip)
	}
	if slices.Contains(names, pyprojectTOML) {
		a.project(path.Join(dir, pyprojectTOML), pip)
	}
	if slices.Contains(names, RuntimeTXT) {
		a.runtime(path.Join(dir, RuntimeTXT))
	}
	a.notFollowed(dir, names)
}

// exactList reads a file of exact versions.
func (a *asking) exactList(rel string) ([]byte, bool) {
	a.summed = 0
	data, ok := a.text(rel, MaxLock)
	if data == nil || !ok {
		return nil, false
	}
	if a.locks += len(data); a.locks > MaxTotalLocks {
		a.error("lock-total", rel, 0, fmt.Sprintf("the lists of exact versions in this folder have more than %s together", sizeText(MaxTotalLocks)), "leave some out")
		return nil, false
	}
	a.keep(rel)
	return data, true
}

func (a *asking) condaLock(rel string) {
	data, ok := a.exactList(rel)
	if !ok {
		return
	}
	l := condaList{asking: a, rel: rel}
	if path.Base(rel) == explicitLock() {
		l.explicit(data)
		a.imported(rel, l.count)
		return
	}
	root := a.yaml(rel, data, MaxLockNodes)
	if root == nil {
		return
	}
	if path.Base(rel) == pixiLock {
		l.pixi(root)
	} else {
		l.condaLock(root)
	}
	a.imported(rel, l.count)
}

func (a *asking) pipLock(rel string) {
	data, ok := a.exactList(rel)
	if !ok {
		return
	}
	l := pipList{asking: a, rel: rel}
	l.places(string(data))
	switch path.Base(rel) {
	case uvLock:
		l.uv(data)
	case pylockTOML:
		l.pylock(data)
	case poetryLock:
		l.poetry(data)
	default:
		l.pipfile(data)
	}
	a.imported(rel, l.count)
}

// imported says what became of an exact list.
func (a *asking) imported(rel string, count int) {
	if count > 0 {
		means := "exactly these versions are installed; their checksums are the class's own, from where it gets them"
		if a.summed > 0 {
			means = fmt.Sprintf("exactly these versions are installed; for %d of them it gives checksums, and no other files are taken", a.summed)
		}
		a.info("lock-imported", rel, 0, fmt.Sprintf("%s gives the exact versions of %d packages", printable(rel), count), means, "nothing to do")
	}
}

// toml decodes a TOML file into v, leniently: what v does not name is not looked at.
func (a *asking) toml(rel string, data []byte, v any) bool {
	err := toml.Unmarshal(data, v)
	if err == nil {
		return true
	}
	line := 1
	var at *toml.DecodeError
	if errors.As(err, &at) {
		line, _ = at.Position()
	}
	a.error("toml-syntax", rel, line, fmt.Sprintf("%s line %d cannot be read as TOML", printable(rel), line), "compare it with the file that the tool wrote, or remove it")
	return false
}

// notFollowed names the files that repo2docker would follow beyond ours (A16), and keeps
// those that the history takes.
func (a *asking) notFollowed(dir string, names []string) {
	known := repo2docker()
	for _, n := range names {
		do, ok := known[n]
		if !ok {
			continue
		}
		rel := path.Join(dir, n)
		a.remember(rel)
		if slices.Contains([]string{"postBuild", "start", "Dockerfile"}, n) {
			a.warn("repo2docker-ignored", rel, 0, printable(rel)+" is a file of repo2docker that is not followed here (A16)", "nothing of it is run; everything else in the folder works", do)
			continue
		}
		a.info("repo2docker-ignored", rel, 0, printable(rel)+" is a file of repo2docker that is not used here (A16)", "everything else in the folder works", do)
	}
}

// remember keeps an ordinary small file for the history, though it is not followed.
func (a *asking) remember(rel string) {
	info, err := a.tree.lstat(rel)
	if err != nil || !info.Mode().IsRegular() || info.Size() > MaxHistoryFile || !historyFile.MatchString(path.Base(rel)) {
		return
	}
	if _, ok := a.bytes(rel, MaxHistoryFile); ok {
		a.keep(rel)
	}
}
