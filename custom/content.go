package custom

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// readContent walks home_default/ and shared/.
func (r *reader) readContent() {
	r.f.homeDefault = r.readTree(HomeDefaultDir)
	r.f.shared = r.readTree(SharedDir)
}

// errStop ends a walk whose reason was already told.
var errStop = errors.New("walk stopped")

// readTree reads one content tree: names, kinds, and a hash of each file.
func (r *reader) readTree(top string) []Entry {
	if !r.listed(top) {
		return nil
	}
	info, err := r.tree.lstat(top)
	if err != nil {
		r.cannotOpen(top, nil, err)
		return nil
	}
	if !info.IsDir() {
		r.error("not-a-folder", top, 0, fmt.Sprintf("%s is %s and not a folder", top, kind(info.Mode())), "make it a folder, or remove it")
		return nil
	}
	w := walk{r: r, top: top}
	_ = w.dir(top, 1) // the reason is among the notices
	return w.out
}

type walk struct {
	r   *reader
	top string
	out []Entry
}

func (w *walk) dir(rel string, depth int) error {
	r := w.r
	if depth > MaxDepth {
		r.error("content-too-deep", rel, 0, fmt.Sprintf("%s lies more than %d folders deep", printable(rel), MaxDepth), "move it further up")
		return nil
	}
	d, err := r.tree.openDir(rel)
	if err != nil {
		r.cannotOpen(rel, nil, err)
		return nil
	}
	names, more, err := readNames(d, MaxEntries-r.entries)
	d.Close()
	if err != nil {
		r.changed(rel)
		return nil
	}
	if more {
		r.error("content-too-many", w.top, 0, fmt.Sprintf("home_default/ and shared/ hold more than %d files", MaxEntries), "pack many small files into one archive (zip), or leave some out")
		return errStop
	}
	r.entries += len(names)
	seen := map[string]string{}
	for _, name := range names {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		child := path.Join(rel, name)
		if !r.goodName(child, name) {
			continue
		}
		if other, ok := seen[similar(name)]; ok {
			r.warn("names-differ-by-case", child, 0, fmt.Sprintf("%q and %q in %s differ only by capital letters or by how an accent is written", short(other), short(name), printable(rel)),
				"both are here, and one of them gets lost on a stick or a Windows laptop", "rename one of them")
		}
		seen[similar(name)] = name
		if err := w.one(child, depth); err != nil {
			return err
		}
	}
	return nil
}

// goodName refuses names that could not be shown, logged or copied to a stick.
func (r *reader) goodName(rel, name string) bool {
	switch {
	case !utf8.ValidString(name):
		r.error("name-not-utf8", rel, 0, fmt.Sprintf("the name %q is not written in UTF-8", short(name)), "rename the file")
	case printable(name) != name:
		r.error("name-control", rel, 0, fmt.Sprintf("the name %q holds invisible characters", short(name)), "rename the file")
	case len(rel) > MaxPath:
		r.error("name-too-long", rel[:80], 0, fmt.Sprintf("a path beginning with %s has %d bytes; at most %d are read", printable(rel[:80]), len(rel), MaxPath), "shorten the names")
	default:
		return true
	}
	return false
}

// one reads one thing. Modes are told apart only by "may be run": who owns a
// file on the teacher's laptop, and what a stick's file system makes of rights,
// says nothing about the class.
func (w *walk) one(rel string, depth int) error {
	r := w.r
	info, err := r.tree.lstat(rel)
	if err != nil {
		r.cannotOpen(rel, nil, err)
		return nil
	}
	switch m := info.Mode(); {
	case m.IsDir():
		w.out = append(w.out, Entry{Path: rel, Mode: fs.ModeDir | 0o755})
		return w.dir(rel, depth+1)
	case m.IsRegular():
		return w.file(rel, info)
	case m&fs.ModeSymlink != 0:
		w.link(rel)
	default:
		r.error("content-special", rel, 0, fmt.Sprintf("%s is %s", printable(rel), kind(m)), "remove it: only files, folders and links can be given to students")
	}
	return nil
}

func (w *walk) file(rel string, info fs.FileInfo) error {
	r := w.r
	if info.Size() > MaxFile {
		r.tooLarge(rel, info.Size(), MaxFile)
		return nil
	}
	if r.total += info.Size(); r.total > MaxContent {
		r.error("content-too-large", w.top, 0, "home_default/ and shared/ hold more than "+sizeText(MaxContent), "leave some data out")
		return errStop
	}
	e, ok := r.hash(rel, MaxFile, unix.RESOLVE_NO_SYMLINKS)
	if ok {
		w.out = append(w.out, e)
	}
	return nil
}

// hash reads a regular file of the folder to its end.
func (r *reader) hash(rel string, limit int64, resolve uint64) (Entry, bool) {
	f, info, err := r.tree.openFile(rel, resolve)
	if err != nil {
		r.cannotOpen(rel, info, err)
		return Entry{}, false
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(&cancelled{r.ctx, f}, limit+1))
	if err != nil {
		r.cannotOpen(rel, info, err)
		return Entry{}, false
	}
	if n > limit {
		r.tooLarge(rel, n, limit)
		return Entry{}, false
	}
	return Entry{Path: rel, Mode: fileMode(info.Mode()), Size: n, SHA256: hex.EncodeToString(h.Sum(nil))}, true
}

func fileMode(m fs.FileMode) fs.FileMode {
	if m&0o100 != 0 {
		return 0o755
	}
	return 0o644
}

// link keeps a link as a link when it stays inside its own tree, or names
// something in /shared as a student sees it.
func (w *walk) link(rel string) {
	r := w.r
	target, err := r.tree.readlink(rel)
	if err != nil {
		r.cannotOpen(rel, nil, err)
		return
	}
	if len(target) > MaxPath || !staysInside(w.top, rel, target) {
		r.error("link-leaves-folder", rel, 0, fmt.Sprintf("%s is a link to %q, outside %s/", printable(rel), short(target), w.top), "copy the file itself into the folder")
		return
	}
	w.out = append(w.out, Entry{Path: rel, Mode: fs.ModeSymlink | 0o777, Link: target})
}

// staysInside tells whether a link at rel (beneath top) cannot lead out of top.
// ".." is only accepted at the beginning: after the name of another link it
// would mean that link's place and not what the text looks like. With that, one
// step up from a real directory per "..", every link stays inside because every
// other link does.
func staysInside(top, rel, target string) bool {
	if target == "" || printable(target) != target {
		return false
	}
	if strings.HasPrefix(target, "/") {
		return target == "/shared" || strings.HasPrefix(target, "/shared/") && path.Clean(target) == target
	}
	depth := strings.Count(strings.TrimPrefix(rel, top), "/") - 1 // directories between top and the link
	names := false
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; names || depth < 0 {
				return false
			}
		default:
			names = true
		}
	}
	return true
}
