package homes

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// entry is one thing of a folder: a directory, a regular file or a symbolic link.
type entry struct {
	rel  string // slash-separated, never "." or with ..
	mode fs.FileMode
	size int64
	link string // target of a symbolic link
}

// list walks a folder without following symbolic links out of it, parents before
// children, in order of name. Devices, sockets and pipes are left out.
func list(ctx context.Context, dir string) ([]entry, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var out []entry
	var bytes int64
	err = fs.WalkDir(root.FS(), ".", func(rel string, d fs.DirEntry, err error) error {
		if err != nil || rel == "." {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e := entry{rel: rel, mode: info.Mode()}
		switch {
		case d.IsDir():
		case d.Type().IsRegular():
			e.size = info.Size()
		case d.Type() == fs.ModeSymlink:
			if e.link, err = root.Readlink(rel); err != nil {
				return err
			}
		default:
			return nil
		}
		out, bytes = append(out, e), bytes+e.size
		switch {
		case len(out) > maxEntries:
			return fmt.Errorf("it holds more than %d files", maxEntries)
		case bytes > maxBytes:
			return fmt.Errorf("it holds more than %d GB", maxBytes>>30)
		case strings.Count(rel, "/") >= maxDepth:
			return fmt.Errorf("its folders are nested more than %d deep", maxDepth)
		}
		return nil
	})
	return out, err
}

// permissions of a copy: readable, and executable where the original is. Sticks
// and spreadsheets' machines know no better.
func (e entry) permissions(file, executable fs.FileMode) fs.FileMode {
	if e.mode.Perm()&0o111 != 0 {
		return executable
	}
	return file
}

// inside tells whether a link of the shared folder stays in it.
func (e entry) inside() bool {
	if path.IsAbs(e.link) {
		return e.link == "/shared" || strings.HasPrefix(path.Clean(e.link), "/shared/")
	}
	return fs.ValidPath(path.Join(path.Dir(e.rel), e.link))
}
