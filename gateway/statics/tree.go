package statics

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
)

const (
	largestFile = 8 << 20 // bytes; Lab's largest has 2.6 MB
	mostFiles   = 20_000  // of all trees; Lab and Notebook have 650
	tooSmall    = 200     // bytes; compressing gains nothing
)

// Tree is a directory of files that a Jupyter server gives to anybody.
type Tree struct {
	Dir string // on the host
	At  string // its place below a server's address, without slashes at the ends
}

// Jupyter are the trees of the environment installed at prefix. Those that are not
// there are left out.
func Jupyter(prefix string) []Tree {
	trees := []Tree{
		{filepath.Join(prefix, "share/jupyter/lab/static"), "static/lab"},
		{filepath.Join(prefix, "share/jupyter/labextensions"), "lab/extensions"},
	}
	libs, _ := filepath.Glob(filepath.Join(prefix, "lib/python3*/site-packages"))
	for _, lib := range libs {
		trees = append(trees,
			Tree{filepath.Join(lib, "jupyter_server/static"), "static"},
			Tree{filepath.Join(lib, "notebook/static"), "static/notebook"},
		)
	}
	var out []Tree
	for _, t := range trees {
		if fi, err := os.Stat(t.Dir); err == nil && fi.IsDir() {
			out = append(out, t)
		}
	}
	return out
}

// kindOf is the content type that Jupyter gives to a file by the extension of its
// name, "" for files that are not served, and whether compressing gains something.
func kindOf(name string) (kind string, press bool) {
	switch strings.ToLower(path.Ext(name)) {
	case ".js":
		return "application/javascript", true
	case ".css":
		return "text/css", true
	case ".json":
		return "application/json", true
	case ".svg":
		return "image/svg+xml", true
	case ".ico":
		return "image/vnd.microsoft.icon", true
	case ".ttf":
		return "font/ttf", true
	case ".eot":
		return "application/vnd.ms-fontobject", true
	case ".woff":
		return "font/woff", false
	case ".woff2":
		return "font/woff2", false
	case ".png":
		return "image/png", false
	}
	return "", false
}

// content is the bytes of one or more files. Only ready changes.
type content struct {
	hashes hashes
	path   string // on the host, of one of the files
	size   int64
	press  bool         // worth compressing
	ready  atomic.Int32 // a bit for each coding that is there, 1<<coding
}

// file is a content at an address.
type file struct {
	*content
	kind  string // content type
	named bool   // the name alone proves the content
}

// index is what may be served.
type index struct {
	files    map[string]file     // by address below a server's
	contents map[string]*content // by SHA-256
}

// scan reads the trees. Where two of them have something else at one address, nothing
// is served there. Contents that old has keep what is ready.
func scan(ctx context.Context, trees []Tree, old *index) (*index, error) {
	x := &index{map[string]file{}, map[string]*content{}}
	clash := map[string]bool{}
	for _, t := range trees {
		root, err := os.OpenRoot(t.Dir)
		if err != nil {
			continue // a generation that was just removed
		}
		err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil || !d.Type().IsRegular() || len(x.files) >= mostFiles {
				return nil //nolint:nilerr // what cannot be read is the server's to answer
			}
			f, ok := x.read(root, t.Dir, name, old)
			at := path.Join(t.At, name)
			if was, there := x.files[at]; ok && there && was.content != f.content {
				clash[at] = true
			} else if ok {
				x.files[at] = f
			}
			return nil
		})
		_ = root.Close()
		if err != nil {
			return nil, err
		}
	}
	for at := range clash {
		delete(x.files, at)
	}
	return x, nil
}

// read is the file name beneath root, false when it is not one to serve.
func (x *index) read(root *os.Root, dir, name string, old *index) (file, bool) {
	kind, press := kindOf(name)
	if kind == "" {
		return file{}, false
	}
	b, ok := bytesOf(root, name)
	if !ok {
		return file{}, false
	}
	h := hashesOf(b)
	c := x.contents[h.sha256]
	if c == nil && old != nil {
		c = old.contents[h.sha256]
	}
	if c == nil {
		c = &content{hashes: h, path: filepath.Join(dir, name), size: int64(len(b)), press: press && len(b) >= tooSmall}
	}
	x.contents[h.sha256] = c
	return file{c, kind, h.named(name)}, true
}

// bytesOf reads a small regular file whole.
func bytesOf(root *os.Root, name string) ([]byte, bool) {
	h, err := root.Open(name)
	if err != nil {
		return nil, false
	}
	defer h.Close()
	fi, err := h.Stat()
	if err != nil || !fi.Mode().IsRegular() || fi.Size() == 0 || fi.Size() > largestFile {
		return nil, false
	}
	b := make([]byte, fi.Size())
	_, err = io.ReadFull(h, b)
	return b, err == nil
}
