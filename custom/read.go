package custom

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/conjuring/conjured/notice"
	"golang.org/x/sys/unix"
	"golang.org/x/text/unicode/norm"
)

// source is where the bytes of a folder are.
type source struct {
	dir  string
	kept map[string][]byte // small files, as they were on the disk, by path in the saved copy
	// override is where the override was: OverrideYML, "../"+OverrideYML, or "".
	override string
}

// reader is one reading of one folder.
type reader struct {
	notes

	ctx   context.Context
	dir   string
	tree  *tree
	opt   Options
	top   []string // names directly in the folder, sorted
	kept  map[string][]byte
	f     *Folder
	apt   map[string]AptPackage // by name
	asked map[string]*asking    // environments by name
	class string                // the name that the teacher gave; "" when it is the folder's
	build bool                  // packages that exist as source only may be built

	locks   int   // bytes of exact lists so far
	entries int   // of content so far
	total   int64 // bytes of content so far
}

// Read reads dir, once. The notices are all that it found, sorted by file and
// line; the folder is nil only when dir could not be read at all. A folder whose
// list has errors is for looking at: it must not become a setup.
//
// When ctx ends the folder is nil and the list says that reading was stopped.
func Read(ctx context.Context, dir string, opt Options) (*Folder, notice.List) {
	r := &reader{ctx: ctx, dir: filepath.Clean(dir), opt: opt, kept: map[string][]byte{}, f: &Folder{}}
	t, err := openTree(r.dir)
	if err != nil {
		r.cannotOpenFolder(err)
		return nil, r.all()
	}
	defer t.Close()
	t.opened = opt.opened
	r.tree = t
	if !r.listTop() {
		return nil, r.all()
	}
	r.parts()
	if ctx.Err() != nil {
		return nil, stopped()
	}
	r.f.fingerprints = r.fingerprint()
	r.f.source = source{dir: r.dir, kept: r.kept, override: r.f.source.override}
	r.f.notices = r.all()
	return r.f, slices.Clone(r.f.notices)
}

func stopped() notice.List {
	return notice.List{{
		Code: "reading-stopped", Severity: notice.SeverityError,
		What: "reading the folder was stopped before its end", Means: "nothing was changed", Do: "start it again",
	}}
}

// parts reads every part; none depends on another one being right.
func (r *reader) parts() {
	for _, part := range []func(){
		r.settings, r.readUsers, r.readDockerfile, r.readApt, r.readRequirements, r.readEnvironments,
		r.readBinder, r.readPackaging, r.readCourses, r.readMembers, r.readSpecs, r.readSrv, r.readOverride, r.readContent, r.others,
	} {
		if r.ctx.Err() != nil {
			return
		}
		part()
	}
}

func (r *reader) cannotOpenFolder(err error) {
	name := filepath.Base(r.dir)
	switch {
	case errors.Is(err, unix.ELOOP), isLink(r.dir):
		r.error("folder-is-link", "", 0, fmt.Sprintf("the folder %q is a link to another place", short(name)), "name the folder itself, or copy it")
	case errors.Is(err, fs.ErrNotExist):
		r.error("folder-absent", "", 0, fmt.Sprintf("there is no folder %q", short(r.dir)), "check its name, or make one with: conjured init "+short(r.dir))
	case errors.Is(err, unix.ENOTDIR):
		r.error("folder-not-directory", "", 0, fmt.Sprintf("%q is a file and not a folder", short(r.dir)), "name the folder that holds users.csv")
	case errors.Is(err, fs.ErrPermission):
		r.error("folder-unreadable", "", 0, fmt.Sprintf("the folder %q may not be read by conjured", short(r.dir)), "run conjured as root, or give everybody the right to read the folder")
	default:
		r.error("folder-unreadable", "", 0, fmt.Sprintf("the folder %q cannot be read", short(r.dir)), "copy the folder again; the stick or disk may be damaged")
	}
}

func isLink(dir string) bool {
	var st unix.Stat_t
	return unix.Lstat(dir, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK
}

// listTop reads the names directly in the folder.
func (r *reader) listTop() bool {
	d, err := r.tree.openDir(".")
	if err != nil {
		r.cannotOpenFolder(err)
		return false
	}
	defer d.Close()
	names, more, err := readNames(d, MaxTopEntries)
	if err != nil {
		r.changed("the folder itself")
		return false
	}
	if more {
		r.error("folder-too-many", "", 0, fmt.Sprintf("there are more than %d things directly in the folder", MaxTopEntries),
			"check that this is the right folder, and put data into shared/")
		return false
	}
	r.top = names
	return true
}

// readNames gives up to limit names, sorted, and whether there are more.
func readNames(d interface {
	Readdirnames(int) ([]string, error)
}, limit int,
) (names []string, more bool, err error) {
	for len(names) <= limit {
		chunk, err := d.Readdirnames(1000)
		names = append(names, chunk...)
		if len(chunk) == 0 {
			if err != nil && !errors.Is(err, io.EOF) {
				return nil, false, err
			}
			slices.Sort(names)
			return names, false, nil
		}
	}
	return nil, true, nil
}

// listed tells whether the folder had rel when it was opened. What lies deeper was
// listed by whoever asks.
func (r *reader) listed(rel string) bool {
	if strings.Contains(rel, "/") {
		return true
	}
	_, found := slices.BinarySearch(r.top, rel)
	return found
}

// similar tells what two names have in common for a case-insensitive stick.
func similar(name string) string { return strings.ToLower(norm.NFC.String(name)) }
