package custom

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// text reads a text file as UTF-8 with LF line ends. The second value is false,
// and a notice says why, when there is a file that is no such text; a file that
// does not exist is nil and true.
func (r *reader) text(rel string, limit int64) ([]byte, bool) {
	data, ok := r.bytes(rel, limit)
	if data == nil || !ok {
		return nil, ok
	}
	return r.normalise(rel, data)
}

// bytes reads a small regular file and keeps it for Save.
func (r *reader) bytes(rel string, limit int64) ([]byte, bool) {
	if data, ok := r.kept[rel]; ok {
		return data, true
	}
	f, info, err := r.tree.openFile(rel, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !r.listed(rel):
		return nil, true
	case err != nil:
		r.cannotOpen(rel, info, err)
		return nil, false
	}
	defer f.Close()
	if info.Size() > limit {
		r.tooLarge(rel, info.Size(), limit)
		return nil, false
	}
	data, err := io.ReadAll(io.LimitReader(&cancelled{r.ctx, f}, limit+1))
	if err != nil {
		r.cannotOpen(rel, info, err)
		return nil, false
	}
	if int64(len(data)) > limit {
		r.tooLarge(rel, int64(len(data)), limit)
		return nil, false
	}
	r.kept[rel] = data
	return data, true
}

func (r *reader) tooLarge(rel string, size, limit int64) {
	r.error("file-too-large", rel, 0, fmt.Sprintf("%s has %s; at most %s are read", printable(rel), sizeText(size), sizeText(limit)),
		"make the file smaller, or put data into shared/")
}

// cannotOpen words why a file of the folder cannot be read.
func (r *reader) cannotOpen(rel string, info fs.FileInfo, err error) {
	name := printable(rel)
	switch {
	case r.ctx.Err() != nil:
	case errors.Is(err, errNotRegular):
		r.error("not-a-file", rel, 0, fmt.Sprintf("%s is %s and not a file", name, kind(info.Mode())), "put an ordinary file there, or remove it")
	case errors.Is(err, unix.EXDEV), errors.Is(err, unix.ELOOP):
		r.error("link-leaves-folder", rel, 0, name+" is a link to something outside the folder", "copy the file itself into the folder")
	case errors.Is(err, fs.ErrPermission):
		r.error("file-unreadable", rel, 0, name+" may not be read by conjured", "give everybody the right to read it (chmod a+r), or remove it")
	case vanished(err):
		if target, lerr := r.tree.readlink(rel); lerr == nil {
			r.error("link-broken", rel, 0, fmt.Sprintf("%s is a link to %q, which is not there", name, short(target)), "copy the file itself into the folder")
			return
		}
		r.changed(rel)
	default:
		r.error("file-unreadable", rel, 0, name+" cannot be read", "copy the folder again; the stick or disk may be damaged")
	}
}

func (r *reader) changed(rel string) {
	r.error("folder-changed", rel, 0, "the folder changed while it was read: "+printable(rel)+" was there and is gone",
		"wait until copying has ended, leave the stick in, and try again")
}

// normalise turns a file into UTF-8 text with LF line ends (A2).
func (r *reader) normalise(rel string, data []byte) ([]byte, bool) {
	if bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}) {
		r.error("text-utf16", rel, 1, printable(rel)+" is written in UTF-16", "save it again as UTF-8 (in a spreadsheet: CSV UTF-8)")
		return nil, false
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if i := bytes.IndexByte(data, 0); i >= 0 {
		r.error("text-binary", rel, lineAt(data, i), printable(rel)+" is not a text file", "save it as plain text (UTF-8)")
		return nil, false
	}
	if i := invalidUTF8(data); i >= 0 {
		r.error("text-not-utf8", rel, lineAt(data, i), fmt.Sprintf("%s line %d holds a letter that is not written in UTF-8", printable(rel), lineAt(data, i)),
			"save the file again as UTF-8")
		return nil, false
	}
	if bytes.IndexByte(data, '\r') < 0 {
		return data, true
	}
	r.legacy("A2", rel, 0, printable(rel)+" has line ends of Windows, which the old project read as part of the words", "they are read as ordinary line ends")
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(data, []byte("\r"), []byte("\n")), true
}

func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		c, n := utf8.DecodeRune(data[i:])
		if c == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// lineAt is the 1-based line of byte i; a lone CR counts as a line end, as in normalise.
func lineAt(data []byte, i int) int {
	d := data[:i]
	return 1 + bytes.Count(d, []byte("\n")) + bytes.Count(d, []byte("\r")) - bytes.Count(d, []byte("\r\n"))
}

// cancelled is a reader that stops when ctx ends.
type cancelled struct {
	ctx context.Context
	io.Reader
}

func (c *cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.Reader.Read(p)
}

// kind is what a person calls a thing that is not a regular file.
func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a folder"
	case m&fs.ModeSymlink != 0:
		return "a link"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	case m.IsRegular():
		return "a file"
	}
	return "something unusual"
}

func sizeText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
