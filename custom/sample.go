package custom

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/conjuring/conjured/notice"
)

// The sample class, a folder like any other.
//
//go:embed all:classroom
var classroom embed.FS

// Sample is the sample class's files.
func Sample() fs.FS {
	sub, err := fs.Sub(classroom, "classroom")
	if err != nil {
		panic(err) // a constant name
	}
	return sub
}

// WriteSample writes the sample class into dst, which must be absent or an empty
// folder; anything else is a *notice.Error of code folder-not-empty and stays as it was.
func WriteSample(dst string) error {
	names, err := os.ReadDir(dst)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dst, 0o755); err != nil {
			return fmt.Errorf("cannot write the sample class: %w", err)
		}
	case err != nil || len(names) > 0:
		return &notice.Error{
			Notice: notice.Notice{
				Code: "folder-not-empty", Severity: notice.SeverityError,
				What:  fmt.Sprintf("%q is there already and is not an empty folder", short(filepath.Base(dst))),
				Means: "nothing was written; what is in it stays as it is",
				Do:    "choose another name for the sample class",
			},
			Err: err,
		}
	}
	if err := os.CopyFS(dst, Sample()); err != nil {
		return fmt.Errorf("cannot write the sample class: %w", err)
	}
	// Embedded files are read-only; a teacher's are not.
	return filepath.WalkDir(dst, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.Chmod(name, 0o755)
		}
		return os.Chmod(name, 0o644)
	})
}
