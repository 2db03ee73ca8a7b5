package condatest

import (
	"fmt"
	"os"
	"path/filepath"
)

// Channel is a named collection of packages.
type Channel struct {
	Name     string // "conda-forge"; may have slashes, as "conda-forge/label/rc"
	Packages []Package
	Base     string // where the list says that the packages are (CEP 15); "" is beside it
}

// files is every file of the channel by its path below the channel's name.
func (c Channel) files() map[string][]byte {
	out := map[string][]byte{}
	for _, subdir := range []string{Platform, Noarch} {
		old, current, removed := map[string]any{}, map[string]any{}, []string{}
		for _, p := range c.Packages {
			if p.Subdir() != subdir {
				continue
			}
			archive := p.Bytes()
			out[subdir+"/"+p.File()] = archive
			switch {
			case p.Yanked:
				removed = append(removed, p.File())
			case p.Bz2:
				old[p.File()] = p.record(archive)
			default:
				current[p.File()] = p.record(archive)
			}
		}
		info := map[string]string{"subdir": subdir}
		if c.Base != "" {
			info["base_url"] = c.Base
		}
		index := encode(map[string]any{
			"info": info, "packages": old, "packages.conda": current,
			"removed": removed, "repodata_version": 1,
		})
		out[subdir+"/repodata.json"], out[subdir+"/repodata.json.zst"] = index, Zstd(index)
	}
	return out
}

// Write writes channels below dir, each in the directory of its name: a channel as a
// stick or a mirror on disk has it.
func Write(dir string, channels ...Channel) error {
	for _, c := range channels {
		for name, data := range c.files() {
			path := filepath.Join(dir, filepath.FromSlash(c.Name), filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return fmt.Errorf("cannot write channel %s: %w", c.Name, err)
			}
			if err := os.WriteFile(path, data, 0o644); err != nil {
				return fmt.Errorf("cannot write channel %s: %w", c.Name, err)
			}
		}
	}
	return nil
}
