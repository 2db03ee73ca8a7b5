package environments

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// weights tells what the disk gets back when trees are removed one after the other: a
// file that has other names elsewhere takes its room until the last of them went.
type weights struct{ shared map[inode]links }

// links is how many names a file had when it was met, and how many of them were met.
type links struct{ all, met uint64 }

// tree is what removing path gives back, in bytes of the disk. One that is not there is 0.
func (w *weights) tree(path string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return ignore(err)
		}
		fi, err := d.Info()
		if err != nil {
			return ignore(err)
		}
		sum += w.file(fi)
		return nil
	})
	return sum, err
}

// file is what removing one name of a file gives back.
func (w *weights) file(fi os.FileInfo) int64 {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	if !fi.IsDir() && uint64(st.Nlink) > 1 || w.shared[inodeOf(fi)].all > 1 {
		if w.shared == nil {
			w.shared = map[inode]links{}
		}
		l := w.shared[inodeOf(fi)]
		l = links{max(l.all, uint64(st.Nlink)), l.met + 1}
		w.shared[inodeOf(fi)] = l
		if l.met < l.all {
			return 0
		}
		delete(w.shared, inodeOf(fi)) // its number may be given to another file
	}
	return diskBytes(st)
}

// diskBytes is what a file takes on the disk.
func diskBytes(st *syscall.Stat_t) int64 { return st.Blocks * 512 } // stat(2): always of 512 bytes

// ignore drops the error that says that something is not there.
func ignore(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
