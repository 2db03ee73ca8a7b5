package custom

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// readSrv reads srv/. The old project copied srv/* into one directory, which
// empties a sub-folder into it: srv/templates/login.html became login.html (A9).
// What lies deeper keeps its place beneath the sub-folder.
func (r *reader) readSrv() {
	if !r.listed(SrvDir) {
		return
	}
	if info, err := r.tree.lstat(SrvDir); err != nil || !info.IsDir() {
		if err != nil {
			r.cannotOpen(SrvDir, nil, err)
		} else {
			r.error("not-a-folder", SrvDir, 0, fmt.Sprintf("srv is %s and not a folder", kind(info.Mode())), "make it a folder, or remove it")
		}
		return
	}
	s := srv{reader: r, from: map[string]string{}}
	s.dir(SrvDir, 1)
	slices.SortFunc(r.f.srv, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
}

type srv struct {
	*reader

	from  map[string]string // flattened name -> path
	files int
	total int
}

func (s *srv) dir(rel string, depth int) bool {
	d, err := s.tree.openDir(rel)
	if err != nil {
		s.cannotOpen(rel, nil, err)
		return true
	}
	names, more, err := readNames(d, MaxSrvFiles-s.files)
	d.Close()
	if err != nil {
		s.changed(rel)
		return true
	}
	if more || depth > MaxDepth {
		s.error("srv-too-many", SrvDir, 0, fmt.Sprintf("srv/ holds more than %d files or %d folders in folders", MaxSrvFiles, MaxDepth), "keep only what the hub needs in srv/, and data in shared/")
		return false
	}
	s.files += len(names)
	for _, name := range names {
		if s.ctx.Err() != nil {
			return false
		}
		if name == "__pycache__" || name == ".ipynb_checkpoints" || name == ".DS_Store" || name == ".gitkeep" {
			continue
		}
		child := path.Join(rel, name)
		if s.goodName(child, name) && !s.one(child, depth) {
			return false
		}
	}
	return true
}

func (s *srv) one(rel string, depth int) bool {
	info, err := s.tree.lstat(rel)
	switch {
	case err != nil:
		s.cannotOpen(rel, nil, err)
		return true
	case info.IsDir():
		return s.dir(rel, depth+1)
	case !info.Mode().IsRegular() && info.Mode()&fs.ModeSymlink == 0:
		s.error("content-special", rel, 0, fmt.Sprintf("%s is %s", printable(rel), kind(info.Mode())), "remove it")
		return true
	}
	data, ok := s.bytes(rel, MaxSrvFile)
	if !ok || data == nil {
		return true
	}
	if s.total += len(data); s.total > MaxSrvTotal {
		s.error("srv-too-large", SrvDir, 0, "srv/ holds more than "+sizeText(MaxSrvTotal), "keep only what the hub needs in srv/, and data in shared/")
		return false
	}
	if strings.HasSuffix(rel, ".py") {
		if data, ok = s.normalise(rel, data); !ok {
			return true
		}
	}
	s.flatten(rel, data)
	return true
}

func (s *srv) flatten(rel string, data []byte) {
	name := strings.TrimPrefix(rel, SrvDir+"/")
	if first, rest, sub := strings.Cut(name, "/"); sub {
		name = rest
		if s.from["\x00"+first] == "" {
			s.from["\x00"+first] = first
			s.legacy("A9", SrvDir+"/"+first, 0, fmt.Sprintf("what lies in srv/%s/ is put beside jupyterhub_config.py, as the old project did; its own sub-folders stay folders", printable(first)),
				"refer to its files without "+printable(first)+"/")
		}
	}
	if other, ok := s.from[name]; ok {
		s.error("srv-collision", rel, 0, fmt.Sprintf("%s and %s both become %s beside jupyterhub_config.py", printable(other), printable(rel), printable(name)), "rename one of them")
		return
	}
	s.from[name] = rel
	s.f.srv = append(s.f.srv, File{Path: rel, Name: name, Data: data})
}
